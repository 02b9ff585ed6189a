/** What a server tells of a separation, as n8n's expressions like it: `$json.stems.vocals` is an address. */

import type { IDataObject } from 'n8n-workflow';

export type Status = 'pending' | 'success' | 'failed';

export interface Task extends IDataObject {
	taskId: string;
	status: Status;
	/** Address by stem, in the server's order. */
	stems: Record<string, string>;
	errorMessage: string | null;
}

const INFOS = ['vocal_separation_info', 'vocal_removal_info'];

/** From `data` of record-info. */
export function ofRecord(data: IDataObject): Task {
	const flag = String(data.successFlag ?? 'PENDING');
	const stems = stemsOf(data.response as IDataObject);
	const told = ['type', 'stemName', 'progress', 'stage', 'model', 'device', 'playerUrl', 'createTime'];
	told.push('completeTime', 'expireTime', 'silentStems', 'experimental', 'warnings');
	return {
		taskId: String(data.taskId),
		status: statusOf(flag, stems),
		errorMessage: (data.errorMessage as string | null) ?? null,
		stems,
		...Object.fromEntries(told.filter((key) => key in data).map((key) => [key, data[key]])),
	};
}

/** From the body of a callback; null where it is none. */
export function ofCallback(told: IDataObject): Task | null {
	const data = told.data as IDataObject | undefined;
	if (typeof data?.task_id !== 'string') return null;
	const failed = told.code !== 200;
	const info = INFOS.map((key) => data[key]).find(Boolean);
	return {
		taskId: data.task_id,
		status: failed ? 'failed' : 'success',
		errorMessage: failed ? String(told.msg) : null,
		stems: stemsOf(info as IDataObject),
	};
}

/** A callback that could not be delivered, as some servers have it, takes nothing from the stems. */
function statusOf(flag: string, stems: Task['stems']): Status {
	if (flag === 'PENDING') return 'pending';
	const there = flag === 'CALLBACK_EXCEPTION' && Object.keys(stems).length > 0;
	return flag === 'SUCCESS' || there ? 'success' : 'failed';
}

/** From the list that describes them, else from the addresses by name. */
function stemsOf(told: IDataObject | null | undefined): Task['stems'] {
	const listed = (told?.originData ?? told?.origin_data ?? []) as IDataObject[];
	const stems: Task['stems'] = {};
	for (const entry of listed) {
		for (const [file, prefix] of [
			[entry, ''],
			[entry.extract, ''],
			[entry.remove, 'without_'],
		] as Array<[IDataObject | undefined, string]>) {
			if (file?.audio_url) stems[prefix + plain(String(file.stem_type_group_name))] = String(file.audio_url);
		}
	}
	if (listed.length > 0) return stems;
	for (const [key, url] of Object.entries(told ?? {})) {
		const name = /(_u|U)rl$/.test(key) ? plain(key.replace(/_?[uU]rl$/, '')) : 'origin';
		if (typeof url === 'string' && url && name !== 'origin') stems[name] = url;
	}
	return stems;
}

/** `Backing_Vocals`, `backingVocals` and `Backing Vocals` are `backing_vocals`; what is left is safe in a file's name. */
function plain(label: string): string {
	const words = label.replace(/([a-z])([A-Z])/g, '$1_$2').toLowerCase();
	const name = words.replace(/[^a-z0-9]+/g, '_').replace(/^_+|_+$/g, '').slice(0, 60);
	return name === 'vocal' ? 'vocals' : name || 'stem';
}
