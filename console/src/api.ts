// The one place that speaks with the server.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { returned } from "./router";
import { Store, useStore } from "./store";
import type { Session } from "./types";
import { straight } from "./words";

const ROOT = "/console/api";
export const AGAIN_MS = 1500;
export const SELDOM_MS = 60_000;

/** Why something did not work: what the server said, or that it does not answer (status 0). */
export class Fault extends Error {
  constructor(
    message: string,
    public status: number,
    public retryAfter = 0,
  ) {
    super(message);
  }
}

/** Whether the same may go well soon: the server answers, but has too much to do, or trouble of its own. */
export const passes = (fault: Fault): boolean => fault.status === 429 || fault.status >= 500;

/** `null`: nobody is signed in; `undefined`: not known yet. */
export const session = new Store<Session | null | undefined>(undefined);
/** Whether somebody was signed in before the session ended: their page waits behind the dialog. */
export const ended = new Store(false);
/** Whether the server does not answer. */
export const away = new Store(false);
/** Whether a secret is shown that is shown only once: nothing may cover it. */
export const unread = new Store(false);
/** What could not be loaded again: pages go on with what they have, and this is said above them. */
export const stale = new Store<Fault[]>([]);
/** Grows when everything on the page may be out of date. */
export const epoch = new Store(0);

export const AWAY = "The server does not answer. This page tries again by itself; nothing is lost.";

export function call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  if (method === "GET") return send(method, path, body, headers);
  return withToken((token) => send(method, path, body, { ...headers, "X-CSRF-Token": token }));
}

/** Do what needs the session's token; once more where somebody has signed in again in another tab meanwhile. */
export async function withToken<T>(attempt: (token: string) => Promise<T>): Promise<T> {
  const token = session.value?.csrf ?? "";
  try {
    return await attempt(token);
  } catch (fault) {
    if ((fault as Fault).status !== 403) throw fault;
    await refreshSession();
    if (!session.value || session.value.csrf === token) throw fault;
    return attempt(session.value.csrf);
  }
}

async function send<T>(method: string, path: string, body: unknown, sent: Record<string, string>): Promise<T> {
  if (body !== undefined) sent["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(ROOT + path, { method, headers: sent, body: body === undefined ? null : JSON.stringify(body) });
  } catch {
    goneAway();
    throw new Fault(AWAY, 0);
  }
  return read<T>(answer.status, await answer.text().catch(() => ""), Number(answer.headers.get("Retry-After") ?? 0));
}

/** The data of an answer; throws a Fault for an error. */
export function read<T>(status: number, text: string, retryAfter = 0): T {
  let envelope: { code?: number; msg?: string; data?: T };
  try {
    envelope = JSON.parse(straight(text)) as typeof envelope;
  } catch {
    if (status >= 502 && status <= 504) {
      goneAway(); // what stands before the server says so
      throw new Fault(AWAY, 0);
    }
    throw new Fault(`The server answered something that is not for us (HTTP ${status}).`, status);
  }
  if (status >= 200 && status < 300) return envelope.data as T;
  if (status === 401 && session.value && !ended.value) refresh();
  throw new Fault(envelope.msg ?? `HTTP ${status}`, envelope.code ?? status, retryAfter);
}

export const get = <T>(path: string): Promise<T> => call<T>("GET", path);
export const post = <T>(path: string, body: unknown = {}, headers?: Record<string, string>): Promise<T> => call<T>("POST", path, body, headers);
export const remove = <T>(path: string): Promise<T> => call<T>("DELETE", path);
export const url = (path: string): string => ROOT + path;

let asked = 0;

/** Ask who is signed in, and tell everybody who wants to know: this alone says that a session has ended. */
export async function refreshSession(): Promise<void> {
  const mine = ++asked;
  const found = await get<Session | { signedIn: false }>("/session").catch((fault: Fault) => {
    if (fault.status >= 500) goneAway();
    throw fault;
  });
  if (mine !== asked) return; // somebody asked again since, or signed in
  if (found.signedIn) enter(found);
  else if (session.value) ended.set(true);
  else if (!left) session.set(null);
}

