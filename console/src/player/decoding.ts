// Stems out of their files in pieces, exact to the sample: see docs/decisions, "How the player stays in sync".

import { AAC, FLAC, Framed, OPUS } from "./framed";
import { BEYOND, cut, decoded, PIECE, type Piece, pulseIn, type StemFile, Unplayable, unpacked } from "./pieces";
import { bytes, type Song } from "./song";

const MP3_KBPS = [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320];
const MP3_RATES = [44100, 48000, 32000];
const FRAME = 1152;
const DECODER_DELAY = 529;
const RESERVOIR = 511; // bytes that a frame may have left in those before it
const HEAD_BYTES = 16 * 1024;
const MOST_FRAME_BYTES = 1500; // and a bit of the next one

/** Opens a stem by its first bytes. */
export async function openStem(url: string, song: Song, lane: number): Promise<StemFile> {
  const head = await bytes(url, 0, HEAD_BYTES);
  const mark = String.fromCharCode(...head.subarray(0, 8));
  if (/^(RIFF|RF64)/.test(mark)) return new Wav(url, head, song.rate, song.length);
  if (mark.startsWith("ID3") || (head[0] === 0xff && (head[1]! & 0xe0) === 0xe0)) return Mp3.open(url, head, song.length);
  const kind = mark.startsWith("fLaC") ? FLAC : mark.startsWith("OggS") ? OPUS : mark.endsWith("ftyp") ? AAC : null;
  if (kind) return new Framed(url, song, lane, head, kind);
  throw new Unplayable("These stems are of a kind that is not played here. They can be downloaded.");
}

class Wav implements StemFile {
  private readonly start: number = 0;
  private readonly bits: number = 16;

  constructor(
    private readonly url: string,
    head: Uint8Array,
    private readonly rate: number,
    private readonly length: number,
  ) {
    const view = new DataView(head.buffer, head.byteOffset, head.byteLength);
    for (let at = 12; at + 8 <= head.length; ) {
      const id = String.fromCharCode(...head.subarray(at, at + 4));
      if (id === "fmt ") this.bits = view.getUint16(at + 22, true);
      if (id === "data") {
        this.start = at + 8;
        return;
      }
      at += 8 + view.getUint32(at + 4, true) + (view.getUint32(at + 4, true) & 1);
    }
    throw new Unplayable("This is no wav file.");
  }

  async piece(number: number, signal: AbortSignal): Promise<Piece> {
    const first = number * PIECE;
    const count = Math.min(PIECE, this.length - first);
    const ahead = Math.min(BEYOND, this.length - first - count);
    const width = this.bits / 4;
    const from = this.start + first * width;
    const raw = await bytes(this.url, from, from + (count + ahead) * width, signal);
    const sides = [0, 1].map((side) => this.side(raw, side, count + ahead));
    return cut([sides[0]!, sides[1]!], 0, count, this.rate);
  }

  private side(raw: Uint8Array, side: number, count: number): Float32Array {
    const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
    const sample = this.bits / 8;
    const out = new Float32Array(count);
    for (let n = 0; n < count; n++) {
      const at = (2 * n + side) * sample;
      if (sample === 2) out[n] = view.getInt16(at, true) / 2 ** 15;
      else if (sample === 4) out[n] = view.getFloat32(at, true);
      else out[n] = (view.getUint8(at) + view.getInt16(at + 1, true) * 256) / 2 ** 23;
    }
    return out;
  }
}

/**
 * An mp3 with a constant bit rate. A frame's place follows from its number: padding keeps it within a byte of it. A piece
 * is decoded from a few frames before it (the bit reservoir, the overlap of the transform), without any header that could
 * make a browser cut something off; what its decoder adds or drops by itself is measured once (`decoderShift`).
 */
class Mp3 implements StemFile {
  private constructor(
    private readonly url: string,
    private readonly start: number,
    private readonly rate: number,
    private readonly frameBytes: number,
    private readonly delay: number,
    private readonly frames: number,
    private readonly length: number,
  ) {}

