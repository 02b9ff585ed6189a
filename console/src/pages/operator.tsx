// Operator: the queue, who works on it, who asks for what, and the switch that closes the door.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { type Fault, post, refreshSession, useData } from "../api";
import { tell } from "../say";
import type { Account, House } from "../types";
import { Ago, Badge, Button, Confirm, Copy, Dialog, Empty, Field, Icon, Pending, Table, Title, Wrong } from "../ui";
import { wish } from "../uploads";
import { bytes, number, plural, span } from "../words";

export function Operator(): JSX.Element {
  const { data: house, fault, reload } = useData<House>("/operator", 3000);
  return (
    <>
      <Title>Operator</Title>
      {!house ? <Pending fault={fault} what="the figures" /> : (
        <>
          {fault && <Wrong fault={fault} />}
          <Maintenance since={house.maintenanceSince} reload={reload} />
          <dl class="tiles">
            <div><dt>Waiting</dt><dd>{number(house.queue.waiting)}</dd></div>
            <div><dt>Oldest waits</dt><dd>{house.queue.waiting ? span(house.queue.oldestSeconds) : "–"}</dd></div>
            <div><dt>Running</dt><dd>{number(house.queue.running)}</dd></div>
            <div><dt>Callbacks to deliver</dt><dd>{number(house.queue.callbacks)}</dd></div>
          </dl>
          <Workers house={house} />
          <Accounts />
          <Models house={house} />
        </>
      )}
    </>
  );
}

function Maintenance({ since, reload }: { since: number | null; reload: () => void }): JSX.Element {
  const [asking, setAsking] = useState(false);
  const turn = async (on: boolean): Promise<void> => {
    await post("/operator/maintenance", { on });
    tell(on ? "The door is closed: new tasks are refused." : "The door is open again.");
    reload();
    await refreshSession();
  };
  const flip = (): void => (since === null ? setAsking(true) : void turn(false).catch((fault: Fault) => tell(fault.message, { bad: true })));
  return (
    <section class="card switchcard" aria-labelledby="maintenance">
      <div><h2 id="maintenance">Maintenance</h2><p class="soft">{since === null ? "Off: the service takes tasks." : <>On since <Ago time={since} />: new tasks and uploads are answered with code 455; what runs goes on.</>}</p></div>
      <button type="button" role="switch" class="switch" aria-checked={since !== null} aria-labelledby="maintenance" onClick={flip}><span /></button>
      {asking && <Confirm title="Close the door?" yes="Turn maintenance on" onClose={() => setAsking(false)} act={() => turn(true)}><p>New tasks and uploads of every account are refused with code 455 until you turn it off. Running tasks go on, and everybody can still look and download.</p></Confirm>}
    </section>
  );
}

function Workers({ house }: { house: House }): JSX.Element {
  return (
    <section aria-labelledby="workers">
      <div class="title"><h2 id="workers">{plural(house.workers.length, "worker")}</h2></div>
      {house.workers.length === 0 ? <p class="callout bad" role="alert"><Icon name="warn" /><span><strong>No worker is alive.</strong> Tasks wait until one starts: <code>stemwright worker</code>, or <code>stemwright serve</code> with its own.</span></p> : (
        <Table caption="Workers" head={["Worker", "State", "Device", "Model", "Tasks", "Heartbeat", "Since"]} cards>
          {house.workers.map((worker) => (
            <tr key={worker.workerId}>
              <th scope="row">{worker.host} <span class="soft">process {worker.pid}, {worker.version}</span></th>
              <td data-label="State">{worker.draining ? <Badge tone="warn" icon="clock">Draining</Badge> : worker.tasks ? <Badge tone="busy" icon="ring" turning>Working</Badge> : <Badge tone="good" icon="check">Idle</Badge>}</td>
              <td data-label="Device">{worker.device === "auto" ? <span class="soft" title="It chooses with its first task.">auto</span> : worker.device ?? "–"}</td>
              <td data-label="Model">{worker.model ?? "–"}</td>
              <td data-label="Tasks" class="number">{worker.tasks}</td>
              <td data-label="Heartbeat" class="number">{span(Math.round(worker.heartbeatSeconds))} ago</td>
              <td data-label="Since"><Ago time={worker.startTime} /></td>
            </tr>
          ))}
        </Table>
      )}
    </section>
  );
}

function Models({ house }: { house: House }): JSX.Element {
  const largest = Math.max(...house.models.map((model) => model.bytes), 1);
  return (
    <section aria-labelledby="models">
      <div class="title"><h2 id="models">Models on this machine</h2></div>
      <Table caption="Models" head={["Model", "From", "Stems", "Size"]} cards>
        {house.models.map((model) => (
          <tr key={model.name}>
            <th scope="row">{model.name} {model.current && <Badge tone="good" icon="check">in use</Badge>}</th>
            <td data-label="From">{model.source === "bundled" ? "the package" : "pulled"}</td>
            <td data-label="Stems"><span class="soft">{model.stems.join(", ").replaceAll("_", " ") || "–"}</span></td>
            <td data-label="Size" class="number">{bytes(model.bytes)}<span class="hidden">{largest === model.bytes ? " (the largest)" : ""}</span></td>
          </tr>
        ))}
      </Table>
    </section>
  );
}

interface Fresh {
  name: string;
  secret: string;
}

