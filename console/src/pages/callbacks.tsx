// Callbacks: the secret, a test, how to verify one, and every delivery.
import type { JSX } from "preact";
import { useState } from "preact/hooks";
import { type Fault, post, session, useData } from "../api";
import { tell } from "../say";
import { useStore } from "../store";
import type { Callback, Session, Tested } from "../types";
import { Act, Ago, Badge, Button, Choice, Confirm, Copy, Empty, Field, Pending, Table, Title, Wrong } from "../ui";
import { attempts, plural } from "../words";
import { LANGUAGES, type Language, VERIFY } from "./verify";
import { Delivery } from "./task";

export function Callbacks(): JSX.Element {
  const { service } = useStore(session) as Session;
  return (
    <>
      <Title>Callbacks</Title>
      <p class="lead soft">When a task ends, a signed POST goes to the address that was given with it: {attempts(service.callbackDelaysSeconds)}.</p>
      <div class="columns even">
        <Secret />
        <Try />
      </div>
      <Verify />
      <Deliveries />
    </>
  );
}

function Secret(): JSX.Element {
  const [secret, setSecret] = useState<string>();
  const [shown, setShown] = useState(false);
  const [asking, setAsking] = useState(false);
  const { data, fault } = useData<{ secret: string }>("/secret");
  const text = secret ?? data?.secret;
  return (
    <section class="card" aria-labelledby="secret">
      <h2 id="secret">Secret</h2>
      <p class="soft">What your callbacks are signed with. Keep it where your receiver is.</p>
      {!text ? <Pending fault={fault} what="the secret" /> : (
        <>
          <div class="joined secret"><input type="text" readOnly aria-label="Webhook secret" value={shown ? text : "whsec_" + "•".repeat(24)} /><Copy text={text} /></div>
          <div class="actions start"><Button small aria-pressed={shown} onClick={() => setShown(!shown)}>{shown ? "Hide" : "Show"}</Button><Button small icon="again" onClick={() => setAsking(true)}>Make a new one</Button></div>
        </>
      )}
      {asking && (
        <Confirm title="Make a new secret?" yes="Make a new one" onClose={() => setAsking(false)} act={async () => { setSecret((await post<{ secret: string }>("/secret")).secret); tell("The secret is new: give it to your receiver."); }}>
          <p>Callbacks are signed with it from now on, those that are tried again too. A receiver that knows only the old one refuses them.</p>
        </Confirm>
      )}
    </section>
  );
}

function Try(): JSX.Element {
  const [url, setUrl] = useState("");
  const [busy, setBusy] = useState(false);
  const [fault, setFault] = useState<Fault>();
  const [result, setResult] = useState<Tested>();
  const submit = (event: Event): void => {
    event.preventDefault();
    setBusy(true);
    setFault(undefined);
    setResult(undefined);
    post<Tested>("/callbacks/test", { url: url.trim() }).then(setResult, setFault).finally(() => setBusy(false));
  };
  return (
    <section class="card" aria-labelledby="test">
      <h2 id="test">Test delivery</h2>
      <form onSubmit={submit} noValidate>
        <Field label="Your receiver" hint="An example of a finished task is sent there now, signed like a real one." wrong={fault?.message}>
          {(attributes) => <div class="joined"><input {...attributes} type="url" inputMode="url" placeholder="https://example.com/callback" value={url} onInput={(event) => setUrl(event.currentTarget.value)} /><Button type="submit" busy={busy}>Send</Button></div>}
        </Field>
      </form>
      <div role="status">
        {result && (
          <>
            <p>{result.delivered ? <Badge tone="good" icon="check">Delivered</Badge> : <Badge tone="bad" icon="cross">Not delivered</Badge>} {result.status !== null && `HTTP ${result.status} `}<span class="soft">after {result.seconds} s</span></p>
            {result.error && <Wrong fault={{ message: result.error }} />}
            <details><summary>What was sent</summary><pre tabIndex={0}>{Object.entries(result.headers).map(([name, value]) => `${name}: ${value}`).join("\n")}{"\n\n"}{pretty(result.body)}</pre></details>
          </>
        )}
      </div>
    </section>
  );
}

function pretty(body: string): string {
  try {
    return JSON.stringify(JSON.parse(body), null, 2);
  } catch {
    return body;
  }
}

function Verify(): JSX.Element {
  const [language, setLanguage] = useState<Language>("python");
  return (
    <section class="card" aria-labelledby="verify">
      <div class="title"><h2 id="verify">How to verify one</h2><div class="actions"><Choice label="Language" value={language} options={LANGUAGES} onChange={setLanguage} /><Copy text={VERIFY[language]} /></div></div>
      <p class="soft">The signature is over the id, the time and the body exactly as they arrived (<a href="https://www.standardwebhooks.com" rel="noreferrer" target="_blank">Standard Webhooks<span class="hidden"> (another site)</span></a>): verify before you parse. The same callback may come twice; its <code>webhook-id</code> tells.</p>
      <pre tabIndex={0} class="code"><code>{VERIFY[language]}</code></pre>
    </section>
  );
}

function Deliveries(): JSX.Element {
  const [trail, setTrail] = useState<string[]>([]);
  const after = trail[trail.length - 1] ?? "";
  const { data, fault, reload } = useData<{ callbacks: Callback[]; next: string | null }>(`/callbacks${after ? `?after=${after}` : ""}`, 5000);
  return (
    <section aria-labelledby="deliveries">
      <div class="title"><h2 id="deliveries">Deliveries</h2></div>
      {!data ? <Pending fault={fault} what="deliveries" /> : data.callbacks.length === 0 ? <Empty title="Nothing was delivered yet.">Give an address with a task, and its callback appears here when the task has ended.</Empty> : (
        <Table caption="Deliveries, those of the newest tasks first" head={["Song", "To", "State", "Answer", "Attempts", "Last", <span class="hidden">Actions</span>]} class="deliveries" cards>
          {data.callbacks.map((one) => (
            <tr key={one.callbackId}>
              <th scope="row"><a href={`/console/task/${one.taskId}`} title={one.song} dir="auto">{one.song}</a></th>
              <td data-label="To" class="clip" title={one.url}><code>{where(one.url)}</code></td>
              <td data-label="State"><Delivery state={one.state} /></td>
              <td data-label="Answer">{one.lastStatus !== null ? `HTTP ${one.lastStatus}` : one.lastError ? <span class="clip" title={one.lastError}>{one.lastError}</span> : "–"}</td>
              <td data-label="Attempts" class="number">{one.attempts}</td>
              <td data-label="Last">{one.lastTime === null ? "–" : <Ago time={one.lastTime} />}</td>
              <td class="do">{one.state !== "pending" && <Act small icon="again" aria-label={`Send again: the callback of ${one.song}, ${plural(one.attempts, "attempt")} so far`} done="It is being sent again." act={() => post(`/tasks/${one.taskId}/resend`).then(reload)}>Send again</Act>}</td>
            </tr>
          ))}
        </Table>
      )}
      {data && (data.next || after) && <nav class="pages" aria-label="More deliveries"><Button disabled={!after} onClick={() => setTrail(trail.slice(0, -1))}>Newer</Button><Button disabled={!data.next} onClick={() => setTrail([...trail, data.next as string])}>Older</Button></nav>}
    </section>
  );
}

function where(address: string): string {
  try {
    const { host, pathname } = new URL(address);
    return host + (pathname === "/" ? "" : pathname);
  } catch {
    return address;
  }
}
