// Separate: songs in, what to make of them, what it costs, and how far they are.
import type { JSX, TargetedEvent, TargetedMouseEvent } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { session } from "../api";
import { useProgress } from "../live";
import { go } from "../router";
import { useStore } from "../store";
import type { Kind, Progress, Service, Session } from "../types";
import { add, drop, type Options, retry, type Song, songs, start } from "../uploads";
import { Badge, Bar, Button, Choice, Field, Icon, StateBadge, Title } from "../ui";
import { bytes, credits, givesTwelve, isEnded, KINDS, made, number, plural, price, span, stage } from "../words";

const IDS = /^([0-9a-f]{32})[\s,/]+([0-9a-f-]{36})$/i;
const LINK = /^https?:\/\/([^\s/]+[./]|localhost)/i;
const KEPT = "stemwright.options";

export function Separate(): JSX.Element {
  const { service, balance } = useStore(session) as Session;
  const all = useStore(songs);
  const [options, setOptions] = useState(() => remembered(service));
  const change = (values: Partial<Options>): void => {
    const changed = { ...options, ...values };
    setOptions(changed);
    remember(changed);
  };
  const chosen = all.filter((song) => song.step === "chosen");
  return (
    <>
      <Title>Separate</Title>
      <div class="separate">
        <section aria-label="Songs">
          <Drop service={service} />
          <Link />
          {all.length > 0 && <Songs all={all} options={options} />}
        </section>
        <form class="card options" aria-label="What to make" onSubmit={(event) => { event.preventDefault(); start(options); }}>
          <Kinds service={service} options={options} change={change} />
          <div class="pair">
            <Field label="Format">
              {(attributes) => <select {...attributes} value={options.format} onChange={(event) => change({ format: event.currentTarget.value })}>{service.formats.map((format) => <option key={format}>{format}</option>)}</select>}
            </Field>
            <Field label="Model">
              {(attributes) => <select {...attributes} value={options.model || service.models[0]} onChange={(event) => change({ model: event.currentTarget.value === service.models[0] ? "" : event.currentTarget.value })}>{service.models.map((model) => <option key={model}>{model}</option>)}</select>}
            </Field>
          </div>
          <details open={service.requireCallback}>
            <summary>Tell a server when it is done</summary>
            <Field label="Callback address" hint={service.requireCallback ? "This server asks for one." : "Optional. It gets a signed POST with the links."}>
              {(attributes) => <input {...attributes} type="url" inputMode="url" placeholder="https://…" required={service.requireCallback} value={options.callBackUrl} onInvalid={unfold} onInput={(event) => change({ callBackUrl: event.currentTarget.value.trim() })} />}
            </Field>
          </details>
          <Price count={chosen.length} each={price(service, options.kind, options.model)} balance={balance} retentionDays={service.retentionDays} />
        </form>
      </div>
    </>
  );
}

/** What is wrong inside of what is closed cannot be shown, and the form would do nothing. */
function unfold({ currentTarget: input }: TargetedEvent<HTMLInputElement>): void {
  input.closest("details")?.setAttribute("open", "");
}

const hasFiles = (event: DragEvent): boolean => event.dataTransfer?.types.includes("Files") ?? false;

// On every page: a browser opens what is dropped where nothing takes it, in the place of the console.
addEventListener("dragover", (event) => hasFiles(event) && event.preventDefault());
addEventListener("drop", (event) => {
  if (!hasFiles(event)) return;
  event.preventDefault();
  if (!session.value) return;
  const dropped = [...(event.dataTransfer?.items ?? [])].filter((item) => item.kind === "file");
  take(event.dataTransfer?.files, session.value.service, dropped.map((item) => item.webkitGetAsEntry()?.isDirectory ?? false));
  go("/");
});

function Drop({ service }: { service: Service }): JSX.Element {
  const [over, setOver] = useState(false);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    let depth = 0;
    const handlers: Record<string, (event: DragEvent) => void> = {
      dragenter: (event) => hasFiles(event) && (depth++, setOver(true)),
      dragleave: (event) => hasFiles(event) && --depth <= 0 && setOver(false),
      drop: () => (depth = 0, setOver(false)),
    };
    for (const [name, handler] of Object.entries(handlers)) addEventListener(name, handler as EventListener);
    return () => {
      for (const [name, handler] of Object.entries(handlers)) removeEventListener(name, handler as EventListener);
    };
  }, []);
  return (
    <div class={`drop ${over ? "over" : ""}`}>
      <Icon name="up" class="large" />
      <label class="button main" for="files"><span>Choose songs</span></label>
      <input ref={input} id="files" class="hidden" type="file" multiple accept="audio/*,video/*,.flac,.opus,.m4a,.mka,.mkv,.aiff,.wma" aria-describedby="files-hint" onChange={(event) => { take(event.currentTarget.files, service); event.currentTarget.value = ""; }} />
      <p id="files-hint">or drop them anywhere. <span class="soft">Anything with sound in it, up to {bytes(service.maxUploadBytes)} and {span(service.maxDurationSeconds)}.</span></p>
    </div>
  );
}

