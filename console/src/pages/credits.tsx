// Credits: what is left, what things cost, what was used by day and key, and the ledger line by line.
import type { JSX } from "preact";
import { useLayoutEffect, useState } from "preact/hooks";
import { get, session, url, useData } from "../api";
import { useStore } from "../store";
import type { Entry, Kind, Service, Session, Usage } from "../types";
import { Act, Ago, Badge, Choice, Empty, Icon, Pending, Table, Title } from "../ui";
import { KINDS, number, plural, price, span } from "../words";

const WORDS = { grant: "Granted", charge: "Spent", refund: "Given back" } as const;
const DAY = 86_400_000;

export function Credits(): JSX.Element {
  const { service } = useStore(session) as Session;
  const { data } = useData<{ balance: number }>("/ledger");
  const own = JSON.stringify(service.prices[service.models[0] as string]);
  const others = service.models.filter((model) => JSON.stringify(service.prices[model]) !== own);
  return (
    <>
      <Title>Credits</Title>
      <div class="columns even">
        <section class="card" aria-labelledby="left">
          <h2 id="left">Balance</h2>
          <p class="big">{data ? number(data.balance) : "…"} <span>{data?.balance === 1 ? "credit" : "credits"}</span></p>
          <p class="soft">Every key of this account spends from it. An operator adds to it: <code>stemwright credits grant</code>, or the Operator page.</p>
        </section>
        <section class="card" aria-labelledby="prices">
          <h2 id="prices">Prices</h2>
          <table class="slim"><caption class="hidden">Price of one song</caption>
            <Prices service={service} model="" />
            {others.map((model) => <Prices key={model} service={service} model={model} />)}
          </table>
          <p class="soft">For each song, whatever its length. What fails or is cancelled is given back.</p>
        </section>
      </div>
      <Used />
      <Ledger />
    </>
  );
}

function Prices({ service, model }: { service: Service; model: string }): JSX.Element {
  return (
    <tbody>
      {model && <tr><th scope="rowgroup" colSpan={2} class="soft">With the model {model}</th></tr>}
      {(Object.keys(KINDS) as Kind[]).map((kind) => <tr key={kind}><th scope="row">{KINDS[kind]}</th><td class="number">{number(price(service, kind, model))}</td></tr>)}
    </tbody>
  );
}

function Used(): JSX.Element {
  const [days, setDays] = useState("30");
  const query = `days=${days}&offsetMinutes=${-new Date().getTimezoneOffset()}`;
  const { data, fault } = useData<Usage>(`/usage?${query}`);
  return (
    <section class="card" aria-labelledby="usage">
      <div class="title"><h2 id="usage">Usage by day and key</h2><div class="actions"><Choice label="Time" value={days} options={[["7", "7 days"], ["30", "30 days"], ["90", "90 days"]]} onChange={setDays} /><a class="button small" href={url(`/usage.csv?${query}`)} download=""><Icon name="down" /><span>CSV<span class="hidden"> of the usage</span></span></a></div></div>
      {!data ? <Pending fault={fault} what="the usage" /> : data.days.length === 0 ? <Empty title="Nothing was used in this time." /> : <Chart usage={data} />}
    </section>
  );
}

const WIDTH = 720, HEIGHT = 190, LEFT = 34, BOTTOM = 22;

