// Every unfinished task of the account as it goes on, from one stream of events.
import { useLayoutEffect, useState } from "preact/hooks";
import { AGAIN_MS, away, ended, epoch, type Fault, get, passes, refresh, SELDOM_MS, session, url } from "./api";
import { say } from "./say";
import { Store } from "./store";
import type { Progress, Task } from "./types";
import { isEnded, STATES } from "./words";

/** The last word on each task that was told of since the page was opened. */
export const tasks = new Map<string, Progress>();
/** New with every event; holds the tasks that have just ended, and whether there is one that was not known. */
export const ticks = new Store<{ ended: Progress[]; begun: boolean }>({ ended: [], begun: false });

const names = new Map<string, string>();
const announced = new Map<string, number>();
let source: EventSource | undefined;
let failures = 0;

/** Give a task's song its name in what is announced. */
export const nameTask = (taskId: string, song: string): void => void names.set(taskId, song);

/** The one place that decides whether to listen: browsers have six connections to a server, for all tabs together. */
function attend(): void {
  const wanted = session.value && !ended.value && !away.value && !document.hidden;
  if (wanted) source ??= listen();
  else {
    source?.close();
    source = undefined;
  }
}

for (const store of [session, ended, away]) store.listen(attend);
document.addEventListener("visibilitychange", () => {
  attend();
  if (source) epoch.set(epoch.value + 1);
});
// Two windows beside each other are both seen: what was done in the other one shows when one comes to this.
addEventListener("focus", () => {
  refresh();
  epoch.set(epoch.value + 1);
});

function listen(): EventSource {
  const stream = new EventSource(url("/events"));
  const broken = (): void => {
    stream.close();
    refresh(); // tells whether the server is away, or our session over: both have their own way back
    setTimeout(() => {
      if (source !== stream) return;
      source = undefined;
      attend();
    }, Math.min(SELDOM_MS, AGAIN_MS * 2 ** failures++));
  };
  stream.addEventListener("tasks", (event) => {
    failures = 0;
    const told = JSON.parse((event as MessageEvent<string>).data) as { first: boolean; tasks: Progress[] };
    const begun = !told.first && told.tasks.some((task) => !tasks.has(task.taskId));
    if (told.first) forget(new Set(told.tasks.map((task) => task.taskId)));
    else if (begun || told.tasks.some((task) => isEnded(task.state))) refresh(); // it was paid for, or given back
    take(told.tasks, begun);
  });
  stream.addEventListener("over", broken);
  stream.onerror = broken;
  return stream;
}

/** What is not told any more has ended while nobody listened: find out how, where somebody wants to know. */
function forget(running: Set<string>): void {
  for (const [id, task] of tasks) if (!isEnded(task.state) && !running.has(id)) tasks.delete(id);
  void findOut([...names.keys()].filter((id) => !running.has(id)));
}

async function findOut(ids: string[]): Promise<void> {
  const found: Progress[] = [];
  const later: string[] = [];
  for (const id of ids) {
    try {
      const { taskId, state, progress, error, warnings } = await get<Task>(`/tasks/${id}`);
      // What goes on is told by the stream, which may have said more since.
      if (isEnded(state)) found.push({ taskId, state, progress, error, warnings, secondsLeft: null, ahead: null });
    } catch (fault) {
      if (passes(fault as Fault)) later.push(id);
      else if ((fault as Fault).status === 404) found.push({ taskId: id, state: "cancelled", progress: 0, error: "It was deleted.", warnings: [], secondsLeft: null, ahead: null });
    }
  }
  if (found.length) take(found);
  if (later.length) setTimeout(findOut, 2 * AGAIN_MS, later);
}

function take(told: Progress[], begun = false): void {
  const ends: Progress[] = [];
  for (const task of told) {
    const before = tasks.get(task.taskId);
    tasks.set(task.taskId, task);
    if (isEnded(task.state) && (!before || !isEnded(before.state))) ends.push(task);
    announce(task);
  }
  ticks.set({ ended: ends, begun });
}

/** Say aloud each quarter of the way, and the end. */
function announce(task: Progress): void {
  const name = names.get(task.taskId);
  if (!name) return;
  const quarter = isEnded(task.state) ? 4 : task.state === "separating" ? Math.floor(task.progress / 25) : 0;
  const before = announced.get(task.taskId);
  announced.set(task.taskId, quarter);
  if (quarter === 4) names.delete(task.taskId);
  if (before === undefined || quarter <= before) return;
  say(quarter === 4 ? `${name}: ${STATES[task.state].toLowerCase()}.` : `${name}: ${quarter * 25} percent.`);
}

/** Draw again with every event; returns what is known of a task. */
export function useProgress(): Map<string, Progress> {
  const [, redraw] = useState({});
  useLayoutEffect(() => ticks.listen(() => redraw({})), []);
  return tasks;
}

/** Call `then` when a task has ended that `cares` about. */
export function useEnds(cares: (taskId: string) => boolean, then: () => void): void {
  useLayoutEffect(() => ticks.listen(() => ticks.value.ended.some((task) => cares(task.taskId)) && then()));
}

/** Call `then` when there is a task that was not known: another tab has asked for it, or a program. */
export function useBegins(then: () => void): void {
  useLayoutEffect(() => ticks.listen(() => ticks.value.begun && then()));
}
