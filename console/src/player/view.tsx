// The player as people see it.

import { useCallback, useEffect, useMemo, useReducer, useRef, useState } from "preact/hooks";
import type { Engine } from "./engine";
import { Fader } from "./fader";
import { Icon } from "./icons";
import { press } from "./keys";
import { Lane } from "./lane";
import { Frames, Meter } from "./meter";
import { ExportPanel, Opener, SpeedPanel } from "./panels";
import type { Song } from "./song";
import { drawRuler, drawWave, type View } from "./waveform";
import { clock, spoken } from "./words";

const SHORTEST_VIEW_SECONDS = 2;
const DRAG_PIXELS = 5; // less is a click

export function Player({ song, engine, title }: { song: Song; engine: Engine; title: string }) {
  const [, refresh] = useReducer((count: number) => count + 1, 0);
  const [drawn, redraw] = useReducer((count: number) => count + 1, 0);
  const [view, setView] = useState<View>({ from: 0, to: song.length });
  const [panel, setPanel] = useState<"" | "speed" | "export">("");
  const [said, say] = useState("");
  const frames = useMemo(() => new Frames(), []);
  const root = useRef<HTMLElement>(null);
  const looked = useRef(view);
  looked.current = view;

  useEffect(() => {
    engine.addEventListener("change", refresh as () => void);
    song.onPage = () => redraw(undefined);
    return () => engine.removeEventListener("change", refresh as () => void);
  }, [engine, song]);

  useEffect(() => {
    const seen = new ResizeObserver(() => redraw(undefined));
    seen.observe(root.current!);
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    const recolour = () => redraw(undefined);
    scheme.addEventListener("change", recolour);
    return () => {
      seen.disconnect();
      scheme.removeEventListener("change", recolour);
    };
  }, []);

  const zoom = useCallback(
    (times: number, around?: number) => {
      const { from, to } = looked.current;
      const width = Math.min(song.length, Math.max(SHORTEST_VIEW_SECONDS * song.rate, (to - from) / times));
      const here = around ?? Math.min(to, Math.max(from, engine.position()));
      const start = Math.min(song.length - width, Math.max(0, here - ((here - from) / (to - from)) * width));
      setView({ from: start, to: start + width });
    },
    [song, engine],
  );

  const mute = (lane: number) => {
    const strip = engine.strips[lane];
    if (!strip) return;
    strip.muted = !strip.muted;
    engine.apply();
    say(`${strip.label} ${strip.muted ? "muted" : "on"}`);
  };
  const solo = (lane: number) => {
    const strip = engine.strips[lane];
    if (!strip) return;
    strip.solo = !strip.solo;
    engine.apply();
    say(strip.solo ? `${strip.label} solo` : `${strip.label} no longer solo`);
  };
  const toggle = () => {
    say(engine.state === "stopped" ? "Playing" : "Paused");
    void engine.toggle();
  };
  const setLoop = (loop: [number, number] | null) => {
    engine.setLoop(loop);
    if (engine.loop) say(`Loop from ${spoken(engine.loop[0] / song.rate)} to ${spoken(engine.loop[1] / song.rate)}`);
    else say("No loop");
  };
  const loopStart = () => {
    const here = engine.position();
    const end = engine.loop?.[1] ?? song.length;
    setLoop([here, end > here ? end : song.length]);
  };
  const loopEnd = () => {
    const here = engine.position();
    const start = engine.loop?.[0] ?? 0;
    setLoop([start < here ? start : 0, here]);
  };
  const karaoke = () => {
    engine.karaoke = !engine.karaoke;
    engine.apply();
    say(engine.karaoke ? "Karaoke: vocals off" : "Vocals on");
  };
  const compare = (original: boolean) => {
    engine.original = original;
    engine.apply();
    say(engine.original ? "The original" : "The stems");
  };
  const deeds = {
    toggle,
    mute,
    solo,
    loopStart,
    loopEnd,
    loopClear: () => setLoop(null),
    nudge: (seconds: number) => {
      engine.seek(engine.position() + seconds * song.rate);
      say(spoken(engine.position() / song.rate));
    },
  };

  const sung = song.stems.some((stem) => /(^|_)vocals$/.test(stem.name));
  return (
    <section
      ref={root}
      class="player"
      tabIndex={0}
      aria-label={title ? `Player: ${title}` : "Player"}
      data-state={engine.state}
      onKeyDown={(event) => {
        if (press(event, deeds)) event.preventDefault();
      }}
      onMouseDown={(event) => {
        // A click on a button leaves the focus with the player, so that space goes on to mean play.
        if (!(event.target as HTMLElement).closest("button")) return;
        event.preventDefault();
        root.current?.focus({ preventScroll: true }); // else what is clicked would move away
      }}
    >
      <header class="bar">
        <button type="button" class="play" aria-label={engine.state === "stopped" ? "Play" : "Pause"} onClick={toggle}>
          <Icon of={engine.state === "stopped" ? "play" : "pause"} />
        </button>
        <Time song={song} engine={engine} frames={frames} />
        <div class="tools">
          {sung && (
            <button type="button" class="tool wide karaoke" aria-label="Karaoke" title="Vocals off" aria-pressed={engine.karaoke} onClick={karaoke}>
              <Icon of="microphone" />
              <span>Karaoke</span>
            </button>
          )}
          {engine.hasOriginal && (
            <div class="compare" role="group" aria-label="Compare" title="Equally loud">
              {[false, true].map((original) => (
                <button
                  key={String(original)}
                  type="button"
                  aria-pressed={engine.original === original}
                  onClick={() => compare(original)}
                >
                  {original ? "Original" : "Stems"}
                </button>
              ))}
            </div>
          )}
          <div class="group" role="group" aria-label="Loop">
            <span aria-hidden="true">Loop</span>
            <button type="button" class="tool" aria-label="Loop from here" title="Loop from here (A)" onClick={loopStart}>
              A
            </button>
            <button type="button" class="tool" aria-label="Loop to here" title="Loop to here (B)" onClick={loopEnd}>
              B
            </button>
            <button
              type="button"
              class="tool"
              aria-label="No loop"
              title="No loop (X)"
              disabled={!engine.loop}
              onClick={() => setLoop(null)}
            >
              <Icon of="clear" />
            </button>
          </div>
          <div class="group" role="group" aria-label="Zoom">
            <button
              type="button"
              class="tool"
              aria-label="Zoom out"
              disabled={view.to - view.from >= song.length}
              onClick={() => zoom(1 / 2)}
            >
              <Icon of="out" />
            </button>
            <button
              type="button"
              class="tool"
              aria-label="Zoom in"
              disabled={view.to - view.from <= SHORTEST_VIEW_SECONDS * song.rate}
              onClick={() => zoom(2)}
            >
              <Icon of="in" />
            </button>
          </div>
          <Opener
            icon="speed"
            label="Tempo & pitch"
            open={panel === "speed"}
            marked={engine.tempo !== 1 || engine.semitones !== 0}
            onClick={() => setPanel(panel === "speed" ? "" : "speed")}
          />
          <Opener
            icon="save"
            label="Export"
            open={panel === "export"}
            onClick={() => setPanel(panel === "export" ? "" : "export")}
          />
        </div>
        <div class="master">
          <Icon of="volume" />
          <Fader
            label="Volume of everything"
            gain={engine.master}
            set={(gain) => {
              engine.master = gain;
              engine.apply();
            }}
          />
          <div class="meters">
            {[0, 1].map((side) => (
              <Meter key={side} frames={frames} level={() => engine.level(engine.masterAnalysers?.[side])} />
            ))}
          </div>
        </div>
      </header>
      {panel === "speed" && <SpeedPanel engine={engine} />}
      {panel === "export" && <ExportPanel song={song} engine={engine} say={say} />}
      <Overview song={song} engine={engine} frames={frames} view={view} drawn={drawn} />
      {engine.trouble && (
        <p class="trouble" role="alert">
          {engine.trouble}
        </p>
      )}
      <Waves song={song} engine={engine} frames={frames} view={view} setView={setView} zoom={zoom} onLoop={setLoop}>
        <Ruler song={song} view={view} drawn={drawn} />
        {song.stems.map((_, lane) => (
          <Lane
            key={lane}
            {...{ song, engine, frames, lane, view, drawn }}
            onMute={() => mute(lane)}
            onSolo={() => solo(lane)}
          />
        ))}
      </Waves>
      <p class="unseen" aria-live="polite">
        {said}
      </p>
    </section>
  );
}