function Accounts(): JSX.Element {
  const [text, setText] = useState("");
  const [asked, setAsked] = useState("");
  const [trail, setTrail] = useState<string[]>([]);
  const [granting, setGranting] = useState<Account>();
  const [creating, setCreating] = useState(false);
  const [made, setMade] = useState<Fresh>();
  const after = trail[trail.length - 1] ?? "";
  const query = new URLSearchParams(Object.entries({ text: asked, after }).filter(([, value]) => value)).toString();
  const { data, fault, reload } = useData<{ accounts: Account[]; next: string | null }>(`/operator/accounts${query ? `?${query}` : ""}`);
  useEffect(() => {
    const timer = setTimeout(() => { setAsked(text.trim()); setTrail([]); }, 250);
    return () => clearTimeout(timer);
  }, [text]);
  return (
    <section aria-labelledby="accounts">
      <div class="title"><h2 id="accounts">Accounts</h2><div class="actions"><input class="search" type="search" aria-label="Search accounts by name" placeholder="Search by name" value={text} onInput={(event) => setText(event.currentTarget.value)} /><Button icon="plus" onClick={() => setCreating(true)}>New account</Button></div></div>
      {!data ? <Pending fault={fault} what="accounts" /> : data.accounts.length === 0 ? <Empty title="No account has such a name." /> : (
        <Table caption="Accounts by name" head={["Account", "Balance", "Keys", "Unfinished", "Made", <span class="hidden">Actions</span>]} cards>
          {data.accounts.map((account) => (
            <tr key={account.accountId}>
              <th scope="row">{account.name}</th>
              <td data-label="Balance" class="number">{number(account.balance)}</td>
              <td data-label="Keys" class="number">{account.keys}</td>
              <td data-label="Unfinished" class="number">{number(account.running)}</td>
              <td data-label="Made"><Ago time={account.createTime} /></td>
              <td class="do"><Button small icon="plus" aria-label={`Grant credits to ${account.name}`} onClick={() => setGranting(account)}>Grant</Button></td>
            </tr>
          ))}
        </Table>
      )}
      {data && (data.next || after) && <nav class="pages" aria-label="More accounts"><Button disabled={!after} onClick={() => setTrail(trail.slice(0, -1))}>Before</Button><Button disabled={!data.next} onClick={() => setTrail([...trail, data.next as string])}>After</Button></nav>}
      {granting && <Grant account={granting} onClose={() => setGranting(undefined)} done={reload} />}
      {creating && <Create onClose={() => setCreating(false)} done={(fresh) => { setCreating(false); setMade(fresh); reload(); }} />}
      {made && (
        <Dialog title={<>The first key of <bdi>{made.name}</bdi></>} onClose={() => setMade(undefined)}>
          <p>It is shown only this once: the server keeps no copy of it.</p>
          <div class="joined secret"><input type="text" readOnly aria-label="The key" value={made.secret} onFocus={(event) => event.currentTarget.select()} /><Copy text={made.secret} /></div>
          <div class="actions"><Button kind="main" onClick={() => setMade(undefined)}>I have it</Button></div>
        </Dialog>
      )}
    </section>
  );
}

function Grant({ account, onClose, done }: { account: Account; onClose: () => void; done: () => void }): JSX.Element {
  const [fault, setFault] = useState<Fault>();
  const [busy, setBusy] = useState(false);
  const [key, setKey] = useState(wish); // pressed again because no answer came, it is the same grant; with another amount it is not
  const submit = (event: Event): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    const asked = { accountId: account.accountId, amount: Number(form.get("amount")), reason: String(form.get("reason")) };
    post<{ balance: number }>("/operator/grants", asked, { "Idempotency-Key": key }).then(
      ({ balance }) => { tell(`The balance is ${number(balance)} now.`); done(); void refreshSession(); onClose(); },
      (thrown: Fault) => { setFault(thrown); setBusy(false); },
    );
  };
  return (
    <Dialog title={<>Credits for <bdi>{account.name}</bdi></>} onClose={onClose}>
      <p class="soft">It has {number(account.balance)}.</p>
      <form onSubmit={submit} onInput={() => setKey(wish())}>
        <Field label="Amount" hint="A negative number takes some back.">{(attributes) => <input {...attributes} name="amount" type="number" step="1" required autoFocus />}</Field>
        <Field label="Reason" hint="It stands in the ledger.">{(attributes) => <input {...attributes} name="reason" maxLength={500} />}</Field>
        {fault && <Wrong fault={fault} />}
        <div class="actions"><Button onClick={onClose}>Close</Button><Button type="submit" kind="main" busy={busy}>Grant</Button></div>
      </form>
    </Dialog>
  );
}

function Create({ onClose, done }: { onClose: () => void; done: (made: Fresh) => void }): JSX.Element {
  const [fault, setFault] = useState<Fault>();
  const [busy, setBusy] = useState(false);
  const submit = (event: Event): void => {
    event.preventDefault();
    const form = new FormData(event.currentTarget as HTMLFormElement);
    setBusy(true);
    post<Fresh>("/operator/accounts", { name: String(form.get("name")).trim(), credits: Number(form.get("credits")) }).then(done, (thrown: Fault) => { setFault(thrown); setBusy(false); });
  };
  return (
    <Dialog title="New account" onClose={onClose}>
      <form onSubmit={submit}>
        <Field label="Name">{(attributes) => <input {...attributes} name="name" maxLength={200} required autoFocus />}</Field>
        <Field label="Credits to begin with">{(attributes) => <input {...attributes} name="credits" type="number" min="0" step="1" value="100" required />}</Field>
        {fault && <Wrong fault={fault} />}
        <div class="actions"><Button onClick={onClose}>Close</Button><Button type="submit" kind="main" busy={busy}>Make the account</Button></div>
      </form>
    </Dialog>
  );
}