/** The same where nobody waits for it: what is shown of the account may be out of date. */
export const refresh = (): void => void refreshSession().catch(() => undefined);

export async function signIn(key: string): Promise<void> {
  const found = await post<Session>("/session", { key });
  asked++;
  enter(found);
}

export async function signOut(): Promise<void> {
  await remove("/session").catch((fault: Fault) => {
    if (fault.status !== 401) throw fault;
  });
  leave();
}

function enter(found: Session): void {
  if (left) return;
  if (session.value && session.value.account.id !== found.account.id) return leave();
  session.set(found);
  if (!ended.value) return;
  ended.set(false);
  epoch.set(epoch.value + 1);
}

let left = false;

/** What this page remembers is one account's, songs and all: for nobody, and for another, it is loaded anew. */
function leave(): void {
  left = true;
  session.set(undefined);
  location.replace("/");
}

// The way back in the history may bring this page as it was left, with nothing on it.
addEventListener("pageshow", () => left && location.reload());

/** Note that the server does not answer, and look for it until it does. */
export function goneAway(): void {
  if (away.value) return;
  away.set(true);
  const look = async (pause: number): Promise<void> => {
    const fault = await refreshSession().catch((thrown: Fault) => thrown);
    if (fault && (fault.status === 0 || fault.status >= 500)) return void setTimeout(look, pause, Math.min(2 * pause, 8 * AGAIN_MS));
    away.set(false);
    epoch.set(epoch.value + 1);
  };
  setTimeout(look, AGAIN_MS, AGAIN_MS);
}

export interface Loaded<T> {
  data: T | undefined;
  fault: Fault | undefined;
  reload: () => Promise<void>;
}

/** What was found lately, by path, for the way back: the browser scrolls to where one was as soon as the page is long enough. */
const known = new Map<string, unknown>();
const MOST_KNOWN = 30;

function keep(path: string, data: unknown): void {
  known.delete(path);
  known.set(path, data);
  if (known.size > MOST_KNOWN) known.delete(known.keys().next().value as string);
}

/** What is at `path`, loaded again when it changes, when the server is back, and when asked to. The old stays until then. */
export function useData<T>(path: string | null, everyMs = 0): Loaded<T> {
  const [state, set] = useState<{ path: string | null; data?: T | undefined; fault?: Fault }>(() => ({ path, data: returned && path !== null ? (known.get(path) as T) : undefined }));
  const now = useStore(epoch);
  const newest = useRef(0);
  const load = useCallback(async () => {
    if (path === null) return;
    const mine = ++newest.current;
    const refused = (fault: Fault): void => {
      if (mine !== newest.current) return;
      const gone = fault.status === 404 || fault.status === 410;
      set((old) => ({ path, fault, ...(old.path === path && old.data !== undefined && !gone ? { data: old.data } : {}) }));
      if (passes(fault)) setTimeout(() => mine === newest.current && void load(), Math.max(2 * AGAIN_MS, 1000 * fault.retryAfter));
    };
    await get<T>(path).then((data) => {
      keep(path, data);
      if (mine === newest.current) set({ path, data });
    }, refused);
  }, [path]);
  useEffect(() => {
    void load();
    const timer = everyMs ? setInterval(() => document.hidden || away.value || void load(), everyMs) : 0;
    return () => {
      newest.current++; // nobody waits any more for what is on its way
      clearInterval(timer);
    };
  }, [load, now, everyMs]);
  const fault = state.path === path ? state.fault : undefined;
  useEffect(() => {
    if (!fault?.status || state.data === undefined) return;
    stale.set([...stale.value, fault]);
    return () => stale.set(stale.value.filter((each) => each !== fault));
  }, [fault]);
  return { data: state.data, fault, reload: load };
}
