/** Whether a callback is genuine and new, by Standard Webhooks 1.0.0: the signature that covers the whole body. */

import { createHmac, timingSafeEqual } from 'node:crypto';

const TOLERANCE_SECONDS = 300;

type Headers = Record<string, string | string[] | undefined>;

/** Null, or why it is not to be believed. `body` byte for byte as it came, `now` in epoch milliseconds. */
export function whyNot(headers: Headers, body: Buffer, secret: string, now: number): string | null {
	const [id, stamp, signatures] = ['id', 'timestamp', 'signature'].map((name) => String(headers[`webhook-${name}`] ?? ''));
	if (!signatures) return 'it carries no webhook-signature';
	const signed = createHmac('sha256', keyOf(secret)).update(`${id}.${stamp}.`).update(body).digest();
	const given = signatures.split(' ').filter((text) => text.startsWith('v1,'));
	if (!given.some((text) => same(signed, Buffer.from(text.slice(3), 'base64')))) {
		return 'its signature does not fit the callback secret in the credentials';
	}
	if (!/^\d+$/.test(stamp!)) return 'its webhook-timestamp is not a number';
	const age = Math.round(now / 1000 - Number(stamp));
	return Math.abs(age) > TOLERANCE_SECONDS ? `its time is ${age} seconds away from the clock here` : null;
}

function keyOf(secret: string): Buffer {
	const text = secret.replace(/^whsec_/, '');
	const key = Buffer.from(text, 'base64');
	return key.toString('base64').replace(/=+$/, '') === text.replace(/=+$/, '') ? key : Buffer.from(secret);
}

function same(one: Buffer, other: Buffer): boolean {
	return one.length === other.length && timingSafeEqual(one, other);
}