function Chart({ usage }: { usage: Usage }): JSX.Element {
  const dates = allDates(usage);
  const totals = new Map<string | null, number>();
  for (const day of usage.days) totals.set(day.keyId, (totals.get(day.keyId) ?? 0) + day.credits);
  const series = [...totals].sort((a, b) => b[1] - a[1]).map(([id]) => id);
  const name = (id: string | null): string => usage.keys.find((key) => key.keyId === id)?.name || usage.keys.find((key) => key.keyId === id)?.hint || "no key";
  const of = (date: string, id: string | null): number => usage.days.find((day) => day.date === date && day.keyId === id)?.credits ?? 0;
  const sums = dates.map((date) => series.reduce((sum, id) => sum + of(date, id), 0));
  const top = nice(Math.max(...sums, 1));
  const step = (WIDTH - LEFT) / dates.length;
  const y = (value: number): number => (HEIGHT - BOTTOM) * (1 - value / top);
  const all = sums.reduce((sum, one) => sum + one, 0);
  const tasks = usage.days.reduce((sum, day) => sum + day.tasks, 0);
  const seconds = usage.days.reduce((sum, day) => sum + day.seconds, 0);
  const most = Math.max(...sums);
  const summary = `${plural(all, "credit")} for ${plural(tasks, "task")} from ${usage.first} to ${usage.last}; most on ${dates[sums.indexOf(most)]}: ${number(most)}.`;
  return (
    <figure>
      <figcaption><strong>{number(all)}</strong> {all === 1 ? "credit" : "credits"} · <strong>{number(tasks)}</strong> {tasks === 1 ? "task" : "tasks"} · <strong>{span(seconds)}</strong> of music</figcaption>
      <svg class="chart" viewBox={`0 0 ${WIDTH} ${HEIGHT}`} role="img" aria-label={summary}>
        <defs>{[1, 2, 3, 4, 5].map((at) => <pattern key={at} id={`hatch-${at}`} width={4 + at} height={4 + at} patternUnits="userSpaceOnUse" patternTransform={`rotate(${at * 36})`}><path d={`M0 0V${4 + at}`} /></pattern>)}</defs>
        {[0, top / 2, top].map((value) => <g key={value} class="grid"><path d={`M${LEFT} ${y(value)}H${WIDTH}`} /><text x={LEFT - 6} y={y(value) + (value === top ? 9 : 4)} text-anchor="end">{number(value)}</text></g>)}
        {dates.map((date, at) => {
          let below = 0;
          return (
            <g key={date}>
              {series.map((id, index) => {
                const value = of(date, id);
                if (!value) return null;
                below += value;
                const box = { x: LEFT + at * step + step * 0.14, y: y(below), width: step * 0.72, height: Math.max(1, y(below - value) - y(below)) };
                return <g key={id}><rect {...box} class={`series-${index % 6}`} />{index % 6 > 0 && <rect {...box} fill={`url(#hatch-${index % 6})`} />}<title>{`${date}, ${name(id)}: ${plural(value, "credit")}`}</title></g>;
              })}
              {(at === 0 || at === dates.length - 1 || (dates.length <= 7)) && <text class="date" x={LEFT + (at + 0.5) * step} y={HEIGHT - 5} text-anchor={dates.length <= 7 ? "middle" : at === 0 ? "start" : "end"}>{short(date)}</text>}
            </g>
          );
        })}
      </svg>
      <ul class="legend">{series.map((id, index) => <li key={id}><svg width="14" height="14" aria-hidden="true"><rect width="14" height="14" rx="3" class={`series-${index % 6}`} />{index % 6 > 0 && <rect width="14" height="14" rx="3" fill={`url(#hatch-${index % 6})`} />}</svg><bdi>{name(id)}</bdi> <span class="soft">{number(totals.get(id) ?? 0)}</span></li>)}</ul>
      <details>
        <summary>The same as a table</summary>
        <Table caption="Usage by day and key" head={["Day", "Key", "Tasks", "Credits", "Music"]}>
          {[...usage.days].reverse().map((day) => <tr key={`${day.date}${day.keyId}`}><th scope="row">{day.date}</th><td>{name(day.keyId)}</td><td class="number">{number(day.tasks)}</td><td class="number">{number(day.credits)}</td><td class="number">{span(day.seconds)}</td></tr>)}
        </Table>
      </details>
    </figure>
  );
}

function allDates(usage: Usage): string[] {
  const dates: string[] = [];
  for (let at = Date.parse(usage.first); at <= Date.parse(usage.last); at += DAY) dates.push(new Date(at).toISOString().slice(0, 10));
  return dates;
}

const short = (date: string): string => new Date(`${date}T12:00:00`).toLocaleDateString("en-GB", { day: "numeric", month: "short" });

function nice(value: number): number {
  const power = 10 ** Math.floor(Math.log10(value));
  return Math.max(2, [2, 4, 6, 10].map((factor) => factor * power).find((one) => one >= value) ?? value);
}

interface Lines {
  entries: Entry[];
  next: number | null;
}

/** The newest lines before those that were there; alone where some in between are missing. */
function joined(newest: Lines, had: Lines | undefined): Lines {
  const last = newest.entries[newest.entries.length - 1]?.sequence;
  const at = had?.entries.findIndex((entry) => entry.sequence === last) ?? -1;
  return had && at >= 0 ? { entries: [...newest.entries, ...had.entries.slice(at + 1)], next: had.next } : newest;
}

function Ledger(): JSX.Element {
  const { data, fault } = useData<Lines>("/ledger");
  const [lines, setLines] = useState<Lines>();
  useLayoutEffect(() => data && setLines((had) => joined(data, had)), [data]);
  const more = async (last: number): Promise<void> => {
    const older = await get<Lines>(`/ledger?before=${last}`);
    setLines((had) => (had?.next === last ? { entries: [...had.entries, ...older.entries], next: older.next } : had));
  };
  return (
    <section aria-labelledby="ledger">
      <div class="title"><h2 id="ledger">Ledger</h2><div class="actions"><a class="button small" href={url("/ledger.csv")} download=""><Icon name="down" /><span>CSV<span class="hidden"> of the ledger</span></span></a></div></div>
      {!lines ? <Pending fault={fault} what="the ledger" /> : lines.entries.length === 0 ? <Empty title="Nothing was granted or spent yet." /> : (
        <Table caption="Ledger, newest line first" head={["When", "What", "For", "Amount", "Balance"]} cards>
          {lines.entries.map((entry) => (
            <tr key={entry.sequence}>
              <td data-label="When"><Ago time={entry.time} /></td>
              <th scope="row"><Badge tone={entry.kind === "charge" ? "quiet" : "good"} icon={entry.kind === "charge" ? "minus" : entry.kind === "grant" ? "plus" : "again"}>{entry.amount < 0 && entry.kind === "grant" ? "Taken back" : WORDS[entry.kind]}</Badge></th>
              <td data-label="For">{entry.taskId ? <a href={`/console/task/${entry.taskId}`}><bdi>{entry.song}</bdi></a> : <span class="soft">{entry.reason || "–"}</span>}</td>
              <td data-label="Amount" class="number">{entry.amount > 0 ? "+" : entry.amount < 0 ? "−" : ""}{number(Math.abs(entry.amount))}</td>
              <td data-label="Balance" class="number">{number(entry.balance)}</td>
            </tr>
          ))}
        </Table>
      )}
      {lines?.next != null && <p><Act act={() => more(lines.next as number)}>Show older lines</Act></p>}
    </section>
  );
}
