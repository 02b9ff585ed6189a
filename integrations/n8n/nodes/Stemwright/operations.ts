/** What the node does to one item: the four operations, and the waiting between them. */

import { createHash } from 'node:crypto';
import type { IDataObject, INodeExecutionData } from 'n8n-workflow';
import { NodeOperationError } from 'n8n-workflow';

import { type Call, ask, pause } from './calls';
import { type Task, ofRecord } from './tasks';

type Operation = (call: Call) => Promise<INodeExecutionData[]>;

const FIRST_PAUSE_SECONDS = 1;
const MOST_PAUSE_SECONDS = 10;
const DOWNLOAD_TRIES = 3;

export const operations: Record<string, Operation> = { separate, getTask, downloadStems, getCredits };

async function separate(call: Call): Promise<INodeExecutionData[]> {
	const afterwards = parameter<string>(call, 'afterwards');
	const body = { ...(await song(call)), ...wish(call) };
	if (afterwards === 'callback') body.callBackUrl = parameter<string>(call, 'callbackUrl');
	const key = idempotencyKey(call, body);
	const made = await create(call, body, key);
	if (afterwards !== 'wait') return one(call, { taskId: made.taskId, status: 'pending' });
	let task = await ended(call, made.taskId);
	if (made.replayed && task.status === 'failed') {
		// The step is run again, and its task of the last time has failed and cost nothing: this is a new attempt.
		task = await ended(call, (await create(call, body, `${key}-${made.taskId}`)).taskId);
	}
	return parameter<boolean>(call, 'download') ? await files(call, succeeded(call, task)) : one(call, succeeded(call, task));
}

async function getTask(call: Call): Promise<INodeExecutionData[]> {
	const taskId = parameter<string>(call, 'taskId');
	if (parameter<boolean>(call, 'wait')) return one(call, succeeded(call, await ended(call, taskId)));
	return one(call, await look(call, taskId));
}

async function downloadStems(call: Call): Promise<INodeExecutionData[]> {
	const task = await look(call, parameter<string>(call, 'taskId'));
	if (task.status === 'pending') {
		throw refused(call, `Task ${task.taskId} has not ended (${String(task.progress ?? 0)} %)`, 'Wait for it with Get Task.');
	}
	return await files(call, succeeded(call, task));
}

async function getCredits(call: Call): Promise<INodeExecutionData[]> {
	const { data } = await ask(call, '/api/v1/generate/credit');
	return one(call, { credits: data as number });
}

// ---- asking ------------------------------------------------------------------------------------

async function look(call: Call, taskId: string): Promise<Task> {
	const { data } = await ask(call, '/api/v1/vocal-removal/record-info', { qs: { taskId } });
	if (!data) throw refused(call, `The server has no task ${taskId}`, 'Look at the Task ID.'); // as some hosted ones say it
	return ofRecord(data as IDataObject);
}

/** The task once it has ended, however it did. */
async function ended(call: Call, taskId: string): Promise<Task> {
	const { timeoutMinutes = 60 } = parameter<IDataObject>(call, 'options', {});
	const deadline = Date.now() + Number(timeoutMinutes) * 60_000;
	for (let seconds = FIRST_PAUSE_SECONDS; ; seconds = Math.min(seconds * 1.5, MOST_PAUSE_SECONDS)) {
		const task = await look(call, taskId);
		if (task.status !== 'pending') return task;
		if (Date.now() >= deadline) {
			const advice = 'It goes on: wait for it with Get Task, or with a higher Timeout.';
			throw refused(call, `Task ${taskId} has not ended after ${String(timeoutMinutes)} minutes`, advice);
		}
		await pause(call, seconds);
	}
}

async function create(call: Call, body: IDataObject, key: string): Promise<{ taskId: string; replayed: boolean }> {
	const headers = { 'Idempotency-Key': `"${key}"` };
	const options = { method: 'POST', body, headers, json: true, charges: true } as const;
	const answer = await ask(call, '/api/v1/vocal-removal/generate', options);
	const taskId = String((answer.data as IDataObject).taskId);
	return { taskId, replayed: answer.headers['idempotent-replayed'] === 'true' };
}

/** The same for a step that n8n runs again in the same execution, so that Retry On Fail charges once. */
function idempotencyKey({ context, item }: Call, body: IDataObject): string {
	const { idempotencyKey: own } = context.getNodeParameter('options', item, {}) as IDataObject;
	if (own) return String(own);
	const run = context.evaluateExpression('{{ $runIndex }}', item);
	const parts = [context.getExecutionId(), context.getNode().id, run, item, body];
	return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 40);
}

