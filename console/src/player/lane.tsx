// One stem: what it is called, its buttons and sliders, and how it looks.

import { useEffect, useRef } from "preact/hooks";
import type { Engine } from "./engine";
import { Fader } from "./fader";
import { LANE_KEYS } from "./keys";
import { type Frames, Meter } from "./meter";
import type { Song } from "./song";
import { drawWave, type View } from "./waveform";
import { saidPan } from "./words";

interface Props {
  song: Song;
  engine: Engine;
  frames: Frames;
  lane: number;
  view: View;
  drawn: number; // grows when there is more to draw, or another size to draw it at
  onMute(): void;
  onSolo(): void;
}

export function Lane({ song, engine, frames, lane, view, drawn, onMute, onSolo }: Props) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const { label, silent, experimental } = song.stems[lane]!;
  const strip = engine.strips[lane]!;
  const dark = engine.audible(lane) === 0;
  useEffect(() => {
    if (canvas.current) drawWave(canvas.current, song, lane, view, song.height(lane));
  }, [song, lane, view.from, view.to, drawn, dark]);
  const change = (what: "volume" | "pan", value: number) => {
    strip[what] = value;
    engine.apply();
  };
  const key = LANE_KEYS[lane];
  return (
    <div class="lane" data-dark={dark || undefined} data-stem={strip.name} role="group" aria-label={label}>
      <div class="strip">
        <span class="chip" aria-hidden="true">
          {key}
        </span>
        <span class="name" title={label}>
          {label}
          {silent && <> <small>silent</small></>}
          {!silent && experimental && <> <small title="The model is not yet good at this one.">experimental</small></>}
        </span>
        <button
          type="button"
          class="mute"
          aria-pressed={strip.muted}
          aria-label={`Mute ${label}`}
          title={`Mute${key ? ` (${key})` : ""}`}
          onClick={onMute}
        >
          M
        </button>
        <button
          type="button"
          class="solo"
          aria-pressed={strip.solo}
          aria-label={`Solo ${label}`}
          title={`Solo${key ? ` (Shift ${key})` : ""}`}
          onClick={onSolo}
        >
          S
        </button>
        <Fader
          label={`Volume of ${label}`}
          gain={strip.volume}
          hint=": twice to set it to 0 dB"
          set={(gain) => change("volume", gain)}
        />
        <input
          type="range"
          class="pan"
          min={-1}
          max={1}
          step={0.05}
          value={strip.pan}
          aria-label={`Pan of ${label}`}
          aria-valuetext={saidPan(strip.pan)}
          title={`${saidPan(strip.pan)}: twice to set it to the centre`}
          onInput={(event) => change("pan", Number(event.currentTarget.value))}
          onDblClick={() => change("pan", 0)}
        />
        <Meter frames={frames} level={() => engine.level(engine.analyser(lane))} />
      </div>
      <canvas ref={canvas} class="wave" aria-hidden="true" />
    </div>
  );
}
