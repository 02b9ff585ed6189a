// The parts that pages are made of.
import type { ButtonHTMLAttributes, ComponentChildren, JSX, TargetedMouseEvent } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { Fault } from "./api";
import { say, spoken, tell } from "./say";
import { useStore } from "./store";
import type { State } from "./types";
import { ago, fullTime, STATES } from "./words";

const ICONS = {
  check: "M3.5 8.5l3 3 6-7",
  cross: "M4.5 4.5l7 7m0-7l-7 7",
  clock: "M8 4.5V8l2.3 1.6M8 2a6 6 0 100 12A6 6 0 008 2z",
  ring: "M8 2a6 6 0 106 6",
  minus: "M4 8h8",
  copy: "M6 6h7v8H6zM10.500 6V2.500H3v8h3",
  down: "M8 2.500v8m-3.500-3.200L8 10.800l3.500-3.500M3 13.500h10",
  trash: "M3 4.500h10M6.500 4.500v-2h3v2M4.500 4.500l.6 9h5.800l.6-9",
  again: "M13 8a5 5 0 11-1.600-3.700M13 2.500v2.800h-2.800",
  plus: "M8 3v10M3 8h10",
  menu: "M2.500 4.500h11M2.500 8h11M2.500 11.500h11",
  up: "M8 13V3M4 6.800L8 3l4 3.800",
  warn: "M8 2.500l6 11H2zM8 7v3m0 1.800v.2",
} as const;

export type IconName = keyof typeof ICONS;

export function Icon({ name, class: more = "" }: { name: IconName; class?: string }): JSX.Element {
  return (
    <svg class={`icon ${more}`} viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
      <path d={ICONS[name]} />
    </svg>
  );
}

type ButtonProps = Omit<ButtonHTMLAttributes<HTMLButtonElement>, "icon" | "disabled" | "type"> & { kind?: "main" | "plain" | "bad" | "bare"; icon?: IconName; busy?: boolean; small?: boolean; disabled?: boolean; type?: "button" | "submit" };

export function Button({ kind = "plain", icon, busy, small, children, ...more }: ButtonProps): JSX.Element {
  return (
    <button type="button" {...more} class={`button ${kind} ${small ? "small" : ""}`} aria-busy={busy || undefined} disabled={busy || more.disabled}>
      {busy ? <Icon name="ring" class="turning" /> : icon && <Icon name={icon} />}
      {children && <span>{children}</span>}
    </button>
  );
}

/** A button that does something with the server: busy meanwhile, and the fault is shown, or told to `failed`. */
export function Act({ act, done, failed = (fault) => tell(fault.message, { bad: true }), ...more }: Omit<ButtonProps, "onClick"> & { act: () => Promise<unknown>; done?: string; failed?: (fault: Fault) => void }): JSX.Element {
  const [busy, setBusy] = useState(false);
  const there = useRef(true);
  useEffect(() => () => void (there.current = false), []);
  const run = ({ currentTarget: button }: TargetedMouseEvent<HTMLButtonElement>): void => {
    setBusy(true);
    act()
      .then(() => done && tell(done), failed)
      .finally(() => {
        if (!there.current) return;
        setBusy(false);
        setTimeout(() => document.activeElement === document.body && button.focus()); // a busy one cannot keep the focus
      });
  };
  return <Button {...more} busy={busy} onClick={run} />;
}

const MARKS: Record<State, IconName> = { queued: "clock", fetching: "ring", separating: "ring", storing: "ring", finished: "check", failed: "cross", cancelled: "minus" };
const TONES: Record<State, string> = { queued: "quiet", fetching: "busy", separating: "busy", storing: "busy", finished: "good", failed: "bad", cancelled: "quiet" };

export function StateBadge({ state }: { state: State }): JSX.Element {
  return (
    <Badge tone={TONES[state]} icon={MARKS[state]} turning={MARKS[state] === "ring"}>
      {STATES[state]}
    </Badge>
  );
}

export function Badge({ tone = "quiet", icon, turning, children }: { tone?: string; icon?: IconName; turning?: boolean; children: ComponentChildren }): JSX.Element {
  return (
    <span class={`badge ${tone}`}>
      {icon && <Icon name={icon} class={turning ? "turning" : ""} />}
      {children}
    </span>
  );
}

export function Bar({ value, label }: { value: number | null; label: string }): JSX.Element {
  const whole = value === null ? undefined : Math.round(value);
  return (
    <div class={`bar ${value === null ? "unknown" : ""}`} role="progressbar" aria-label={label} aria-valuemin={0} aria-valuemax={100} aria-valuenow={whole}>
      <div style={{ width: `${value ?? 100}%` }} />
    </div>
  );
}

export function Ago({ time }: { time: number }): JSX.Element {
  const [, redraw] = useState(0);
  useEffect(() => {
    const timer = setInterval(() => redraw((count) => count + 1), 30_000);
    return () => clearInterval(timer);
  }, []);
  return (
    <time dateTime={new Date(time).toISOString()} title={fullTime(time)}>
      {ago(time)}
    </time>
  );
}

type FieldProps = { label: string; hint?: ComponentChildren; wrong?: string | undefined; children: (attributes: { id: string; "aria-describedby"?: string; "aria-invalid"?: boolean }) => ComponentChildren };