function take(files: FileList | null | undefined, service: Service, folders: boolean[] = []): void {
  for (const [at, file] of [...(files ?? [])].entries()) {
    add(file.name, { file });
    const song = songs.value[songs.value.length - 1] as Song;
    const refused = file.size > service.maxUploadBytes ? `is larger than ${bytes(service.maxUploadBytes)}` : file.size === 0 ? "is empty" : "";
    const problem = folders[at] ? "This is a folder. Drop the songs that are in it." : refused && `This file ${refused}, so the server would refuse it.`;
    if (problem) songs.set(songs.value.map((each) => (each.id === song.id ? { ...each, step: "failed", problem } : each)));
  }
}

function Link(): JSX.Element {
  const [text, setText] = useState("");
  const [wrong, setWrong] = useState("");
  const submit = (event: Event): void => {
    event.preventDefault();
    const given = text.trim();
    const ids = IDS.exec(given);
    const links = given.split(/\s+(?=https?:)/i);
    if (ids) add(`song ${ids[2]?.slice(0, 8)}`, { taskId: (ids[1] as string).toLowerCase(), audioId: (ids[2] as string).toLowerCase() });
    else if (links.every((link) => LINK.test(link))) links.forEach((link) => add(decoded(link), { audioUrl: link }));
    else return setWrong("Give an address that begins with http:// or https://, or several with spaces between them, or a taskId and an audioId.");
    setText("");
  };
  return (
    <form class="link" onSubmit={submit} noValidate>
      <Field label="Or links, or the ids of a song" wrong={wrong || undefined}>
        {(attributes) => (
          <div class="joined">
            <input {...attributes} type="text" inputMode="url" autoComplete="off" spellcheck={false} placeholder="https://… or taskId audioId" value={text} onInput={(event) => { setText(event.currentTarget.value); setWrong(""); }} />
            <Button type="submit" icon="plus">Add</Button>
          </div>
        )}
      </Field>
    </form>
  );
}

function decoded(address: string): string {
  try {
    return decodeURIComponent(new URL(address).pathname.split("/").filter(Boolean).pop() ?? address);
  } catch {
    return address;
  }
}

function Kinds({ service, options, change }: { service: Service; options: Options; change: (values: Partial<Options>) => void }): JSX.Element {
  const model = options.model || (service.models[0] as string);
  const ours = givesTwelve(model);
  const exact = ours && (options.model !== "" || !service.models.includes("mega53")); // else its heads come first
  const about: Record<Kind, string> = {
    separate_vocal: "Karaoke and a cappella.",
    split_stem: !ours ? `All that the model ${model} gives.` : service.stems.map((name) => name.replace("_", " ")).join(", ").replace("fx", "FX") + ".",
    split_stem_advanced: "The one you name, and everything but it.",
  };
  return (
    <fieldset class="kinds">
      <legend>What to make</legend>
      {(Object.keys(KINDS) as Kind[]).map((kind) => (
        <label key={kind} class="kind">
          <input type="radio" name="kind" value={kind} checked={options.kind === kind} onChange={() => change({ kind })} />
          <span><strong>{made(kind, model)}</strong><span class="soft">{about[kind]}</span></span>
          <span class="price">{credits(price(service, kind, options.model))}</span>
        </label>
      ))}
      {options.kind === "split_stem_advanced" && (
        <Field label="Instrument" hint={exact ? `Taken from our stem “${service.instruments[options.stemName]?.replace("_", " ")}”, the nearest there is.` : "The nearest that the model has, which is told with the result."}>
          {(attributes) => <select {...attributes} value={options.stemName} onChange={(event) => change({ stemName: event.currentTarget.value })}>{Object.keys(service.instruments).sort().map((name) => <option key={name}>{name}</option>)}</select>}
        </Field>
      )}
    </fieldset>
  );
}

function Price({ count, each, balance, retentionDays }: { count: number; each: number; balance: number; retentionDays: number }): JSX.Element {
  const total = count * each;
  const short = total > balance;
  return (
    <div class="sum">
      <p id="cost">
        {count ? <><span>{plural(count, "song")} × {credits(each)}</span> <strong>{credits(total)}</strong></> : <span>{credits(each)} for each song</span>}
        <span class="soft">You have {number(balance)}. What fails is given back. Files are kept for {span(retentionDays * 86_400)}.</span>
      </p>
      {short && <p class="wrong" role="alert"><Icon name="warn" /> {credits(total - balance)} more would be needed.</p>}
      <Button type="submit" kind="main" disabled={!count || short} aria-describedby="cost">{count > 1 ? `Separate ${number(count)} songs` : "Separate"}</Button>
    </div>
  );
}

