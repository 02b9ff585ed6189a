/** The node: songs in, stems out. */

import type {
	IExecuteFunctions,
	INodeExecutionData,
	INodeType,
	INodeTypeDescription,
	JsonObject,
} from 'n8n-workflow';
import { NodeApiError, NodeConnectionTypes, NodeOperationError } from 'n8n-workflow';

import { fields } from './fields';
import { operations } from './operations';

export class Stemwright implements INodeType {
	description: INodeTypeDescription = {
		displayName: 'Stemwright',
		name: 'stemwright',
		icon: { light: 'file:../../icons/stemwright.svg', dark: 'file:../../icons/stemwright.dark.svg' },
		group: ['transform'],
		version: [1],
		subtitle: '={{ $parameter["operation"] }}',
		description: 'Separate songs into stems: vocals and instrumental, twelve stems, or one instrument',
		defaults: { name: 'Stemwright' },
		inputs: [NodeConnectionTypes.Main],
		outputs: [NodeConnectionTypes.Main],
		usableAsTool: true,
		credentials: [{ name: 'stemwrightApi', required: true }],
		properties: [
			{
				displayName: 'Operation',
				name: 'operation',
				type: 'options',
				noDataExpression: true,
				options: [
					{
						name: 'Download Stems',
						value: 'downloadStems',
						action: 'Download stems',
						description: 'Get the stems of a task that has ended, as files',
					},
					{
						name: 'Get Credits',
						value: 'getCredits',
						action: 'Get credits',
						description: 'Get how many credits are left',
					},
					{
						name: 'Get Task',
						value: 'getTask',
						action: 'Get a task',
						description: 'Get how a separation is getting on, or wait for it',
					},
					{
						name: 'Separate',
						value: 'separate',
						action: 'Separate a song',
						description: 'Separate a song into stems',
					},
				],
				default: 'separate',
			},
			...fields,
		],
	};

	async execute(this: IExecuteFunctions): Promise<INodeExecutionData[][]> {
		const done: INodeExecutionData[] = [];
		for (let item = 0; item < this.getInputData().length; item++) {
			try {
				const operation = this.getNodeParameter('operation', item) as string;
				done.push(...(await operations[operation]!({ context: this, item })));
			} catch (error) {
				if (this.continueOnFail()) {
					done.push({ json: { error: (error as Error).message }, pairedItem: { item } });
				} else if (error instanceof NodeOperationError) {
					throw new NodeOperationError(this.getNode(), error, { itemIndex: item });
				} else {
					throw new NodeApiError(this.getNode(), error as JsonObject, { itemIndex: item });
				}
			}
		}
		return [done];
	}
}

