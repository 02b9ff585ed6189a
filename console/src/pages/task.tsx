// Task: what became of a song, to hear, to take away, to look into.
import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { post, remove, url, useData } from "../api";
import { nameTask, useEnds, useProgress } from "../live";
import { Player } from "../parts/player";
import { go } from "../router";
import { tell } from "../say";
import type { Callback, Stem, Task as Whole } from "../types";
import { Act, Ago, Badge, Bar, Button, Confirm, Copy, Icon, Pending, StateBadge, Table, Title } from "../ui";
import { ago, bytes, credits, fullTime, isEnded, length, made, plural, span, stage } from "../words";
import { again } from "./tasks";

export function Task({ rest: taskId }: { rest: string }): JSX.Element {
  const { data: task, fault, reload } = useData<Whole>(`/tasks/${encodeURIComponent(taskId)}`);
  const waiting = task?.delivery?.state === "pending" || (task && isEnded(task.state) && task.callback === "waiting");
  useEnds((id) => id === taskId, reload);
  useEffect(() => {
    if (!waiting) return;
    const timer = setInterval(reload, 3000);
    return () => clearInterval(timer);
  }, [waiting]);
  useEffect(() => {
    if (task && !isEnded(task.state)) nameTask(taskId, task.song);
  }, [task?.state]);
  if (!task) return <><Title>Task</Title><Pending fault={fault} what="the task" />{fault?.status === 404 && <p><a href="/console/tasks">All tasks</a></p>}</>;
  return (
    <>
      <p class="crumb"><a href="/console/tasks">Tasks</a></p>
      <Title beside={<Actions task={task} reload={reload} />}>{task.song}</Title>
      <p class="lead">
        <StateBadge state={task.state} /> <span>{task.kind === "split_stem_advanced" ? `${task.stemName} and the rest` : made(task.kind, task.model)}, {task.format}</span>
        <span class="soft"><Ago time={task.createTime} /> · {credits(task.cost)}</span>
      </p>
      {!isEnded(task.state) && <Now task={task} />}
      {task.state === "failed" && <p class="callout bad"><Icon name="warn" /><span><strong>It failed.</strong> <bdi>{task.error}</bdi> Its {credits(task.cost)} came back.</span></p>}
      {task.state === "cancelled" && <p class="callout"><Icon name="minus" /><span>It was cancelled. Its {credits(task.cost)} came back.</span></p>}
      {task.warnings.map((warning) => <p key={warning} class="callout warn"><Icon name="warn" /><span>{sentence(warning)}</span></p>)}
      {task.state === "finished" && <Made task={task} />}
      <div class="columns">
        <Facts task={task} />
        {task.callbackUrl && <Told task={task} reload={reload} />}
      </div>
    </>
  );
}

function Actions({ task, reload }: { task: Whole; reload: () => Promise<void> }): JSX.Element {
  const [asking, setAsking] = useState<"cancel" | "delete">();
  const ended = isEnded(task.state);
  return (
    <>
      {task.state === "finished" && !task.gone && <a class="button main" href={url(`/tasks/${task.taskId}/zip`)} download=""><Icon name="down" /><span>All as a zip</span></a>}
      {ended ? <Act icon="again" title={`${credits(task.cost)} again`} act={() => again(task.taskId)}>Make again</Act> : <Button icon="cross" onClick={() => setAsking("cancel")}>Cancel</Button>}
      <Button icon="trash" onClick={() => setAsking("delete")}>Delete</Button>
      {asking === "cancel" && (
        <Confirm title="Cancel this task?" yes="Cancel the task" onClose={() => setAsking(undefined)} act={() => post(`/tasks/${task.taskId}/cancel`).then(reload)}>
          <p>What is done of it is dropped. Its {credits(task.cost)} will come back.</p>
        </Confirm>
      )}
      {asking === "delete" && (
        <Confirm title="Delete this task?" yes="Delete its files" onClose={() => setAsking(undefined)} act={() => remove(`/tasks/${task.taskId}`).then(() => { tell("The task and its files are deleted."); go("/console/tasks"); })}>
          <p>Its files are deleted from the server at once, the song too if no other task has it. This cannot be undone{ended ? ", and what it cost stays spent" : "; it is cancelled first, and its credits come back"}.</p>
        </Confirm>
      )}
    </>
  );
}