function Time({ song, engine, frames }: { song: Song; engine: Engine; frames: Frames }) {
  const shown = useRef<HTMLSpanElement>(null);
  useEffect(
    () =>
      frames.add(() => {
        const text = clock(engine.position() / song.rate);
        if (shown.current && shown.current.textContent !== text) shown.current.textContent = text;
      }),
    [engine, song],
  );
  return (
    <span class="time">
      <span ref={shown}>0:00</span> <small>/ {clock(song.seconds)}</small>
    </span>
  );
}

/** All of the song in small, and the slider that one seeks with. */
function Overview(props: { song: Song; engine: Engine; frames: Frames; view: View; drawn: number }) {
  const { song, engine, frames, view, drawn } = props;
  const slider = useRef<HTMLInputElement>(null);
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (!canvas.current) return;
    const lane = song.mix ? song.stems.length : 0;
    drawWave(canvas.current, song, lane, { from: 0, to: song.length }, 1);
  }, [song, drawn]);
  useEffect(
    () =>
      frames.add(() => {
        const input = slider.current;
        const seconds = engine.position() / song.rate;
        if (!input || Math.abs(Number(input.value) - seconds) < song.seconds / 4000) return;
        input.value = String(seconds);
        input.setAttribute("aria-valuetext", `${spoken(seconds)} of ${spoken(song.seconds)}`);
        input.parentElement!.style.setProperty("--played", String(seconds / song.seconds));
      }),
    [engine, song],
  );
  const part = (sample: number) => sample / song.length;
  return (
    <div class="overview" style={{ "--from": part(view.from), "--to": part(view.to) }}>
      <canvas ref={canvas} aria-hidden="true" />
      {engine.loop && (
        <span class="loop" style={{ "--a": part(engine.loop[0]), "--b": part(engine.loop[1]) }} aria-hidden="true" />
      )}
      {view.to - view.from < song.length && <span class="window" aria-hidden="true" />}
      <input
        ref={slider}
        type="range"
        class="seek"
        min={0}
        max={song.seconds}
        step="any"
        defaultValue="0"
        aria-label="Position"
        aria-valuetext={`${spoken(0)} of ${spoken(song.seconds)}`}
        onInput={(event) => engine.seek(Number(event.currentTarget.value) * song.rate)}
      />
    </div>
  );
}

