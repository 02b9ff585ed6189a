// Every unfinished task of the account as it goes on, from one stream of events.
import { useLayoutEffect, useState } from "preact/hooks";
import { away, goneAway, refreshSession, session, url } from "./api";
import { say } from "./say";
import { Store } from "./store";
import type { Progress } from "./types";
import { isEnded, STATES } from "./words";

/** The last word on each task that was told of since the page was opened. */
export const tasks = new Map<string, Progress>();
/** Grows with every event; holds the tasks that have just ended. */
export const ticks = new Store<{ ended: Progress[] }>({ ended: [] });

const names = new Map<string, string>();
const announced = new Map<string, number>();
let source: EventSource | undefined;

/** Give a task's song its name in what is announced. */
export const nameTask = (taskId: string, song: string): void => void names.set(taskId, song);

export function follow(): void {
  if (source || !session.value) return;
  source = new EventSource(url("/events"));
  source.addEventListener("tasks", (event) => take(JSON.parse((event as MessageEvent<string>).data)));
  source.addEventListener("over", () => {
    unfollow();
    void refreshSession().catch(() => undefined);
  });
  source.onerror = () => {
    unfollow();
    goneAway(); // looks whether it is the server, or only our session
  };
}

export function unfollow(): void {
  source?.close();
  source = undefined;
}

away.listen(() => away.value || follow());
session.listen(() => (session.value ? follow() : unfollow()));

function take(told: { first: boolean; tasks: Progress[] }): void {
  const ended: Progress[] = [];
  if (told.first) {
    // What is not told any more has ended while nobody listened: its page finds out how.
    const running = new Set(told.tasks.map((task) => task.taskId));
    for (const [id, task] of tasks) if (!isEnded(task.state) && !running.has(id)) tasks.delete(id);
  }
  for (const task of told.tasks) {
    const before = tasks.get(task.taskId);
    tasks.set(task.taskId, task);
    if (isEnded(task.state) && (!before || !isEnded(before.state))) ended.push(task);
    announce(task);
  }
  ticks.set({ ended });
}

/** Say aloud each quarter of the way, and the end. */
function announce(task: Progress): void {
  const name = names.get(task.taskId);
  if (!name) return;
  const quarter = isEnded(task.state) ? 4 : task.state === "separating" ? Math.floor(task.progress / 25) : 0;
  const before = announced.get(task.taskId);
  announced.set(task.taskId, quarter);
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