const STAGES = ["queued", "fetching", "separating", "storing"] as const;

function Now({ task }: { task: Whole }): JSX.Element {
  const now = useProgress().get(task.taskId);
  const state = now?.state ?? task.state;
  const progress = now?.progress ?? task.progress;
  const shown = STAGES.filter((each) => each !== "fetching" || task.audioUrl !== null);
  const at = shown.indexOf(state as (typeof shown)[number]);
  return (
    <section class="card now" aria-label="Progress">
      <ol class="stages">{shown.map((each, index) => <li key={each} aria-current={index === at ? "step" : undefined} class={index < at ? "past" : ""}>{{ queued: "Waiting", fetching: "Fetching", separating: "Separating", storing: "Storing" }[each]}</li>)}</ol>
      <Bar value={progress} label={`Separation of ${task.song}`} />
      <p>{sentence(stage(state, progress, now?.secondsLeft ?? null, now?.ahead ?? null))} <span class="soft">This page shows the result by itself; it need not stay open.</span></p>
    </section>
  );
}

const sentence = (text: string): string => text.charAt(0).toUpperCase() + text.slice(1) + ".";

function Made({ task }: { task: Whole }): JSX.Element {
  if (task.gone) return <p class="callout"><Icon name="clock" /><span><strong>The files are gone.</strong> They were kept until {task.expireTime ? fullTime(task.expireTime) : "their time was over"}. {task.songUrl ? "The song is still here: make it again." : "Upload the song again to make them anew."}</span></p>;
  const silent = task.stems.filter((stem) => stem.silent);
  const loudest = Math.max(...task.stems.map((stem) => stem.loudnessDbfs ?? -99));
  return (
    <>
      <Player task={task} />
      <section aria-labelledby="files">
        <div class="title"><h2 id="files">{plural(task.stems.length, "stem")}</h2>{task.expireTime && <span class="soft">kept until <time dateTime={new Date(task.expireTime).toISOString()}>{fullTime(task.expireTime)}</time></span>}</div>
        {silent.length > 0 && <p class="soft">Nothing was heard of {list(silent.map((stem) => stem.label))}: {silent.length === 1 ? "this file is" : "these files are"} silent.</p>}
        <Table class="stems" caption="Stems" head={["Stem", "Level", "Length", "Size", <span class="hidden">Download</span>]}>
          {task.stems.map((stem) => <StemRow key={stem.id} stem={stem} task={task} loudest={loudest} />)}
        </Table>
      </section>
    </>
  );
}

function StemRow({ stem, task, loudest }: { stem: Stem; task: Whole; loudest: number }): JSX.Element {
  const share = stem.loudnessDbfs === null || stem.silent ? 0 : Math.max(2, 100 * (1 - (loudest - stem.loudnessDbfs) / 50));
  const from = task.kind === "split_stem_advanced" && stem.label === task.stemName ? `from “${stem.name.replace("_", " ")}” ` : "";
  return (
    <tr>
      <th scope="row"><span class={`dot stem-${stem.name}`} /><bdi>{stem.label}</bdi> {stem.silent && <Badge>silent</Badge>} {stem.experimental && !stem.silent && <Badge tone="warn">experimental</Badge>}<span class="soft">{from}{stem.model !== task.model && stem.model}</span></th>
      <td><div class="level"><div><div class={`stem-${stem.name}`} style={{ width: `${share}%` }} /></div><span class="number">{stem.loudnessDbfs === null || stem.silent ? "–" : `${stem.loudnessDbfs.toFixed(1)} dB`}</span></div></td>
      <td class="number">{length(stem.durationSeconds)}</td>
      <td class="number">{bytes(stem.bytes)}</td>
      <td class="do"><a class="button small" href={saved(stem.url)} download={named(`${task.song} - ${stem.label}`, stem.url)}><Icon name="down" /><span>Download<span class="hidden"> {stem.label}</span></span></a></td>
    </tr>
  );
}

