// Keys: made, shown once, put in the place of others, ended.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Fault, post, refreshSession, remove, session, signIn, unread, useData } from "../api";
import { useStore } from "../store";
import type { Key, Session } from "../types";
import { Act, Ago, Badge, Button, Confirm, Copy, Dialog, Empty, Field, Pending, Table, Title, Wrong } from "../ui";
import { date, fullTime } from "../words";

const DAY = 86_400_000;
const STATES = { valid: ["good", "check", "Valid"], ending: ["warn", "clock", "Ending"], expired: ["quiet", "minus", "Expired"], revoked: ["quiet", "minus", "Revoked"] } as const;

interface Made {
  key: Key;
  secret: string;
}

export function Keys(): JSX.Element {
  const { data, fault, reload } = useData<{ keys: Key[] }>("/keys");
  const [creating, setCreating] = useState(false);
  const [made, setMade] = useState<Made>();
  const [all, setAll] = useState(false);
  const show = (key: Made): void => {
    setCreating(false);
    setMade(key);
  };
  const shown = data?.keys.filter((key) => all || key.state === "valid" || key.state === "ending") ?? [];
  const hidden = (data?.keys.length ?? 0) - shown.length;
  return (
    <>
      <Title beside={<Button kind="main" icon="plus" onClick={() => setCreating(true)}>New key</Button>}>Keys</Title>
      <p class="lead soft">A program gives one of these with every request, as <code>Authorization: Bearer sw_…</code>. All keys of an account share its credits and its tasks.</p>
      {!data ? <Pending fault={fault} what="keys" /> : shown.length === 0 ? <Empty title="There is no valid key." /> : (
        <Table caption="API keys, newest first" head={["Name", "Key", "State", "Dialect", "Made", "Last used", "Ends", <span class="hidden">Actions</span>]} cards>
          {shown.map((key) => <Row key={key.keyId} one={key} show={show} reload={reload} />)}
        </Table>
      )}
      {(hidden > 0 || all) && <p><Button small onClick={() => setAll(!all)}>{all ? "Hide ended keys" : `Show ${hidden} ended ${hidden === 1 ? "key" : "keys"}`}</Button></p>}
      {creating && <Create onClose={() => setCreating(false)} show={show} />}
      {made && <Once made={made} onClose={() => { setMade(undefined); reload(); }} />}
    </>
  );
}

function Row({ one, show, reload }: { one: Key; show: (made: Made) => void; reload: () => Promise<void> }): JSX.Element {
  const [asking, setAsking] = useState<"rotate" | "revoke">();
  const [tone, icon, state] = STATES[one.state];
  const open = one.state === "valid" || one.state === "ending";
  const name = one.name || "(no name)";
  const ends = one.revokeTime !== null && (one.expireTime === null || one.revokeTime < one.expireTime) ? one.revokeTime : one.expireTime;
  return (
    <tr>
      <th scope="row"><bdi>{name}</bdi> {one.admin && <Badge>admin</Badge>} {one.current && <Badge tone="busy">signed in with it</Badge>}</th>
      <td data-label="Key"><code>{one.hint}…</code>{one.networks && <div class="soft break">only from {one.networks.replaceAll(",", ", ")}</div>}</td>
      <td data-label="State"><Badge tone={tone} icon={icon}>{state}</Badge></td>
      <td data-label="Dialect">{one.dialect}</td>
      <td data-label="Made"><Ago time={one.createTime} /></td>
      <td data-label="Last used">{one.useTime === null ? <span class="soft">never</span> : <Ago time={one.useTime} />}</td>
      <td data-label="Ends">{ends === null ? <span class="soft">never</span> : <Ago time={ends} />}</td>
      <td class="do">
        {one.state === "valid" && <Button small icon="again" aria-label={`Rotate ${name}`} onClick={() => setAsking("rotate")}>Rotate</Button>}
        {open && <Button small icon="cross" aria-label={`Revoke ${name}`} onClick={() => setAsking("revoke")}>Revoke</Button>}
        {asking === "rotate" && <Rotate one={one} onClose={() => setAsking(undefined)} show={show} />}
        {asking === "revoke" && (
          <Confirm title={<>Revoke <bdi>{name}</bdi>?</>} yes="Revoke it" onClose={() => setAsking(undefined)} act={async () => { await remove(`/keys/${one.keyId}`); await (one.current ? refreshSession() : reload()); }}>
            <p>Every program that uses <code>{one.hint}…</code> is refused from now on. This cannot be undone.{one.current && <strong> You are signed in with it: this ends your session too.</strong>}</p>
          </Confirm>
        )}
      </td>
    </tr>
  );
}

