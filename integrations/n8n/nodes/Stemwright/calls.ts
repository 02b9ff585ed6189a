/** One call of the server: both dialects' codes become one kind of error, and what passes is waited for. */

import type { IDataObject, IExecuteFunctions, IHttpRequestOptions, JsonObject } from 'n8n-workflow';
import { NodeApiError, NodeOperationError, sleep } from 'n8n-workflow';

export const CREDENTIALS = 'stemwrightApi';

const TRIES = 5;
const MOST_PAUSE_SECONDS = 30;

/** What was answered, as `httpRequestWithAuthentication` gives it with `returnFullResponse`. */
interface Answer {
	statusCode: number;
	headers: IDataObject;
	body: IDataObject | string;
}

interface Refusal {
	code: number;
	message: string;
	advice: string;
	/** The server did nothing: asking again, after a while, cannot do it twice. */
	turnedAway: boolean;
}

export interface Call {
	context: IExecuteFunctions;
	/** Of which item errors tell. */
	item: number;
}

interface Options extends Omit<IHttpRequestOptions, 'url'> {
	/** It costs credits: not tried again where it may have been done. */
	charges?: boolean;
}

/** `data` of the answer, and its headers; raises NodeApiError. */
export async function ask(
	{ context, item }: Call,
	path: string,
	{ charges = false, ...options }: Options = {},
): Promise<{ data: unknown; headers: IDataObject }> {
	const credentials = await context.getCredentials(CREDENTIALS, item);
	const url = String(credentials.baseUrl).replace(/\/+$/, '') + path;
	const request = { ...options, url, returnFullResponse: true, ignoreHttpStatusErrors: true };
	for (let tries = 1; ; tries++) {
		let answer: Answer | undefined;
		let refusal: Refusal;
		try {
			answer = await context.helpers.httpRequestWithAuthentication.call(context, CREDENTIALS, request);
			const found = refusalOf(answer as Answer, url);
			if (!found) return { data: bodyOf(answer as Answer).data, headers: (answer as Answer).headers };
			refusal = found;
		} catch (fault) {
			refusal = unreachable(url, fault as Error, charges);
		}
		const again = refusal.turnedAway || (!charges && (refusal.code >= 500 || refusal.code === 0));
		if (!again || tries === TRIES) throw said(context, item, refusal, tries);
		await pause({ context, item }, pauseSeconds(answer, tries));
	}
}

/** Waits; ends when the execution is stopped, which n8n by itself does not tell a node. */
export async function pause({ context, item }: Call, seconds: number): Promise<void> {
	await sleep(seconds * 1000);
	if (context.getExecutionCancelSignal()?.aborted) {
		throw new NodeOperationError(context.getNode(), 'The execution was stopped', { itemIndex: item });
	}
}

function pauseSeconds(answer: Answer | undefined, tries: number): number {
	const asked = String(answer?.headers['retry-after'] ?? '');
	const growing = 2 ** (tries - 1) * (0.5 + Math.random() / 2);
	return Math.min(/^\d+$/.test(asked) ? Number(asked) : growing, MOST_PAUSE_SECONDS);
}

function bodyOf(answer: Answer): IDataObject {
	return typeof answer.body === 'object' && answer.body !== null ? answer.body : {};
}

/** Null for a success: 200 in the body, and no error in the HTTP status. */
function refusalOf(answer: Answer, url: string): Refusal | null {
	const body = bodyOf(answer);
	const code = Number(body.code ?? answer.statusCode);
	if (code === 200 && answer.statusCode < 400 && 'code' in body) return null;
	const said = String(body.msg ?? '') || `HTTP ${answer.statusCode}`;
	const id = body.requestId ? ` (request ${String(body.requestId)})` : '';
	const refusal = (message: string, advice: string, turnedAway = false): Refusal => ({
		code,
		message,
		advice: `${advice} The server said: ${said}${id}`,
		turnedAway,
	});
	// A proxy in between may answer without our envelope; a web page may answer anything.
	if (!('code' in body) && (answer.statusCode < 400 || [404, 405].includes(answer.statusCode))) {
		return refusal(`What answers at ${url} is not a Stemwright server`, 'Look at the Base URL in the credentials.');
	}
	if (code === 402 || (code === 429 && /credit|balance/i.test(said))) {
		return refusal('There are not enough credits left', 'Ask the operator of the server for more.');
	}
	switch (code) {
		case 401:
		case 403:
			return refusal('The server refuses the API key', 'Look at the API Key in the credentials.');
		case 404:
		case 410:
			return refusal('The server does not have what was asked for', 'Look at the IDs; files are kept for a time only.');
		case 405:
		case 429:
		case 430:
			return refusal('The server takes no more calls for now', 'Send fewer at a time, or try later.', true);
		case 409:
			return refusal('The same request is being answered already', 'Try again in a moment.', true);
		case 413:
			return refusal('The song is too large for the server', 'Its operator sets the limit.');
		case 455:
		case 503:
			return refusal('The server is in maintenance', 'Try later.', true);
		default:
			return code >= 500
				? refusal('The server failed', 'Try later; if it stays, tell its operator.')
				: refusal('The server does not accept the request', 'Look at the parameters of the node.');
	}
}

function unreachable(url: string, fault: Error, charges: boolean): Refusal {
	const refused = /ECONNREFUSED|ENOTFOUND|EAI_AGAIN/.test(`${fault.message} ${String((fault as { cause?: unknown }).cause)}`);
	const taken = charges && !refused ? ' The task may have been made; Retry On Fail asks with the same Idempotency-Key.' : '';
	return {
		code: 0,
		message: `The server at ${url} did not answer`,
		advice: `${fault.message}. Look at the Base URL in the credentials, and whether the server runs.${taken}`,
		turnedAway: refused,
	};
}

function said(context: IExecuteFunctions, item: number, refusal: Refusal, tries: number): NodeApiError {
	const often = tries > 1 ? ` It was asked ${tries} times.` : '';
	const response: JsonObject = { message: refusal.message, code: refusal.code };
	return new NodeApiError(context.getNode(), response, {
		message: refusal.message,
		description: refusal.advice + often,
		httpCode: refusal.code ? String(refusal.code) : undefined,
		itemIndex: item,
	});
}