function Facts({ task }: { task: Whole }): JSX.Element {
  const took = task.startTime && task.completeTime ? (task.completeTime - task.startTime) / 1000 : null;
  const pace = took && task.durationSeconds ? `, ${(task.durationSeconds / took).toFixed(1)} × real time` : "";
  const facts: [string, JSX.Element | string | null][] = [
    ["Length", task.durationSeconds === null ? null : length(task.durationSeconds)],
    ["Took", took === null || task.state !== "finished" ? null : `${span(took)}${pace}`],
    ["Model", task.model],
    ["Device", task.device && `${task.device}${task.precision ? `, in ${task.precision}` : ""}`],
    ["Gain", task.gainDb ? `${task.gainDb.toFixed(1)} dB on all stems alike, so that none clips` : null],
    ["Files", task.expireTime && !task.gone && task.state === "finished" ? `kept until ${fullTime(task.expireTime)} (${ago(task.expireTime)})` : null],
    ["Started again", task.attempts > 1 && isEnded(task.state) ? `${plural(task.attempts - 1, "time")}` : null],
    ["From", task.audioUrl ? <code class="break">{task.audioUrl}</code> : null],
    ["Key", task.key ? <><bdi>{task.key.name || "key"}</bdi> <code>{task.key.hint}…</code></> : null],
    ["Task", <><code class="break">{task.taskId}</code> <Copy text={task.taskId} /></>],
    ["Song", task.musicId ? <code class="break">{task.musicId} {task.audioId}</code> : null],
    ["Original", task.songUrl ? <a href={saved(task.songUrl)} download={named(task.song, task.songUrl)}>Download the song as it came</a> : null],
  ];
  return (
    <section class="card" aria-labelledby="facts">
      <h2 id="facts">About it</h2>
      <dl>{facts.filter(([, value]) => value !== null).map(([name, value]) => <div key={name}><dt>{name}</dt><dd>{value}</dd></div>)}</dl>
    </section>
  );
}

function Told({ task, reload }: { task: Whole; reload: () => void }): JSX.Element {
  const told = task.delivery;
  return (
    <section class="card" aria-labelledby="callback">
      <div class="title"><h2 id="callback">Callback</h2>{told && <Delivery state={told.state} />}</div>
      <p><code class="break">{task.callbackUrl}</code></p>
      {!told && <p class="soft">It is sent when the task has ended.</p>}
      {told && <Attempts told={told} />}
      {told && told.state !== "pending" && <Act icon="again" done="It is being sent again." act={() => post(`/tasks/${task.taskId}/resend`).then(reload)}>Send again</Act>}
      {told?.state === "pending" && told.attempts > 0 && <p class="soft">It is tried again by itself.</p>}
    </section>
  );
}

export function Delivery({ state }: { state: Callback["state"] }): JSX.Element {
  const [tone, icon, text] = ({ pending: ["busy", "clock", "On its way"], delivered: ["good", "check", "Delivered"], failed: ["bad", "cross", "Not delivered"] } as const)[state];
  return <Badge tone={tone} icon={icon}>{text}</Badge>;
}

export function Attempts({ told }: { told: Callback }): JSX.Element {
  if (!told.attempts) return <p class="soft">No attempt yet.</p>;
  return (
    <ol class="attempts">
      {told.tried.map((tried) => (
        <li key={tried.number}>
          <Icon name={tried.status && tried.status < 300 ? "check" : "cross"} class={tried.status && tried.status < 300 ? "good" : "bad"} />
          <span><strong>{tried.status ? `HTTP ${tried.status}` : "No answer"}</strong> <Ago time={tried.time} />{tried.error && <><br /><span class="soft">{tried.error}</span></>}</span>
        </li>
      ))}
      {told.tried.length < told.attempts && <li class="soft">{plural(told.attempts - told.tried.length, "earlier attempt")} not recorded</li>}
    </ol>
  );
}

/** What a file is called that is kept: its name, with the extension of its address once. */
function named(name: string, address: string): string {
  const extension = /\.\w+$/.exec(address)?.[0] ?? "";
  return name.endsWith(extension) ? name : name + extension;
}

/** Where a file comes from that is kept under a name of ours; from object storage it would be played. */
const saved = (address: string): string => `${address}?download=1`;

const list = (names: string[]): string => (names.length < 2 ? names.join() : `${names.slice(0, -1).join(", ")} and ${names[names.length - 1]}`);
