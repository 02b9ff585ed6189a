/** Starts a workflow when a separation has ended: takes its callback, if it is genuine. */

import type {
	IDataObject,
	IHookFunctions,
	INodeType,
	INodeTypeDescription,
	IWebhookFunctions,
	IWebhookResponseData,
} from 'n8n-workflow';
import { NodeConnectionTypes, NodeOperationError } from 'n8n-workflow';

import { CREDENTIALS } from '../Stemwright/calls';
import { ofCallback } from '../Stemwright/tasks';
import { whyNot } from './signatures';

async function secretOf(context: IHookFunctions | IWebhookFunctions): Promise<string> {
	return String((await context.getCredentials(CREDENTIALS)).webhookSecret ?? '').trim();
}

export class StemwrightTrigger implements INodeType {
	description: INodeTypeDescription = {
		displayName: 'Stemwright Trigger',
		name: 'stemwrightTrigger',
		icon: { light: 'file:../../icons/stemwright.svg', dark: 'file:../../icons/stemwright.dark.svg' },
		group: ['trigger'],
		version: [1],
		subtitle: '={{ $parameter["event"] }}',
		description: 'Starts the workflow when a separation has ended and the server calls back',
		defaults: { name: 'Stemwright Trigger' },
		inputs: [],
		outputs: [NodeConnectionTypes.Main],
		credentials: [{ name: 'stemwrightApi', required: true }],
		webhooks: [{ name: 'default', httpMethod: 'POST', responseMode: 'onReceived', path: 'stemwright' }],
		properties: [
			{
				displayName:
					'Give the webhook URL of this node as the Callback URL of Separate. The server has to reach it, and the credentials need the callback secret of the account.',
				name: 'notice',
				type: 'notice',
				default: '',
			},
			{
				displayName: 'Event',
				name: 'event',
				type: 'options',
				options: [
					{ name: 'Any End', value: 'any' },
					{ name: 'Failure', value: 'failed' },
					{ name: 'Success', value: 'success' },
				],
				default: 'any',
				description: 'Which callbacks start the workflow',
			},
		],
	};

	/** A callback's address goes along with every song: nothing is to be registered at the server. */
	webhookMethods = {
		default: {
			async checkExists(this: IHookFunctions): Promise<boolean> {
				return false;
			},
			async create(this: IHookFunctions): Promise<boolean> {
				if (await secretOf(this)) return true;
				throw new NodeOperationError(this.getNode(), 'The credentials hold no callback secret', {
					description: 'The console of the server shows it under Callbacks, `stemwright keys create --json` tells it too.',
				});
			},
			async delete(this: IHookFunctions): Promise<boolean> {
				return true;
			},
		},
	};

	async webhook(this: IWebhookFunctions): Promise<IWebhookResponseData> {
		const headers = this.getHeaderData() as Record<string, string | undefined>;
		const secret = await secretOf(this);
		const reason = secret ? whyNot(headers, this.getRequestObject().rawBody, secret, Date.now()) : 'no secret is set';
		const task = reason === null ? ofCallback(this.getBodyData() as IDataObject) : null;
		if (task === null) {
			// 401 and not 2xx: the server tries again, after which the secret may have been mended.
			this.getResponseObject().status(401).json({ message: `Not a callback to believe: ${reason ?? 'its body is none'}` });
			return { noWebhookResponse: true };
		}
		const event = this.getNodeParameter('event') as string;
		if (event !== 'any' && event !== task.status) return { webhookResponse: { status: 'ignored' } };
		return { workflowData: [this.helpers.returnJsonArray({ ...task, webhookId: headers['webhook-id'] })] };
	}
}
