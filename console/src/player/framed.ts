// flac, opus and m4a: the player's file says where their frames begin, and a few of them become a file of their own.

import { BEYOND, cut, decoded, PIECE, type Piece, pulseIn, type StemFile, Unplayable, unpacked } from "./pieces";
import { bytes, type Song } from "./song";

/** What a few frames were part of: the start of their file, its rate, and which sample they begin at. */
interface Origin {
  head: Uint8Array;
  rate: number;
  sample: number;
}

interface Kind {
  /** Frames before the first one needed, until nothing is heard any more of what the decoder did not see. */
  before: number;
  /** A file that a browser decodes from its first sample on, all of it: nothing in it tells of delay or padding. */
  wrap(frames: Uint8Array[], origin: Origin): Uint8Array;
  /** A file with a pulse, and where the pulse is in it. */
  clip?: { frames: number[]; rate: number; pulse: number; data: string };
}

export class Framed implements StemFile {
  constructor(
    private readonly url: string,
    private readonly song: Song,
    private readonly lane: number,
    private readonly head: Uint8Array,
    private readonly kind: Kind,
  ) {
    if (!song.cuts) throw new Unplayable("Nothing says where these stems can be cut: they can be downloaded, but not played here.");
  }

  async piece(number: number, signal: AbortSignal): Promise<Piece> {
    const { rate, length } = this.song;
    const { step, delay, count: all } = this.song.cuts!;
    const first = number * PIECE;
    const count = Math.min(PIECE, length - first);
    const at = first + delay; // among all samples that a decoder puts out
    const from = Math.max(0, Math.floor(at / step) - this.kind.before);
    const to = Math.min(all, Math.ceil((at + count + BEYOND) / step) + 1);
    const starts = await this.song.starts(this.lane, from, to);
    const raw = await bytes(this.url, starts[0]!, starts.at(-1)!, signal);
    const frames = starts.slice(1).map((end, n) => raw.subarray(starts[n]! - starts[0]!, end - starts[0]!));
    const file = this.kind.wrap(frames, { head: this.head, rate, sample: from * step });
    const [dropped, sound] = await Promise.all([droppedBy(this.kind), decoded(file, rate)]);
    return cut([sound.getChannelData(0), sound.getChannelData(1)], at - from * step - dropped, count, rate);
  }
}

const measured = new Map<Kind, Promise<number>>();

/** How many samples this browser's decoder drops at the start of what it is given (negative: adds). */
function droppedBy(kind: Kind): Promise<number> {
  const { clip } = kind;
  if (!clip) return Promise.resolve(0);
  let found = measured.get(kind);
  if (!found) {
    const data = unpacked(clip.data);
    let at = 0;
    const frames = clip.frames.map((size) => data.subarray(at, (at += size)));
    const file = kind.wrap(frames, { head: data, rate: clip.rate, sample: 0 });
    found = pulseIn(file, clip.rate).then((peak) => clip.pulse - peak);
    measured.set(kind, found);
  }
  return found;
}

