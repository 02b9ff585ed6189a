// How loud something is, as a slider in decibels; twice sets it to 0 dB.

import { decibels, factor, LOWEST_DB, saidDb } from "./words";

const HIGHEST_DB = 6;

interface Props {
  label: string;
  gain: number;
  hint?: string; // stands behind the level in the tooltip
  set(gain: number): void;
}

export function Fader({ label, gain, hint = "", set }: Props) {
  const db = decibels(gain);
  return (
    <input
      type="range"
      class="volume"
      min={LOWEST_DB}
      max={HIGHEST_DB}
      step={0.5}
      value={db}
      style={{ "--at": (db - LOWEST_DB) / (HIGHEST_DB - LOWEST_DB) }}
      aria-label={label}
      aria-valuetext={saidDb(db)}
      title={saidDb(db) + hint}
      onInput={(event) => set(factor(Number(event.currentTarget.value)))}
      onDblClick={() => set(1)}
    />
  );
}
