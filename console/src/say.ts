// What a screen reader is told, and what is shown for a moment.
import { Store } from "./store";

export const spoken = new Store("");
export const note = new Store<{ text: string; bad: boolean } | null>(null);

/** Say it in the polite live region. */
export function say(text: string): void {
  // The same words again are announced again only when something about them is new.
  spoken.set(text === spoken.value ? text + "\u00a0" : text);
}

let timer: ReturnType<typeof setTimeout>;

/** Show it for some seconds, and say it. */
export function tell(text: string, { bad = false } = {}): void {
  note.set({ text, bad });
  say(text);
  clearTimeout(timer);
  timer = setTimeout(() => note.set(null), bad ? 9000 : 4000);
}
