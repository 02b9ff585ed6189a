// The console: who is signed in, where they are, and the frame around every page.
import { render, type ComponentType, type JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { away, AWAY, ended, type Fault, refresh, refreshSession, session, signIn, signOut, stale, unread } from "./api";
import { Separate } from "./pages/separate";
import { Task } from "./pages/task";
import { Tasks } from "./pages/tasks";
import { useRoute } from "./router";
import { note, tell } from "./say";
import { Store, useStore } from "./store";
import { Button, Dialog, Field, Icon, Spoken, Title, Wrong } from "./ui";
import { number } from "./words";

type Page = ComponentType<{ rest: string }>;

const PAGES = new Map<string, Page>([
  ["", Separate as Page],
  ["tasks", Tasks as Page],
  ["task", Task],
]);
const LATER = new Map<string, () => Promise<Page>>([
  ["keys", () => import("./pages/keys").then((all) => all.Keys as Page)],
  ["credits", () => import("./pages/credits").then((all) => all.Credits as Page)],
  ["callbacks", () => import("./pages/callbacks").then((all) => all.Callbacks as Page)],
  ["operator", () => import("./pages/operator").then((all) => all.Operator as Page)],
  ["docs", () => import("./pages/docs").then((all) => all.Docs as Page)],
]);
const MENU: [string, string][] = [
  ["", "Separate"],
  ["tasks", "Tasks"],
  ["keys", "Keys"],
  ["credits", "Credits"],
  ["callbacks", "Callbacks"],
  ["operator", "Operator"],
  ["docs", "Docs"],
];

/** Why the server does not even say who is signed in. */
const unwelcome = new Store("");

function Frame(): JSX.Element | null {
  const who = useStore(session);
  const over = useStore(ended);
  const gone = useStore(away);
  const covered = useStore(unread);
  const [late] = useStore(stale);
  const refused = useStore(unwelcome);
  if (who === undefined) return gone || refused ? <main class="door" id="content">{gone ? <Away /> : <Wrong fault={{ message: `${refused} Reload to try again.` }} />}</main> : null;
  if (who === null) return <><Away /><SignIn /></>;
  return (
    <>
      <a class="skip" href="#content">Skip to the content</a>
      <Side />
      <main id="content" tabIndex={-1}>
        <Away />
        {who.service.maintenanceSince !== null && <p class="callout warn"><Icon name="warn" /><span>The service is under maintenance: running tasks go on, new ones are refused until it is over.</span></p>}
        {late && !over && <Wrong fault={late} />}
        <Shown />
      </main>
      {over && !covered && <Dialog title="Your session has ended"><p>Sign in again to go on where you are. Nothing on this page is lost.</p><KeyForm /></Dialog>}
      <Note />
    </>
  );
}

function Side(): JSX.Element {
  const who = useStore(session);
  const { page } = useRoute();
  const [open, setOpen] = useState(false);
  useEffect(() => setOpen(false), [page]);
  if (!who) return <></>;
  const here = page === "task" ? "tasks" : page;
  return (
    <header class={`side ${open ? "open" : ""}`}>
      <a class="brand" href="/"><Mark />Stemwright</a>
      <button type="button" class="button bare menu" aria-expanded={open} aria-controls="menu" onClick={() => setOpen(!open)}><Icon name={open ? "cross" : "menu"} /><span>Menu</span></button>
      <div id="menu">
        <nav aria-label="Pages">
          {MENU.filter(([name]) => name !== "operator" || who.admin).map(([name, label]) => <a key={name} href={name ? `/console/${name}` : "/"} aria-current={name === here ? "page" : undefined}>{label}</a>)}
        </nav>
        <div class="who">
          <a href="/console/credits" class="balance"><strong>{number(who.balance)}</strong> {who.balance === 1 ? "credit" : "credits"}</a>
          <p><bdi class="name">{who.account.name}</bdi><br /><span class="soft"><bdi>{who.key.name || "key"}</bdi> <code>{who.key.hint}…</code></span></p>
          <Button small onClick={() => void signOut().catch((fault: Fault) => tell(fault.message, { bad: true }))}>Sign out</Button>
        </div>
      </div>
    </header>
  );
}

function Shown(): JSX.Element {
  const { page: asked, rest } = useRoute();
  const page = asked === "task" && !rest ? "tasks" : asked; // who cuts a task's address off wants them all
  const [, redraw] = useState({});
  const [failed, setFailed] = useState("");
  const Known = PAGES.get(page);
  const load = LATER.get(page);
  const gone = useStore(away);
  useEffect(refresh, [page, rest]); // the credits and the maintenance beside it are as new as the page
  useEffect(() => {
    if (Known || !load || gone) return;
    load().then(
      (found) => { PAGES.set(page, found); setFailed(""); redraw({}); },
      () => setFailed("This page could not be loaded. Reload to try again."),
    );
  }, [page, gone]);
  if (Known) return <Known key={page + rest} rest={rest} />;
  if (load) return failed ? <p class="callout bad" role="alert"><Icon name="warn" /><span>{failed}</span></p> : <p class="pending" aria-busy="true">Loading …</p>;
  return <><Title>There is no such page</Title><p><a href="/">Separate a song</a> · <a href="/console/tasks">Tasks</a></p></>;
}

function SignIn(): JSX.Element {
  return (
    <main class="door" id="content">
      <div class="card">
        <p class="brand"><Mark />Stemwright</p>
        <Title>Sign in</Title>
        <KeyForm />
        <p class="soft">The first start of the server showed the admin's key; <code>stemwright keys create</code> makes others. <a href="/docs">The API's documentation</a> is open to everybody.</p>
      </div>
    </main>
  );
}

function KeyForm(): JSX.Element {
  const [key, setKey] = useState("");
  const [wrong, setWrong] = useState("");
  const [busy, setBusy] = useState(false);
  const submit = (event: Event): void => {
    event.preventDefault();
    if (!key.trim()) return setWrong("Enter an API key: it begins with sw_.");
    setBusy(true);
    signIn(key.trim()).catch((fault: Fault) => {
      setBusy(false);
      setWrong(fault.status === 401 ? "This key is not valid: it is unknown, revoked or expired." : fault.message);
    });
  };
  return (
    <form onSubmit={submit} noValidate>
      <input type="text" name="username" autoComplete="username" value="Stemwright API key" readOnly hidden />
      <Field label="API key" wrong={wrong || undefined} hint="It is exchanged for a session, in a cookie that pages cannot read. The key itself is not kept.">
        {(attributes) => <input {...attributes} type="password" name="key" autoComplete="current-password" spellcheck={false} value={key} autoFocus onInput={(event) => { setKey(event.currentTarget.value); setWrong(""); }} />}
      </Field>
      <Button type="submit" kind="main" busy={busy}>Sign in</Button>
    </form>
  );
}

function Away(): JSX.Element {
  const gone = useStore(away);
  return <div role="status">{gone && <p class="callout warn"><Icon name="warn" /><span>{AWAY}</span></p>}</div>;
}

function Note(): JSX.Element {
  const shown = useStore(note);
  return <div class="notes">{shown && <p class={`note ${shown.bad ? "bad" : ""}`}><Icon name={shown.bad ? "warn" : "check"} /><span>{shown.text}</span><button type="button" class="button bare small" aria-label="Dismiss" onClick={() => note.set(null)}><Icon name="cross" /></button></p>}</div>;
}

export function Mark(): JSX.Element {
  return (
    <svg class="mark" viewBox="0 0 32 32" width="26" height="26" aria-hidden="true">
      <rect width="32" height="32" rx="7" />
      <path d="M8 13v6" /><path d="M13.300 8v16" /><path d="M18.700 11v10" /><path d="M24 6v20" />
    </svg>
  );
}

const app = document.getElementById("app");
if (app) {
  app.textContent = "";
  render(<><Frame /><Spoken /></>, app);
  refreshSession().catch((fault: Fault) => fault.status && unwelcome.set(fault.message));
}