  static async open(url: string, head: Uint8Array, length: number): Promise<StemFile> {
    const tag = head[0] === 0x49 ? 10 + ((head[6]! << 21) | (head[7]! << 14) | (head[8]! << 7) | head[9]!) : 0;
    const info = tag + MOST_FRAME_BYTES <= head.length ? head.subarray(tag) : await bytes(url, tag, tag + HEAD_BYTES);
    const text = String.fromCharCode(...info.subarray(36, 40));
    const rate = MP3_RATES[(info[2]! >> 2) & 3]!;
    if (text !== "Info") throw new Unplayable("This mp3 does not say how long it is.");
    const view = new DataView(info.buffer, info.byteOffset, info.byteLength);
    const frames = view.getUint32(44);
    const delay = (info[177]! << 4) | (info[178]! >> 4);
    const own = Math.floor((144000 * MP3_KBPS[info[2]! >> 4]!) / rate); // the size of the Info frame itself
    const kbps = MP3_KBPS[info[own + 2]! >> 4]!;
    return new Mp3(url, tag + own, rate, (144000 * kbps) / rate, delay, frames, length);
  }

  async piece(number: number, signal: AbortSignal): Promise<Piece> {
    const first = number * PIECE;
    const count = Math.min(PIECE, this.length - first);
    const at = first + this.delay + DECODER_DELAY; // among all samples that a decoder puts out
    const before = 3 + Math.ceil(RESERVOIR / (this.frameBytes - 40));
    const from = Math.max(0, Math.floor(at / FRAME) - before);
    const to = Math.min(this.frames, Math.ceil((at + count + BEYOND) / FRAME) + 1);
    const start = this.start + Math.floor(from * this.frameBytes);
    const end = this.start + Math.ceil(to * this.frameBytes) + 1;
    const raw = await bytes(this.url, Math.max(this.start, start - 1), end, signal);
    const [shift, sound] = await Promise.all([decoderShift(), decoded(raw.subarray(firstFrame(raw, this.frameBytes)), this.rate)]);
    const sides: [Float32Array, Float32Array] = [sound.getChannelData(0), sound.getChannelData(1)];
    return cut(sides, at - from * FRAME - shift, count, this.rate);
  }
}

/** Where the first frame begins: at one of the three bytes where it can, with another one behind it. */
function firstFrame(raw: Uint8Array, frameBytes: number): number {
  const begins = (at: number) => at >= raw.length || (raw[at] === 0xff && (raw[at + 1]! & 0xfe) === 0xfa);
  const next = Math.floor(frameBytes);
  for (let at = 0; at < 3; at++) if (begins(at) && (begins(at + next) || begins(at + next + 1))) return at;
  throw new Error("There is no frame where one should be.");
}

/** Six frames with one pulse, which a decoder that adds and drops nothing puts out as sample 3609. */
const CLIP =
  "//swxAADwAABpAAAACAAADSAAAAEBBJIAA8hDT4AhgNPxAA3PAmBl/8ew48kP8ZszHwLg/8WAcsiY0yKfoQN/pLmox9Bqv7HWDaJD+c6Fi4lx/EMHohRvzgIWdaJTxpf9zp7kGP00UN//UCsiK9/Cfbxb//x6U/8KoKiLpVMQU1FNC4wVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV//syxEODwAABpAAAACAAADSCgAAEVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVMQU1FNC4wVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVf/7MsSHgAVweUa42ACQ8BErwx7wAFVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVTEFNRTQuMFVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVX/+zLEl4PAAAGkHAAAIAAANIAAAARVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV//swxLwDwAABpAAAACAAADSAAAAEVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVV//syxLuDwAABpAAAACAAADSAAAAEVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVVQ==";
const PULSE = 3609;
let shift: Promise<number> | null = null;

/** How many samples this browser's mp3 decoder drops at the start of what it is given (negative: adds). */
function decoderShift(): Promise<number> {
  shift ??= pulseIn(unpacked(CLIP), 44100).then((peak) => PULSE - peak);
  return shift;
}
