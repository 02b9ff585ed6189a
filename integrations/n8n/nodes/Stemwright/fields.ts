/** What a person fills in. */

import type { IDisplayOptions, INodeProperties } from 'n8n-workflow';

const on = (...operation: string[]): IDisplayOptions => ({ show: { operation } });
const separating = (show: IDisplayOptions['show']): IDisplayOptions => ({
	show: { operation: ['separate'], ...show },
});

const song: INodeProperties[] = [
	{
		displayName: 'Song',
		name: 'source',
		type: 'options',
		options: [
			{
				name: 'File From a Previous Node',
				value: 'binary',
				description: 'It is uploaded to the server',
			},
			{
				name: 'On the Server Already',
				value: 'ids',
				description: 'An upload, or a song that the music service behind the server has made',
			},
			{ name: 'URL', value: 'url', description: 'The server fetches it' },
		],
		default: 'binary',
		displayOptions: on('separate'),
		description: 'Where the song comes from',
	},
	{
		displayName: 'Input Binary Field',
		name: 'binaryPropertyName',
		type: 'string',
		default: 'data',
		required: true,
		displayOptions: separating({ source: ['binary'] }),
		hint: 'The name of the field with the song in it',
		description: 'Any file with sound in it: mp3, wav, flac, ogg, opus, m4a, mp4, webm and more',
	},
	{
		displayName: 'Song URL',
		name: 'songUrl',
		type: 'string',
		default: '',
		required: true,
		placeholder: 'e.g. https://example.com/song.mp3',
		displayOptions: separating({ source: ['url'] }),
		description: 'An address that the server can reach, by HTTP or HTTPS',
	},
	{
		displayName: 'Song Task ID',
		name: 'songTaskId',
		type: 'string',
		default: '',
		required: true,
		displayOptions: separating({ source: ['ids'] }),
		description: 'The taskId that the upload or the making of the song was answered with',
	},
	{
		displayName: 'Audio ID',
		name: 'audioId',
		type: 'string',
		default: '',
		required: true,
		displayOptions: separating({ source: ['ids'] }),
		description: 'Which recording of the song: the audioId of an upload, the ID of a variation',
	},
];

const stems: INodeProperties[] = [
	{
		displayName: 'Stems',
		name: 'stems',
		type: 'options',
		options: [
			{
				name: 'Vocals and Instrumental',
				value: 'separate_vocal',
				description: 'Two stems; 1 credit unless the operator says otherwise',
			},
			{
				name: 'Twelve Stems',
				value: 'split_stem',
				description: 'Vocals, backing vocals, drums, bass, guitar, keyboard, strings, brass, woodwinds, percussion, synth and effects; 5 credits',
			},
			{
				name: 'One Instrument and the Rest',
				value: 'split_stem_advanced',
				description: 'A named instrument, and everything except it; 5 credits',
			},
		],
		default: 'separate_vocal',
		displayOptions: on('separate'),
		description: 'What to take the song apart into',
	},
	{
		displayName: 'Instrument',
		name: 'stemName',
		type: 'string',
		default: '',
		required: true,
		placeholder: 'e.g. Electric Guitar',
		displayOptions: separating({ stems: ['split_stem_advanced'] }),
		description: 'One of the 98 names that the server knows, such as Lead Vocal, Drum Kit, Piano or Violin',
	},
];

const afterwards: INodeProperties[] = [
	{
		displayName: 'Then',
		name: 'afterwards',
		type: 'options',
		options: [
			{
				name: 'Have the Server Call Back',
				value: 'callback',
				description: 'Returns the task ID at once; the server calls the URL when the stems are there',
			},
			{ name: 'Return the Task ID', value: 'return', description: 'Without waiting' },
			{ name: 'Wait for the Stems', value: 'wait', description: 'Asks after growing pauses, up to the timeout' },
		],
		default: 'wait',
		displayOptions: on('separate'),
		description: 'What to do once the song is with the server',
	},
	{
		displayName: 'Download Stems',
		name: 'download',
		type: 'boolean',
		default: false,
		displayOptions: separating({ afterwards: ['wait'] }),
		description: 'Whether to return the stems as files instead of as addresses',
	},
	{
		displayName: 'Callback URL',
		name: 'callbackUrl',
		type: 'string',
		default: '',
		required: true,
		placeholder: 'e.g. {{ $execution.resumeUrl }}',
		displayOptions: separating({ afterwards: ['callback'] }),
		description: 'The URL of a Stemwright Trigger, or of a Wait node that resumes on a webhook call with POST. The server has to reach it.',
	},
];