function Songs({ all, options }: { all: Song[]; options: Options }): JSX.Element {
  const progress = useProgress();
  const [show, setShow] = useState<"all" | "open">("all");
  const done = all.filter((song) => song.taskId && isEnded(progress.get(song.taskId)?.state ?? "queued"));
  const shown = show === "all" ? all : all.filter((song) => !done.includes(song));
  const clear = (): void => {
    done.forEach((song) => drop(song.id));
    toChoosing();
  };
  return (
    <div class="songs">
      <div class="title"><h2>{plural(all.length, "song")}</h2>
        {done.length > 0 && <div class="actions">
          <Choice label="Which songs" value={show} options={[["all", "All"], ["open", "Unfinished"]]} onChange={setShow} />
          <Button small onClick={clear}>Clear finished</Button>
        </div>}
      </div>
      <ul>{shown.map((song) => <Line key={song.id} song={song} options={options} progress={song.taskId ? progress.get(song.taskId) : undefined} />)}</ul>
    </div>
  );
}

/** Where the focus goes when what had it is gone; else it would be nowhere. */
const toChoosing = (): void => document.getElementById("files")?.focus({ preventScroll: true });

function Line({ song, options, progress }: { song: Song; options: Options; progress: Progress | undefined }): JSX.Element {
  const unfinished = song.step === "made" && !(progress && isEnded(progress.state));
  const remove = ({ currentTarget: button }: TargetedMouseEvent<HTMLButtonElement>): void => {
    const line = button.closest("li");
    const beside = (line?.nextElementSibling ?? line?.previousElementSibling)?.querySelector<HTMLElement>("a, button");
    drop(song.id);
    if (beside) beside.focus({ preventScroll: true });
    else toChoosing();
  };
  return (
    <li class="song">
      <div class="head">
        {song.taskId ? <a href={`/console/task/${song.taskId}`} class="name" dir="auto">{song.name}</a> : <span class="name" dir="auto">{song.name}</span>}
        <Where song={song} progress={progress} />
        {(song.step === "failed" || song.step === "cut") && song.options && <Button small icon="again" onClick={() => retry(song, options)} aria-label={`Try ${song.name} again`}>Try again</Button>}
        {!unfinished && (song.step !== "asking" || song.problem) && <Button small kind="bare" icon="cross" onClick={remove} aria-label={`Remove ${song.name} from this list`} />}
      </div>
      {song.step === "uploading" && <Bar value={song.size ? (100 * song.sent) / song.size : null} label={`Upload of ${song.name}`} />}
      {unfinished && <Bar value={progress?.progress ?? 0} label={`Separation of ${song.name}`} />}
      <p class="soft">{told(song, progress)}</p>
    </li>
  );
}

function Where({ song, progress }: { song: Song; progress: Progress | undefined }): JSX.Element {
  if (song.step === "made") return <StateBadge state={progress?.state ?? "queued"} />;
  if (song.step === "failed") return <Badge tone="bad" icon="cross">Not sent</Badge>;
  if (song.step === "cut") return <Badge tone="bad" icon="warn">Cut off</Badge>;
  if (song.step === "uploading") return <Badge tone="busy" icon="up">Uploading</Badge>;
  return <Badge>{song.step === "chosen" ? "Chosen" : "Next"}</Badge>;
}

function told(song: Song, progress: Progress | undefined): string {
  if (song.problem) return song.problem;
  if (song.step === "uploading") {
    const seconds = (Date.now() - song.since) / 1000;
    const left = song.sent > 0 && seconds > 1 ? `, about ${span(Math.max(1, Math.round(((song.size - song.sent) * seconds) / song.sent)))} left` : "";
    return song.sent >= song.size ? "all of it is there; the server is storing it" : `${bytes(song.sent)} of ${bytes(song.size)}${left}`;
  }
  const what = song.options ? `${made(song.options.kind, song.options.model)} as ${song.options.format}` : "";
  if (song.step === "made") {
    if (!progress) return `${what}: waiting for a worker`;
    return progress.error ?? [`${what}: ${stage(progress.state, progress.progress, progress.secondsLeft, progress.ahead)}`, ...progress.warnings].join("; ");
  }
  return song.size ? bytes(song.size) : "audioUrl" in song.source ? song.source.audioUrl : "a song that is here already";
}

function remembered(service: Service): Options {
  const usual: Options = { kind: "split_stem", stemName: "Lead Vocal", format: service.formats[0] ?? "mp3", model: "", callBackUrl: "" };
  try {
    const kept = JSON.parse(localStorage.getItem(KEPT) ?? "{}") as Partial<Options>;
    const merged = { ...usual, ...kept };
    return { ...merged, format: service.formats.includes(merged.format) ? merged.format : usual.format, model: service.models.includes(merged.model) ? merged.model : "" };
  } catch {
    return usual;
  }
}

function remember(options: Options): void {
  try {
    const { callBackUrl: _, ...kept } = options; // an address may hold a secret
    localStorage.setItem(KEPT, JSON.stringify(kept));
  } catch {
    // no storage: they are asked again next time
  }
}