function Create({ onClose, show }: { onClose: () => void; show: (made: Made) => void }): JSX.Element {
  const { admin } = useStore(session) as Session;
  const [fault, setFault] = useState<Fault>();
  const [busy, setBusy] = useState(false);
  const submit = (event: Event): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    const days = Number(form.get("days"));
    const body = { name: String(form.get("name")), dialect: String(form.get("dialect")), ...(days ? { expireTime: Date.now() + days * DAY } : {}), ...(form.get("admin") ? { admin: true } : {}), networks: String(form.get("networks")) };
    setBusy(true);
    post<Made>("/keys", body).then(show, (thrown: Fault) => { setFault(thrown); setBusy(false); });
  };
  return (
    <Dialog title="New key" onClose={onClose}>
      <form onSubmit={submit}>
        <Field label="Name" hint="What it is for, so that you know later.">{(attributes) => <input {...attributes} name="name" maxLength={200} autoFocus placeholder="karaoke bot" />}</Field>
        <div class="pair">
          <Field label="Ends">{(attributes) => <select {...attributes} name="days"><option value="0">never</option><option value="1">in a day</option><option value="7">in a week</option><option value="30">in 30 days</option><option value="90">in 90 days</option><option value="365">in a year</option></select>}</Field>
          <Field label="Dialect" hint="The error codes its client expects.">{(attributes) => <select {...attributes} name="dialect"><option>apikley</option><option>sunoapi</option></select>}</Field>
        </div>
        <Field label="Only from" hint="Addresses and networks, with commas between them. Empty: from anywhere.">{(attributes) => <input {...attributes} name="networks" maxLength={1000} autoComplete="off" placeholder="203.0.113.7, 10.0.0.0/8" />}</Field>
        {admin && <label class="check"><input type="checkbox" name="admin" /> <span>May do what an operator may <span class="soft">(scope admin)</span></span></label>}
        {fault && <Wrong fault={fault} />}
        <div class="actions"><Button onClick={onClose}>Close</Button><Button type="submit" kind="main" busy={busy}>Make the key</Button></div>
      </form>
    </Dialog>
  );
}

function Rotate({ one, onClose, show }: { one: Key; onClose: () => void; show: (made: Made) => void }): JSX.Element {
  const [hours, setHours] = useState(24);
  const [fault, setFault] = useState<Fault>();
  const ours = one.current && hours === 0;
  const rotate = async (): Promise<void> => {
    const made = await post<Made>(`/keys/${one.keyId}/rotate`, { overlapHours: hours });
    onClose();
    show(made);
    if (ours) await signIn(made.secret);
  };
  return (
    <Dialog title={<>Rotate <bdi>{one.name || "this key"}</bdi></>} onClose={onClose}>
      <p>A new key takes its place, with the same name and rights. The old one goes on for a while, so that you can change your programs.</p>
      <Field label="The old key ends">{(attributes) => <select {...attributes} value={hours} onChange={(event) => setHours(Number(event.currentTarget.value))}><option value={0}>at once</option><option value={1}>in an hour</option><option value={24}>in a day</option><option value={168}>in a week</option></select>}</Field>
      {ours && <p class="soft">You are signed in with it: you go on with the new one.</p>}
      {fault && <Wrong fault={fault} />}
      <div class="actions"><Button onClick={onClose}>Close</Button><Act kind="main" failed={setFault} act={rotate}>Rotate</Act></div>
    </Dialog>
  );
}

function Once({ made, onClose }: { made: Made; onClose: () => void }): JSX.Element {
  useEffect(() => {
    unread.set(true);
    return () => unread.set(false);
  }, []);
  return (
    <Dialog title="Your new key" onClose={onClose}>
      <p>It is shown only this once: the server keeps no copy of it. Put it where your program finds it.</p>
      <div class="joined secret"><input type="text" readOnly aria-label="The key" value={made.secret} onFocus={(event) => event.currentTarget.select()} /><Copy text={made.secret} /></div>
      {made.key.expireTime && <p class="soft">It ends on <span title={fullTime(made.key.expireTime)}>{date(made.key.expireTime)}</span>.</p>}
      <div class="actions"><Button kind="main" onClick={onClose}>I have it</Button></div>
    </Dialog>
  );
}
