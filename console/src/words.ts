// How things are called and counted.
import type { Kind, Service, State } from "./types";

export const KINDS: Record<Kind, string> = {
  separate_vocal: "Vocals and instrumental",
  split_stem: "Twelve stems",
  split_stem_advanced: "One instrument",
};

/** Whether a model gives our twelve stems; what others give is told with the result. */
export const givesTwelve = (model: string): boolean => model === "fast" || model.startsWith("twelve");

/** What a kind of task makes; by which model is not known of a task before it is done, unless one was asked for. */
export const made = (kind: Kind, model: string | null): string => (kind === "split_stem" && model && !givesTwelve(model) ? "All stems" : KINDS[kind]);

/** What one song costs with that model; "" is the operator's. */
export const price = ({ prices, models }: Service, kind: Kind, model: string): number => (prices[model] ?? prices[models[0] as string])?.[kind] ?? 0;

export const STATES: Record<State, string> = {
  queued: "Waiting",
  fetching: "Fetching",
  separating: "Separating",
  storing: "Storing",
  finished: "Finished",
  failed: "Failed",
  cancelled: "Cancelled",
};

export const isEnded = (state: State): boolean => state === "finished" || state === "failed" || state === "cancelled";

export const plural = (count: number, one: string, many = one + "s"): string => `${number(count)} ${count === 1 ? one : many}`;
export const credits = (count: number): string => plural(count, "credit");

const numbers = new Intl.NumberFormat("en");
export const number = (value: number): string => numbers.format(value);

export function bytes(value: number): string {
  if (value < 1000) return `${value} B`;
  const units = ["kB", "MB", "GB", "TB"];
  let step = -1;
  do {
    value /= 1000;
    step += 1;
  } while (value >= 999.5 && step < units.length - 1);
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} ${units[step]}`;
}

/** Without the characters that turn the direction of what follows: `<bdi>` holds names apart, but these break out of it. */
export const straight = (text: string): string => text.replace(/[\u202a-\u202e\u2066-\u2069]/g, "");

/** Minutes and seconds of a song: 3:07. */
export function length(seconds: number): string {
  const whole = Math.round(seconds);
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  return h ? `${h}:${pad(m)}:${pad(s)}` : `${m}:${pad(s)}`;
}

/** How long something takes: 8 s, 2 min, 1 h 20 min. */
export function span(seconds: number): string {
  if (seconds < 10) return `${Math.max(0, seconds) < 9.95 && seconds % 1 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  if (hours < 48) return minutes % 60 ? `${hours} h ${minutes % 60} min` : `${hours} h`;
  return plural(Math.round(hours / 24), "day");
}

/** When a callback is tried, of the seconds that are waited before each attempt. */
export function attempts([first = 0, ...later]: number[]): string {
  const start = first ? `${span(first)} later` : "at once";
  if (later.length === 0) return `${start}, and only then`;
  const waits = later.length > 4 ? `up to ${later.length} times more` : `again after ${waited(later)}`;
  return `${start}, and ${waits}, until it is taken with a 2xx`;
}

function waited(seconds: number[]): string {
  const inMinutes = seconds.every((each) => each % 60 === 0);
  const said = seconds.map((each) => (inMinutes ? String(each / 60) : span(each)));
  const last = said.pop() ?? "";
  return (said.length ? `${said.join(", ")} and ${last}` : last) + (inMinutes ? (seconds.join() === "60" ? " minute" : " minutes") : "");
}

const pad = (value: number): string => String(value).padStart(2, "0");

const moment = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });
const full = new Intl.DateTimeFormat("en-GB", { dateStyle: "medium", timeStyle: "medium" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", year: "numeric" });

export const fullTime = (ms: number): string => full.format(ms);
export const date = (ms: number): string => day.format(ms);

/** A moment as people say it. */
export function ago(ms: number, now = Date.now()): string {
  const seconds = (now - ms) / 1000;
  if (seconds < -5) return `in ${span(-seconds)}`;
  if (seconds < 45) return "just now";
  if (seconds < 5400) return `${Math.round(seconds / 60)} min ago`;
  if (seconds < 20 * 3600) return `${Math.round(seconds / 3600)} h ago`;
  return seconds < 300 * 86400 ? moment.format(ms) : day.format(ms);
}

/** What the server says about a stage, and what a person wants to know of it. */
export function stage(state: State, progress: number, secondsLeft: number | null, ahead: number | null): string {
  if (state === "queued") return ahead ? `waiting, ${plural(ahead, "task")} of yours first` : "waiting for a worker";
  if (state === "fetching") return "fetching the song";
  if (state === "storing") return "storing the files";
  if (state === "separating") {
    const left = secondsLeft === null ? "" : `, about ${span(Math.round(secondsLeft))} left`;
    return progress < 1 ? "separating" : `separating, ${Math.floor(progress)} %${left}`;
  }
  return STATES[state].toLowerCase();
}
