/** Where the server is, and what lets us in. */

import type {
	IAuthenticateGeneric,
	Icon,
	ICredentialTestRequest,
	ICredentialType,
	INodeProperties,
} from 'n8n-workflow';

export class StemwrightApi implements ICredentialType {
	name = 'stemwrightApi';

	displayName = 'Stemwright API';

	icon: Icon = { light: 'file:../icons/stemwright.svg', dark: 'file:../icons/stemwright.dark.svg' };

	documentationUrl = 'https://www.npmjs.com/package/n8n-nodes-stemwright';

	properties: INodeProperties[] = [
		{
			displayName: 'Base URL',
			name: 'baseUrl',
			type: 'string',
			default: 'http://127.0.0.1:8000',
			required: true,
			placeholder: 'e.g. https://stems.example.com',
			description: 'Where the server answers, as n8n reaches it',
		},
		{
			displayName: 'API Key',
			name: 'apiKey',
			type: 'string',
			typeOptions: { password: true },
			default: '',
			required: true,
			description: 'What <code>stemwright keys create</code> or the console gave you',
		},
		{
			displayName: 'Callback Secret',
			name: 'webhookSecret',
			type: 'string',
			typeOptions: { password: true },
			default: '',
			placeholder: 'e.g. whsec_…',
			description:
				'Signs the callbacks of your account; only the Stemwright Trigger needs it. The console shows it under Callbacks.',
		},
	];

	authenticate: IAuthenticateGeneric = {
		type: 'generic',
		properties: { headers: { Authorization: '=Bearer {{$credentials.apiKey}}' } },
	};

	test: ICredentialTestRequest = {
		request: {
			baseURL: '={{$credentials.baseUrl.replace(/\\/+$/, "")}}',
			url: '/api/v1/generate/credit',
		},
		// A server set to tell everything with HTTP 200 has its code in the body.
		rules: [
			{
				type: 'responseSuccessBody',
				properties: { key: 'code', value: 401, message: 'The server refuses this API key' },
			},
		],
	};
}