const task: INodeProperties[] = [
	{
		displayName: 'Task ID',
		name: 'taskId',
		type: 'string',
		default: '={{ $json.taskId }}',
		required: true,
		displayOptions: on('getTask', 'downloadStems'),
		description: 'What Separate returned, or a Stemwright Trigger told',
	},
	{
		displayName: 'Wait for the Stems',
		name: 'wait',
		type: 'boolean',
		default: false,
		displayOptions: on('getTask'),
		description: 'Whether to return only when the task has ended, and to fail when it has failed',
	},
];

const options: INodeProperties = {
	displayName: 'Options',
	name: 'options',
	type: 'collection',
	placeholder: 'Add option',
	default: {},
	displayOptions: on('separate', 'getTask', 'downloadStems'),
	options: [
		{
			displayName: 'Each Stem in Its Own Item',
			name: 'eachInItsOwn',
			type: 'boolean',
			default: true,
			displayOptions: { hide: { '/operation': ['getTask'] } },
			description: 'Whether downloaded stems become an item each, with the file in the field data. Otherwise there is one item with a field for each stem.',
		},
		{
			displayName: 'Format',
			name: 'format',
			type: 'options',
			options: [
				{ name: 'FLAC, 16 Bit', value: 'flac' },
				{ name: 'FLAC, 24 Bit', value: 'flac-24' },
				{ name: 'M4A (AAC)', value: 'm4a' },
				{ name: 'MP3, 192 Kbit/S', value: 'mp3-192' },
				{ name: 'MP3, 320 Kbit/S', value: 'mp3' },
				{ name: 'Opus', value: 'opus' },
				{ name: 'WAV, 16 Bit', value: 'wav' },
				{ name: 'WAV, 24 Bit', value: 'wav-24' },
				{ name: 'WAV, 32 Bit Float', value: 'wav-32f' },
			],
			default: 'mp3',
			displayOptions: { show: { '/operation': ['separate'] } },
			description: 'Of the files of the stems',
		},
		{
			displayName: 'Idempotency Key',
			name: 'idempotencyKey',
			type: 'string',
			default: '',
			displayOptions: { show: { '/operation': ['separate'] } },
			description: 'The same key with the same song and wishes is charged once in 24 hours. By default it is made of the execution, so that Retry On Fail charges once.',
		},
		{
			displayName: 'Model',
			name: 'model',
			type: 'string',
			default: '',
			displayOptions: { show: { '/operation': ['separate'] } },
			description: 'The model or recipe that separates, among those that the operator allows',
		},
		{
			displayName: 'Only These Stems',
			name: 'onlyStems',
			type: 'string',
			default: '',
			placeholder: 'e.g. vocals, drums',
			displayOptions: { hide: { '/operation': ['getTask'] } },
			description: 'Which stems to download, by their names, with commas between them; all of them if empty',
		},
		{
			displayName: 'Priority',
			name: 'priority',
			type: 'number',
			typeOptions: { minValue: -10, maxValue: 10 },
			default: 0,
			displayOptions: { show: { '/operation': ['separate'] } },
			description: 'Among your own waiting tasks, those with a higher number come first',
		},
		{
			displayName: 'Timeout (Minutes)',
			name: 'timeoutMinutes',
			type: 'number',
			typeOptions: { minValue: 0 },
			default: 60,
			displayOptions: { hide: { '/operation': ['downloadStems'] } },
			description: 'How long to wait for the stems. A task that takes longer goes on, and can be waited for again.',
		},
	],
};

export const fields: INodeProperties[] = [...song, ...stems, ...afterwards, ...task, options];