function joined(parts: Uint8Array[]): Uint8Array {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

const STREAMINFO_END = 42;

/** Every frame stands for itself; the header's counts of samples and bytes, and its checksum, are "unknown". */
export const FLAC: Kind = {
  before: 0,
  wrap(frames, { head }) {
    const start = head.slice(0, STREAMINFO_END);
    start[4] = 0x80; // the last block before the sound
    start.fill(0, 12, 18);
    start[21]! &= 0xf0;
    start.fill(0, 22);
    return joined([start, ...frames]);
  },
};

const ADTS_RATES = [96000, 88200, 64000, 48000, 44100, 32000];

/** Frames of AAC out of an mp4, each with the seven bytes before it that let it stand in a stream. */
export const AAC: Kind = {
  before: 2, // one overlaps with the next
  wrap(frames, { rate }) {
    const index = ADTS_RATES.indexOf(rate);
    const marked = frames.flatMap((frame) => {
      const size = frame.length + 7;
      const [high, low] = [(2 << 6) | (size >> 11), ((size & 7) << 5) | 0x1f]; // two channels; as many bits as it takes
      return [new Uint8Array([0xff, 0xf1, 0x40 | (index << 2), high, (size >> 3) & 0xff, low, 0xfc]), frame];
    });
    return joined(marked);
  },
  clip: { frames: [23, 6, 558, 141, 7, 7], rate: 44100, pulse: 3624, data: "3gIATGF2YzYyLjI4LjEwMgBCIAjBGDghEARgjBwhKFOd/Ej9gddgAAACfUenk+ldDJ9T6KT5ryInwzaE8xXuLJhCCWkIEQhGkEJUshMmEJkshJjkIsIg9ZA4qwPkNJMRybHk4cYnIlE5cwnMmE5conIjE4cAmxGBjsrBAkDKIOhEIschJlkJkwhMlkJUkhHiEILSCS/hPf53KTS0nBiE48knKlk5kwnMlk5McnFhE3KJmDtP3QgNBBkAhDjEJEohLmEJkwhLlEJEUhDeQYe7BUzkMRM6yb4ROLIJyZZOZMJzJZOVIJxohOA0mknx+sCACkFOIQYhCPJISpZCZMIS5RCTHIRIJByiBQag+7kyJJtgE4kYnIlE5cwnMmE5cknHik4Tyaz2eKnsqCIHYQfDIRpBCVLITJhCZLISpBCNDIQGEED9A3mTCYmtxOFFJx5JOXMJzJhOXKJyY5OJBJtTj8nvfyhAqSDYJCJHISZRCXMITJhCXJIR4pCE4go1iBpXJ4yaGE4EMnGkE5UsnMmE5ksnKkE4sMm9hM4ut+mCAjkFvIQopCRJIS5hCZMIS5RCRGIQ4BBqMAJet1gJlUTdBJxI5OTKJy5hOZLJypJOPEJwXE1FqcFxZ0IQS0hAiEI0ghKlkJkwhMlkJMchFhEHrIHF1h2mTGcmyAThxiciUTlzCcyYTlyiciMThwCbEXeOysECQMsg6EQixyEmWQmTCEyWQlSSEaIQgtIJJ+E0vncpNLXMfiR+wOuwAAAAAAAAAAAAAAAAAAAAAAchSWz/wAAAA5X0HQdB0AAS8q/FEn6a8BkfiN7VJci+F5P4COI/A34UEOEe4CXxB7eR9U/E8h5D8zEvil6LI+F/iSQ9kc6JfDX30RwnwWI/CHWkvdnw9J9Z9bkfib4xJedvikT8+eKyPxM9dkuo/Dsn7v0ZH4PfBkhj/e5L4b9CI+xPiU5D0HQdB0AAAAchQNpGCMHAIUDaRgjBwA==" },
};

/** Pages of opus as the first ones of a stream, with a header that has nothing skipped. */
export const OPUS: Kind = {
  before: 10, // a second
  wrap(frames, { sample }) {
    const head = page("OpusHead\x01\x02\0\0\x80\xbb\0\0\0\0\0", 2);
    const tags = page("OpusTags\0\0\0\0\0\0\0\0", 0);
    const pages = [head, tags, ...frames.map((frame) => frame.slice())];
    pages.forEach((each, number) => renumber(each, number, number < 2 ? 0 : sample));
    return joined(pages);
  },
  clip: { frames: [727], rate: 48000, pulse: 2912, data: "T2dnUwAEwBIAAAAAAACBJvlsAgAAAEaymSwFAwPq79j8//78//78fgHW43YtuN6dtVhaNZZ23Y4pAKMQ3rXnnxhgBWGNPxwVHejGNmuP3uPbPUGmmt032kt7ECtoTAIgcOuTj6df+lyQDv1tU3sJZB7vlc9x53EJFfp1KW/sCFZd3RAwKa9111OifDNzu/6NuI2hQEuRff/tz+pZhAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAGYB4GZ5mnsuBuayGXTbBgfBqRBpxc/iUBGbcwpBBBDR+ZeMBRABxS/+SOd/xS/8y8YAy8YAIgLWyW/2wpaD8KX6D8fzAnVJxDPnKA7j5eCjDkNGEPzLN+Y4v2ABjtyCQ4xB0/W5wGNgAAAAAACdgAAh4gvqrgAAJALKbMyAAAAM2u6xEAAAPyE8sSgjziDY6ZGAAVLX4xSuhMABbAqU2CddABe19QhtvZ7AenmDVKz0JFNPdV3u/oND85twOtOJuw00aGzA/lRz9MAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAABngGYZ+bc1kMJwo9FzKjggeSeL3cAw5pw9hlDICCCUQQJBAAqBfXfOpwPi2zVPwG0rV/JqqkP3W12pfx/c0/6yY08yFJrDKpYjhNzQ3K8NpQtC1ATkjaPiMvrjsg8UCrOYqpVWi1Fog96snbYQi6mp3zmDb2BigVJvzJDjjL1b92WHfmdiF85iJvdUA6Z426HvmHZhA1WHkO7ta8WkdOwR5yP7C4ZKCbDA9I1Ad85Y7bCx62clD6FDgIBAI5pzS+GxwqbV+GFmcagHfOUxiR2WIBAEc0NKAQBO/NvEAgAT3MUmEAIAPe5n1TABAAe28a/0wAHgAbV3pvSCWABVAACqON0jgAKoAAAAAAAAkX6o6BfAA==" },
};

/** One page of an Ogg stream around less than 255 bytes; `type` 2 begins the stream. */
function page(text: string, type: number): Uint8Array {
  const content = Uint8Array.from(text, (char) => char.charCodeAt(0));
  const header = new Uint8Array(28);
  header.set([0x4f, 0x67, 0x67, 0x53, 0, type]);
  header.set([1, content.length], 26);
  return joined([header, content]);
}

/** Makes a page the one with this number in stream 1, `sample` samples earlier than it was. */
function renumber(page: Uint8Array, number: number, sample: number): void {
  const view = new DataView(page.buffer);
  if (number > 1) page[5] = 0;
  view.setBigUint64(6, view.getBigUint64(6, true) - BigInt(sample), true);
  view.setUint32(14, 1, true);
  view.setUint32(18, number, true);
  view.setUint32(22, 0, true);
  let sum = 0;
  for (const byte of page) sum = ((sum << 8) ^ TABLE[(sum >>> 24) ^ byte]!) >>> 0;
  view.setUint32(22, sum, true);
}

/** Of Ogg's checksum, a byte at a time. */
const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let sum = byte << 24;
  for (let bit = 0; bit < 8; bit++) sum = (sum << 1) ^ (sum & 0x80000000 ? 0x04c11db7 : 0);
  return sum >>> 0;
});
