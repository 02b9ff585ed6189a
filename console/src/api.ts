// The one place that speaks with the server.
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { Store, useStore } from "./store";
import type { Session } from "./types";

const ROOT = "/console/api";
const AGAIN_MS = 1500;

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

/** `null`: nobody is signed in; `undefined`: not known yet. */
export const session = new Store<Session | null | undefined>(undefined);
/** Whether somebody was signed in before the session ended: their page waits behind the dialog. */
export const ended = new Store(false);
/** Whether the server does not answer. */
export const away = new Store(false);
/** Grows when everything on the page may be out of date. */
export const epoch = new Store(0);

export const AWAY = "The server does not answer. This page tries again by itself; nothing is lost.";

export async function call<T>(method: string, path: string, body?: unknown, headers: Record<string, string> = {}): Promise<T> {
  const sent: Record<string, string> = { ...headers };
  if (method !== "GET") sent["X-CSRF-Token"] = session.value?.csrf ?? "";
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
    envelope = JSON.parse(text) as typeof envelope;
  } catch {
    throw new Fault(`The server answered something that is not for us (HTTP ${status}).`, status);
  }
  if (status >= 200 && status < 300) return envelope.data as T;
  if (status === 401 && session.value) endSession();
  throw new Fault(envelope.msg ?? `HTTP ${status}`, envelope.code ?? status, retryAfter);
}

export const get = <T>(path: string): Promise<T> => call<T>("GET", path);
export const post = <T>(path: string, body: unknown = {}, headers?: Record<string, string>): Promise<T> => call<T>("POST", path, body, headers);
export const remove = <T>(path: string): Promise<T> => call<T>("DELETE", path);
export const url = (path: string): string => ROOT + path;

/** Ask who is signed in, and tell everybody who wants to know. */
export async function refreshSession(): Promise<void> {
  const found = await get<Session | { signedIn: false }>("/session");
  if (found.signedIn) session.set(found);
  else if (session.value) endSession();
  else session.set(null);
}

export async function signIn(key: string): Promise<void> {
  session.set(await post<Session>("/session", { key }));
  ended.set(false);
  epoch.set(epoch.value + 1);
}

export async function signOut(): Promise<void> {
  await remove("/session").catch((fault: Fault) => {
    if (fault.status !== 401) throw fault;
  });
  ended.set(false);
  session.set(null);
}

function endSession(): void {
  ended.set(true);
}

/** Note that the server does not answer, and look for it until it does. */
export function goneAway(): void {
  if (away.value) return;
  away.set(true);
  const look = async (): Promise<void> => {
    try {
      const answer = await fetch(ROOT + "/session");
      if (answer.status >= 500) throw new Error();
      away.set(false);
      await refreshSession();
      epoch.set(epoch.value + 1);
    } catch {
      setTimeout(look, AGAIN_MS);
    }
  };
  setTimeout(look, AGAIN_MS);
}

export interface Loaded<T> {
  data: T | undefined;
  fault: Fault | undefined;
  reload: () => void;
}

/** What is at `path`, loaded again when it changes, when the server is back, and when asked to. The old stays until then. */
export function useData<T>(path: string | null, everyMs = 0): Loaded<T> {
  const [state, set] = useState<{ path: string | null; data?: T; fault?: Fault }>({ path });
  const now = useStore(epoch);
  const newest = useRef(0);
  const load = useCallback(() => {
    if (path === null) return;
    const mine = ++newest.current;
    get<T>(path).then(
      (data) => mine === newest.current && set({ path, data }),
      (fault: Fault) => mine === newest.current && set((old) => ({ path, fault, ...(old.path === path && old.data !== undefined ? { data: old.data } : {}) })),
    );
  }, [path]);
  useEffect(() => {
    load();
    if (!everyMs) return;
    const timer = setInterval(() => document.hidden || away.value || load(), everyMs);
    return () => clearInterval(timer);
  }, [load, now, everyMs]);
  return { data: state.data, fault: state.path === path ? state.fault : undefined, reload: load };
}
