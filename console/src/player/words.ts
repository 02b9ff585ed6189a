// What the player says.

export const LOWEST_DB = -48;

/** 75.4 → "1:15". */
export function clock(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [minutes, rest] = [Math.floor(whole / 60), whole % 60];
  const padded = String(rest).padStart(2, "0");
  return minutes < 60 ? `${minutes}:${padded}` : `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, "0")}:${padded}`;
}

/** The same for ears: "1 minute 15 seconds". */
export function spoken(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const [minutes, rest] = [Math.floor(whole / 60), whole % 60];
  const of = (count: number, word: string) => `${count} ${word}${count === 1 ? "" : "s"}`;
  return minutes ? `${of(minutes, "minute")} ${of(rest, "second")}` : of(rest, "second");
}

/** A slider's decibels as a factor; its lowest place is silence. */
export function factor(db: number): number {
  return db <= LOWEST_DB ? 0 : 10 ** (db / 20);
}

export function decibels(gain: number): number {
  return gain <= 0 ? LOWEST_DB : Math.max(LOWEST_DB, Math.round(20 * Math.log10(gain) * 2) / 2);
}

export function saidDb(db: number): string {
  return db <= LOWEST_DB ? "off" : `${db > 0 ? "+" : ""}${db.toFixed(1)} dB`;
}

export function saidPan(pan: number): string {
  const percent = Math.round(Math.abs(pan) * 100);
  return percent === 0 ? "centre" : `${percent} % ${pan < 0 ? "left" : "right"}`;
}
