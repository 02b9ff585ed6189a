// Songs on their way: chosen, uploaded, asked for, and made. They stay while one looks at other pages.
import { away, call, ended, epoch, Fault, goneAway, read, refresh, session, url, withToken } from "./api";
import { nameTask } from "./live";
import { say } from "./say";
import { Store } from "./store";
import type { Kind } from "./types";
import { straight } from "./words";

export interface Options {
  kind: Kind;
  stemName: string;
  format: string;
  model: string;
  callBackUrl: string;
}

export type Source = { file: File } | { audioUrl: string } | { taskId: string; audioId: string };

export interface Song {
  id: number;
  name: string;
  source: Source;
  /** chosen → uploading → asking → made (it has a task now); or failed, or waiting for the server. */
  step: "chosen" | "waiting" | "uploading" | "asking" | "made" | "failed" | "cut";
  sent: number;
  size: number;
  since: number;
  problem: string;
  taskId: string | null;
  /** One for every wish: asked twice with the same, the server makes one task and charges once. */
  wish: string;
  options: Options | null;
  /** How often it was cut off since a person asked for it. */
  cuts: number;
}

export const songs = new Store<Song[]>([]);
const AT_ONCE = 2;
const MOST_CUTS = 4;
const CUT = "The upload was cut off: the server does not answer. It is sent again as soon as it does.";
const OVER = "Your session has ended. It is sent as soon as you have signed in again.";
const CUT_OFTEN = "The upload was cut off again and again, though the server answers.";
let count = 0;
const running = new Map<number, XMLHttpRequest>();

export function add(name: string, source: Source): void {
  const size = "file" in source ? source.file.size : 0;
  const song: Song = { id: ++count, name: straight(name), source, step: "chosen", sent: 0, size, since: 0, problem: "", taskId: null, wish: wish(), options: null, cuts: 0 };
  songs.set([...songs.value, song]);
}

export function drop(id: number): void {
  running.get(id)?.abort();
  running.delete(id);
  songs.set(songs.value.filter((song) => song.id !== id));
  next();
}

export function start(options: Options): void {
  for (const song of songs.value) if (song.step === "chosen") change(song.id, { step: "waiting", options });
  next();
}

/** Once more; a wish that was refused, with the options as they are now. What was cut off may have been granted. */
export function retry(song: Song, options: Options | null): void {
  const other = song.step === "failed" && JSON.stringify(options) !== JSON.stringify(song.options);
  change(song.id, { step: "waiting", problem: "", sent: 0, cuts: 0, ...(other ? { options, wish: wish() } : {}) });
  next();
}

/** What was cut off is sent again once the server is there and somebody is signed in. */
function goOn(): void {
  if (away.value || ended.value || !session.value) return;
  for (const song of songs.value) if (song.step === "cut") change(song.id, { step: "waiting", problem: "", sent: 0 });
  next();
}

for (const store of [away, session, ended]) store.listen(goOn);

addEventListener("beforeunload", (event) => {
  if (session.value && songs.value.some((song) => ["waiting", "uploading", "asking", "cut"].includes(song.step))) event.preventDefault();
});

function change(id: number, values: Partial<Song>): void {
  songs.set(songs.value.map((song) => (song.id === id ? { ...song, ...values } : song)));
}

function next(): void {
  if (!session.value || ended.value) return;
  const busy = songs.value.filter((song) => song.step === "uploading" || song.step === "asking").length;
  for (const song of songs.value.filter((each) => each.step === "waiting").slice(0, AT_ONCE - busy)) void bring(song);
}

async function bring(song: Song): Promise<void> {
  try {
    let source = song.source;
    if ("file" in source) {
      change(song.id, { step: "uploading", sent: 0, since: Date.now() });
      source = await upload(song.id, source.file);
      change(song.id, { source });
    }
    change(song.id, { step: "asking" });
    const taskId = await ask(song, source);
    nameTask(taskId, song.name);
    change(song.id, { step: "made", taskId, problem: "" });
    say(`${song.name}: waiting for its turn.`);
    refresh();
    epoch.set(epoch.value + 1);
  } catch (thrown) {
    if (!isHere(song.id)) return;
    const fault = thrown as Fault;
    const [told, often] = ({ 0: [CUT, CUT_OFTEN], 401: [OVER, fault.message] } as Record<number, [string, string]>)[fault.status] ?? [];
    const cuts = song.cuts + (told ? 1 : 0);
    const step = told && cuts < MOST_CUTS ? "cut" : "failed";
    const problem = (step === "cut" ? told : often) ?? fault.message;
    change(song.id, { step, problem, cuts });
    say(`${song.name}: ${problem}`);
  } finally {
    running.delete(song.id);
    next();
  }
}

async function ask(song: Song, source: Exclude<Source, { file: File }>): Promise<string> {
  const { kind, stemName, format, model, callBackUrl } = song.options as Options;
  const body = {
    ...source,
    type: kind,
    format,
    ...(kind === "split_stem_advanced" ? { stemName } : {}),
    ...(callBackUrl ? { callBackUrl } : {}),
    ...(model ? { model } : {}),
  };
  while (isHere(song.id)) {
    try {
      return (await call<{ taskId: string }>("POST", "/tasks", body, { "Idempotency-Key": song.wish })).taskId;
    } catch (thrown) {
      const fault = thrown as Fault;
      if (fault.status !== 429 && fault.status !== 409) throw fault;
      change(song.id, { problem: fault.message });
      await new Promise((done) => setTimeout(done, 1000 * Math.max(1, fault.retryAfter)));
    }
  }
  throw new Error("it was taken from the list");
}

const isHere = (id: number): boolean => songs.value.some((song) => song.id === id);

const upload = (id: number, file: File): Promise<{ taskId: string; audioId: string }> => withToken((token) => sent(id, file, token));

function sent(id: number, file: File, token: string): Promise<{ taskId: string; audioId: string }> {
  // Only XMLHttpRequest tells how much of an upload has gone out.
  return new Promise((done, failed) => {
    const request = new XMLHttpRequest();
    running.set(id, request);
    request.open("POST", url("/uploads"));
    request.setRequestHeader("X-CSRF-Token", token);
    request.upload.onprogress = (event) => change(id, { sent: event.loaded, size: event.total });
    // It is not told whether the server or the file is away.
    request.onerror = () =>
      file.slice(0, 1).arrayBuffer().then(
        () => { goneAway(); failed(new Fault("", 0)); },
        () => failed(new Error("This file cannot be read any more: it was moved, renamed or changed. Choose it again.")),
      );
    request.onload = () => {
      try {
        done(read<{ taskId: string; audioId: string }>(request.status, request.responseText));
      } catch (fault) {
        failed(fault);
      }
    };
    const form = new FormData();
    form.append("file", file, file.name);
    request.send(form);
  });
}

export function wish(): string {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