function Ruler({ song, view, drawn }: { song: Song; view: View; drawn: number }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  useEffect(() => {
    if (canvas.current) drawRuler(canvas.current, song.rate, view);
  }, [song, view.from, view.to, drawn]);
  return (
    <div class="ruler" aria-hidden="true">
      <span />
      <canvas ref={canvas} />
    </div>
  );
}

interface WavesProps {
  song: Song;
  engine: Engine;
  frames: Frames;
  view: View;
  setView(view: View): void;
  zoom(times: number, around?: number): void;
  onLoop(loop: [number, number] | null): void;
  children: preact.ComponentChildren;
}

/** The lanes, with what lies over all their waves: where it plays, and the loop. A click seeks, a drag makes a loop. */
function Waves({ song, engine, frames, view, setView, zoom, onLoop, children }: WavesProps) {
  const box = useRef<HTMLDivElement>(null);
  const over = useRef<HTMLDivElement>(null);
  const drag = useRef<{ x: number; sample: number; far: boolean } | null>(null);
  const [dragged, setDragged] = useState<[number, number] | null>(null);
  const stood = useRef(0); // where it was at the last frame
  const at = (event: { clientX: number }) => {
    const place = over.current!.getBoundingClientRect();
    const part = Math.min(1, Math.max(0, (event.clientX - place.left) / place.width));
    return view.from + part * (view.to - view.from);
  };

  useEffect(() => {
    let shown = "";
    return frames.add(() => {
      const here = engine.position();
      const part = (here - view.from) / (view.to - view.from);
      const zoomed = view.to - view.from < song.length;
      const moved = engine.state === "playing" || here !== stood.current;
      stood.current = here;
      if (zoomed && moved && (part > 1 || part < 0)) {
        const width = view.to - view.from;
        const from = Math.min(song.length - width, Math.max(0, here - width * 0.05));
        if (Math.abs(from - view.from) > 1) return setView({ from, to: from + width });
      }
      const text = part < -0.01 ? "-0.01" : part > 1.01 ? "1.01" : part.toFixed(5);
      if (text !== shown) over.current?.style.setProperty("--played", text);
      shown = text;
    });
  }, [view, engine, song]);

  useEffect(() => {
    const turned = (event: WheelEvent) => {
      const width = view.to - view.from;
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        return zoom(event.deltaY < 0 ? 1.25 : 0.8, at(event));
      }
      const sideways = event.shiftKey ? event.deltaY : event.deltaX;
      if (!sideways || width >= song.length) return;
      event.preventDefault();
      const from = Math.min(song.length - width, Math.max(0, view.from + (sideways / 800) * width));
      setView({ from, to: from + width });
    };
    const element = box.current!;
    element.addEventListener("wheel", turned, { passive: false });
    return () => element.removeEventListener("wheel", turned);
  });

  const loop = dragged ?? engine.loop;
  const part = (sample: number) => Math.min(1.01, Math.max(-0.01, (sample - view.from) / (view.to - view.from)));
  return (
    <div
      ref={box}
      class="lanes"
      onPointerDown={(event) => {
        if (!(event.target as HTMLElement).matches("canvas") || event.button !== 0) return;
        drag.current = { x: event.clientX, sample: at(event), far: false };
        box.current!.setPointerCapture(event.pointerId);
      }}
      onPointerMove={(event) => {
        const from = drag.current;
        if (!from) return;
        from.far ||= Math.abs(event.clientX - from.x) > DRAG_PIXELS;
        if (from.far) setDragged([Math.min(from.sample, at(event)), Math.max(from.sample, at(event))]);
      }}
      onPointerUp={(event) => {
        const from = drag.current;
        drag.current = null;
        setDragged(null);
        if (!from) return;
        if (from.far) onLoop([Math.min(from.sample, at(event)), Math.max(from.sample, at(event))]);
        else engine.seek(from.sample);
      }}
      onPointerCancel={() => {
        drag.current = null;
        setDragged(null);
      }}
    >
      {children}
      <div ref={over} class="over" aria-hidden="true">
        {loop && <span class="loop" style={{ "--a": part(loop[0]), "--b": part(loop[1]) }} />}
        <span class="ahead" />
        <span class="head" />
      </div>
    </div>
  );
}