// ---- the song and what is wanted of it ---------------------------------------------------------

async function song(call: Call): Promise<IDataObject> {
	switch (parameter<string>(call, 'source')) {
		case 'url':
			return { audioUrl: parameter<string>(call, 'songUrl') };
		case 'ids':
			return { taskId: parameter<string>(call, 'songTaskId'), audioId: parameter<string>(call, 'audioId') };
		default:
			return await upload(call, parameter<string>(call, 'binaryPropertyName'));
	}
}

async function upload(call: Call, field: string): Promise<IDataObject> {
	const { helpers } = call.context;
	const { mimeType, fileName, fileExtension } = helpers.assertBinaryData(call.item, field);
	const bytes = new Uint8Array(await helpers.getBinaryDataBuffer(call.item, field));
	const form = new FormData();
	form.append('uploadPath', 'n8n');
	form.append('file', new Blob([bytes], { type: mimeType }), fileName ?? `song.${fileExtension ?? 'mp3'}`);
	const { data } = await ask(call, '/api/file-stream-upload', { method: 'POST', body: form });
	const { taskId, audioId, downloadUrl } = data as IDataObject;
	return taskId && audioId ? { taskId, audioId } : { audioUrl: downloadUrl };
}

function wish(call: Call): IDataObject {
	const type = parameter<string>(call, 'stems');
	const { format, model, priority } = parameter<IDataObject>(call, 'options', {});
	const wanted: IDataObject = { type, format, model, priority };
	if (type === 'split_stem_advanced') wanted.stemName = parameter<string>(call, 'stemName');
	return Object.fromEntries(Object.entries(wanted).filter(([, value]) => value !== undefined && value !== ''));
}

// ---- what comes out ----------------------------------------------------------------------------

/** The stems as files: an item for each, or all of them in one. */
async function files(call: Call, task: Task): Promise<INodeExecutionData[]> {
	const { onlyStems, eachInItsOwn = true } = parameter<IDataObject>(call, 'options', {});
	const wanted = String(onlyStems ?? '').split(',').map((name) => name.trim()).filter(Boolean);
	const missing = wanted.filter((name) => !(name in task.stems));
	if (missing.length > 0) {
		const there = Object.keys(task.stems).join(', ');
		throw refused(call, `Task ${task.taskId} has no stem ${missing.join(', ')}`, `It has ${there}.`);
	}
	const together: INodeExecutionData = { json: task, binary: {}, pairedItem: { item: call.item } };
	const items: INodeExecutionData[] = [];
	for (const [stem, url] of Object.entries(task.stems)) {
		if (wanted.length > 0 && !wanted.includes(stem)) continue;
		const file = await fetched(call, stem, url);
		together.binary![stem] = file;
		items.push({ json: { taskId: task.taskId, stem, url }, binary: { data: file }, pairedItem: { item: call.item } });
	}
	return eachInItsOwn ? items : [together];
}

/** Piece by piece, as n8n stores it. The key is not sent along: files may lie anywhere. */
async function fetched({ context, item }: Call, stem: string, url: string) {
	const { helpers } = context;
	const format = /\.([a-z0-9]{1,5})$/i.exec(new URL(url).pathname)?.[1] ?? 'mp3';
	for (let tries = 1; ; tries++) {
		try {
			const stream = await helpers.httpRequest({ url, encoding: 'stream' });
			return await helpers.prepareBinaryData(stream, `${stem}.${format}`);
		} catch (fault) {
			if (tries < DOWNLOAD_TRIES) continue;
			throw new NodeOperationError(context.getNode(), `The stem ${stem} could not be downloaded`, {
				description: `${(fault as Error).message}. Stems are kept for a time only (expireTime of the task).`,
				itemIndex: item,
			});
		}
	}
}

function succeeded(call: Call, task: Task): Task {
	if (task.status === 'success') return task;
	const reason = task.errorMessage ?? 'the server does not say why';
	throw refused(call, `The song could not be separated: ${reason}`, `Task ${task.taskId}; its credits were given back.`);
}

function one({ item }: Call, json: IDataObject): INodeExecutionData[] {
	return [{ json, pairedItem: { item } }];
}

function refused({ context, item }: Call, message: string, description: string): NodeOperationError {
	return new NodeOperationError(context.getNode(), message, { description, itemIndex: item });
}

function parameter<T>({ context, item }: Call, name: string, otherwise?: T): T {
	const value = context.getNodeParameter(name, item, otherwise as never) as T;
	return (typeof value === 'string' ? value.trim() : value) as T;
}