/** A label, its control, a hint, and what is wrong with what was entered. */
export function Field({ label, hint, wrong, children }: FieldProps): JSX.Element {
  const id = useId();
  const described = [hint && `${id}-hint`, wrong && `${id}-wrong`].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({ id, ...(described ? { "aria-describedby": described } : {}), ...(wrong ? { "aria-invalid": true } : {}) })}
      {hint && <p class="hint" id={`${id}-hint`}>{hint}</p>}
      {wrong && <p class="wrong" id={`${id}-wrong`} role="alert"><Icon name="warn" /> {wrong}</p>}
    </div>
  );
}

/** What is said aloud. Behind a dialog nothing is heard: each has one of its own. */
export function Spoken(): JSX.Element {
  return <div class="hidden" aria-live="polite" role="log">{useStore(spoken)}</div>;
}

let opener: HTMLElement | null = null;

/** A dialog of the browser's own: it keeps the focus, closes with Escape, and gives the focus back. */
export function Dialog({ title, onClose, children }: { title: ComponentChildren; onClose?: () => void; children: ComponentChildren }): JSX.Element {
  const box = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const dialog = box.current;
    // One that takes the place of another was opened by what opened that one.
    if (document.activeElement !== document.body) opener = document.activeElement as HTMLElement | null;
    const before = [opener, opener?.closest<HTMLElement>(".table")];
    dialog?.showModal();
    return () => {
      dialog?.close();
      // What opened it may be gone by what was done in it: then to the table it stood in, or to the page's heading.
      setTimeout(() => document.activeElement === document.body && [...before, document.querySelector("h1")].find((each) => each?.isConnected)?.focus());
    };
  }, []);
  // A browser lets nobody keep a dialog open against several Escapes.
  const closed = (): void => (onClose ? onClose() : box.current?.showModal());
  return (
    <dialog ref={box} aria-labelledby={id} onCancel={(event) => { event.preventDefault(); onClose?.(); }} onClose={() => box.current && closed()}>
      <h2 id={id}>{title}</h2>
      {children}
      <Spoken />
    </dialog>
  );
}

/** Asks before something that cannot be undone. */
export function Confirm({ title, children, yes, act, onClose }: { title: ComponentChildren; children: ComponentChildren; yes: string; act: () => Promise<unknown>; onClose: () => void }): JSX.Element {
  const [fault, setFault] = useState<Fault>();
  return (
    <Dialog title={title} onClose={onClose}>
      {children}
      {fault && <Wrong fault={fault} />}
      <div class="actions">
        <Button onClick={onClose}>Keep it</Button>
        <Act kind="bad" failed={setFault} act={() => act().then(onClose)}>{yes}</Act>
      </div>
    </Dialog>
  );
}

export function Copy({ text, label = "Copy" }: { text: string; label?: string }): JSX.Element {
  const [done, setDone] = useState(false);
  const copy = async (): Promise<void> => {
    await write(text);
    setDone(true);
    say("Copied.");
    setTimeout(() => setDone(false), 2000);
  };
  return <Button small icon={done ? "check" : "copy"} onClick={() => void copy()}>{done ? "Copied" : label}</Button>;
}

async function write(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Without HTTPS there is no clipboard: the old way works still.
    const area = document.createElement("textarea");
    area.value = text;
    (document.querySelector("dialog[open]") ?? document.body).append(area);
    area.select();
    document.execCommand("copy");
    area.remove();
  }
}

/** What stands in the place of data: that it is on its way, or why it is not there. */
export function Pending({ fault, what }: { fault: Fault | undefined; what: string }): JSX.Element {
  if (fault) return <Wrong fault={fault} />;
  return <p class="pending" aria-busy="true">Loading {what} …</p>;
}

export function Wrong({ fault }: { fault: { message: string } }): JSX.Element {
  return <p class="callout bad" role="alert"><Icon name="warn" /><span>{fault.message}</span></p>;
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }): JSX.Element {
  return <div class="empty"><strong>{title}</strong>{children && <p>{children}</p>}</div>;
}

/** A page's heading: it gets the focus when the page is opened, so that it is read. */
export function Title({ children, beside }: { children: string; beside?: ComponentChildren }): JSX.Element {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${children} · Stemwright`;
  }, [children]);
  useEffect(() => {
    if (navigated) heading.current?.focus({ preventScroll: true });
    navigated = true;
  }, []);
  return <div class="title"><h1 ref={heading} tabIndex={-1}><bdi>{children}</bdi></h1>{beside && <div class="actions">{beside}</div>}</div>;
}

let navigated = false;

/** A table that scrolls by itself where the screen is narrow, reachable with the keyboard then. */
export function Table({ caption, head, children, cards = false, class: more = "" }: { caption: string; head: ComponentChildren[]; children: ComponentChildren; cards?: boolean; class?: string }): JSX.Element {
  return (
    <div class={`table ${cards ? "cards" : ""} ${more}`} role="group" aria-label={caption} tabIndex={0}>
      <table>
        <caption class="hidden">{caption}</caption>
        <thead><tr>{head.map((cell, at) => <th scope="col" key={at}>{cell}</th>)}</tr></thead>
        <tbody>{children}</tbody>
      </table>
    </div>
  );
}

/** One of a few: buttons that say which is pressed. */
export function Choice<T extends string>({ label, value, options, onChange }: { label: string; value: T; options: [T, string][]; onChange: (value: T) => void }): JSX.Element {
  return (
    <div class="choice" role="group" aria-label={label}>
      {options.map(([one, name]) => <button type="button" key={one} aria-pressed={one === value} onClick={() => onChange(one)}>{name}</button>)}
    </div>
  );
}
