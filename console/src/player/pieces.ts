// What every kind of file is made into: pieces of a song, equally long, that go on where the one before them ends.

/** Samples of a piece: 3 s at 44.1 kHz. */
export const PIECE = 1 << 17;
/** Samples past its end that a piece is decoded on for, to see that the next one continues it. */
export const BEYOND = 64;

/** A piece as the browser plays it, and the samples that come after it: [left, right]. */
export interface Piece {
  buffer: AudioBuffer;
  beyond: [Float32Array, Float32Array];
}

/** A file that gives any piece of itself. */
export interface StemFile {
  piece(number: number, signal: AbortSignal): Promise<Piece>;
}

/** A file that no second try makes playable. */
export class Unplayable extends Error {}

/** `count` samples from `start` on, silent where there are none, and what follows. */
export function cut(sides: [Float32Array, Float32Array], start: number, count: number, rate: number): Piece {
  const buffer = new AudioBuffer({ numberOfChannels: 2, length: count, sampleRate: rate });
  const beyond = sides.map((side, channel) => {
    const from = Math.max(0, start);
    buffer.copyToChannel(side.subarray(from, start + count) as Float32Array<ArrayBuffer>, channel, from - start);
    return side.slice(start + count, start + count + BEYOND);
  });
  return { buffer, beyond: [beyond[0]!, beyond[1]!] };
}

export async function decoded(data: Uint8Array, rate: number): Promise<AudioBuffer> {
  // A context at the file's own rate: nothing is resampled. It needs no gesture of the user, unlike one that sounds.
  const context = new OfflineAudioContext(2, 1, rate);
  try {
    return await context.decodeAudioData(data.slice().buffer);
  } catch {
    throw new Unplayable("This browser cannot decode these stems: they can be downloaded, but not played here.");
  }
}

/** Where the pulse is in what this browser makes of a clip that holds one. */
export async function pulseIn(clip: Uint8Array, rate: number): Promise<number> {
  const samples = (await decoded(clip, rate)).getChannelData(0);
  let peak = 0;
  samples.forEach((sample, n) => {
    if (Math.abs(sample) > Math.abs(samples[peak]!)) peak = n;
  });
  return peak;
}

export function unpacked(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (char) => char.charCodeAt(0));
}

/** Whether the second piece goes on where the first one ends. */
export function continues(first: Piece, second: Piece): boolean {
  return first.beyond.every((side, channel) => {
    const next = second.buffer.getChannelData(channel);
    return side.every((sample, n) => n >= next.length || Math.abs(sample - next[n]!) < 1e-3);
  });
}
