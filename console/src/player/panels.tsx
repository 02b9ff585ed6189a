// What opens on demand: tempo and pitch, and the mix as a file.

import { useState } from "preact/hooks";
import type { Engine } from "./engine";
import { Icon } from "./icons";
import { explained, Refused, type Song } from "./song";

/** A button that shows and hides what belongs to it. */
export function Opener(props: { icon: "speed" | "save"; label: string; open: boolean; marked?: boolean; onClick(): void }) {
  return (
    <button
      type="button"
      class="tool wide"
      aria-label={props.label}
      title={props.label}
      aria-expanded={props.open}
      data-marked={props.marked || undefined}
      onClick={props.onClick}
    >
      <Icon of={props.icon} />
      <span>{props.label}</span>
    </button>
  );
}

export function SpeedPanel({ engine }: { engine: Engine }) {
  const [trouble, setTrouble] = useState("");
  const [moving, setMoving] = useState<{ percent?: number; semitones?: number }>({}); // what is dragged, until it is let go
  const set = (tempo: number, semitones: number) => {
    setMoving({});
    engine.setSpeed(tempo, semitones).then(
      () => setTrouble(""),
      () => setTrouble("Tempo and pitch could not be loaded. Reload the page to try again."),
    );
  };
  if (!engine.canStretch)
    return <p class="panel">Tempo and pitch need a page that was opened by https, or from this computer itself.</p>;
  const percent = moving.percent ?? Math.round(engine.tempo * 100);
  const semitones = moving.semitones ?? engine.semitones;
  return (
    <div class="panel" role="group" aria-label="Tempo and pitch">
      <label>
        Tempo <output>{percent} %</output>
        <input
          type="range"
          class="tempo"
          aria-label="Tempo"
          min={50}
          max={150}
          step={1}
          value={percent}
          aria-valuetext={`${percent} percent`}
          onInput={(event) => setMoving({ percent: Number(event.currentTarget.value) })}
          onChange={(event) => set(Number(event.currentTarget.value) / 100, semitones)}
        />
      </label>
      <label>
        Pitch <output>{`${semitones > 0 ? "+" : ""}${semitones}`}</output>
        <input
          type="range"
          class="pitch"
          aria-label="Pitch"
          min={-12}
          max={12}
          step={1}
          value={semitones}
          aria-valuetext={`${semitones} semitones`}
          onInput={(event) => setMoving({ semitones: Number(event.currentTarget.value) })}
          onChange={(event) => set(engine.tempo, Number(event.currentTarget.value))}
        />
      </label>
      <button type="button" class="tool" disabled={percent === 100 && semitones === 0} onClick={() => set(1, 0)}>
        As recorded
      </button>
      {trouble && <p role="alert">{trouble}</p>}
    </div>
  );
}

/** Where the server renders what sounds now: the same gains, pans, tempo and pitch. Null when nothing sounds. */
export function mixUrl(song: Song, engine: Engine, format: string): string | null {
  const query = new URLSearchParams({ format });
  engine.strips.forEach((strip, n) => {
    const gain = engine.audible(n) * engine.master;
    if (gain > 0) query.set(strip.name, `${+gain.toFixed(5)}${strip.pan ? `,${strip.pan}` : ""}`);
  });
  if ([...query].length === 1) return null;
  if (engine.tempo !== 1) query.set("tempo", String(engine.tempo));
  if (engine.semitones) query.set("pitch", String(engine.semitones));
  return `${song.url}/mix?${query}`;
}

/** Downloads what is there; what a server says instead must not take visitors off the page that the player is on. */
async function download(url: string): Promise<void> {
  const answer = await fetch(url, { method: "HEAD", credentials: "omit" });
  if (!answer.ok) throw new Refused(answer.status);
  Object.assign(document.createElement("a"), { href: url, download: "" }).click();
}

export function ExportPanel({ song, engine, say }: { song: Song; engine: Engine; say(text: string): void }) {
  const [format, setFormat] = useState("mp3");
  const [trouble, setTrouble] = useState("");
  const url = mixUrl(song, engine, format);
  return (
    <div class="panel" role="group" aria-label="Export the mix">
      <p>
        {engine.original ? "The mix of the stems, not the original that you hear" : "The mix as it sounds now"}: what is muted, how loud, where,
        how fast and how high.
        {(engine.tempo !== 1 || engine.semitones !== 0) &&
          " The server has a stretcher of its own: tempo and pitch are the same, fine detail may sound a little different."}
      </p>
      <label>
        Format{" "}
        <select value={format} onChange={(event) => setFormat(event.currentTarget.value)}>
          <option value="mp3">mp3, 320 kbit/s</option>
          <option value="wav">wav, 16 bits</option>
        </select>
      </label>
      {url ? (
        <a
          class="tool go"
          href={url}
          download=""
          onClick={(event) => {
            event.preventDefault();
            setTrouble("");
            download(url).then(
              () => say("The mix is being made and downloaded."),
              (fault: unknown) => setTrouble(explained(fault)),
            );
          }}
        >
          Download the mix
        </a>
      ) : (
        <p role="status">No stem sounds now, so there is nothing to export.</p>
      )}
      {trouble && <p role="alert">{trouble}</p>}
    </div>
  );
}
