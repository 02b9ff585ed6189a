// The player's file: what the stems are called, where their files lie, and how they look (docs/guide/player.md).

const MAGIC = "STEMPEAK";
const HEAD_BYTES = 12;
const FIRST_BYTES = 48 * 1024; // the header and the coarsest level of most songs, in one request
const PAGE_BINS = 4096;
const PAGE_CUTS = 1024;

export interface StemFacts {
  name: string;
  label: string;
  file: string;
  silent: boolean;
  experimental: boolean;
  loudness_dbfs: number | null;
}

interface Level {
  hop: number;
  bins: number;
  offset: number;
}

interface Header {
  version: number;
  rate: number;
  length: number;
  stems: StemFacts[];
  mix?: { file: string; factor: number };
  cuts?: Cuts;
  levels: Level[];
  peaks: number[];
}

/** The frames of every file: `step` samples each, the first `delay` samples before the sound. */
interface Cuts {
  step: number;
  delay: number;
  count: number;
  offset: number;
}

export class Refused extends Error {
  constructor(readonly status: number) {
    super(`HTTP ${status}`);
  }
}

/** Why something was not given to us, in words. */
export function explained(fault: unknown): string {
  const status = fault instanceof Refused ? fault.status : 0;
  if (status === 410) return "These files have expired. Separate the song again to hear it.";
  if (status === 404) return "There is no such song here.";
  if (status === 429) return "The server has too much to do now. Try again in a moment.";
  if (status) return `The server answers with an error (HTTP ${status}).`;
  if (fault instanceof TypeError) return "The server cannot be reached.";
  return fault instanceof Error ? fault.message : String(fault);
}

/** The bytes from `start` to before `end`; a server that sends the whole file does as well. */
export async function bytes(url: string, start: number, end: number, signal?: AbortSignal): Promise<Uint8Array> {
  const answer = await fetch(url, { headers: { Range: `bytes=${start}-${end - 1}` }, signal, credentials: "omit" });
  if (answer.status === 416) return new Uint8Array();
  if (!answer.ok) throw new Refused(answer.status);
  const whole = new Uint8Array(await answer.arrayBuffer());
  return answer.status === 206 ? whole : whole.subarray(start, end);
}

/** An opened player's file. Peaks come in pages as they are looked at, `onPage` says that one has come. */
export class Song {
  onPage: () => void = () => {};
  private readonly pages = new Map<string, Int8Array | null>();
  private readonly tables = new Map<number, Promise<DataView>>();

  private constructor(
    readonly url: string,
    private readonly header: Header,
    private readonly dataStart: number,
  ) {}

  static async open(url: string): Promise<Song> {
    const absolute = new URL(url, document.baseURI).href;
    let head = await bytes(absolute, 0, FIRST_BYTES);
    if (new TextDecoder().decode(head.subarray(0, 8)) !== MAGIC) throw new Error("This is no file of the player.");
    const size = new DataView(head.buffer, head.byteOffset).getUint32(8, true);
    const start = HEAD_BYTES + size;
    if (head.length < start) head = await bytes(absolute, 0, start);
    const header = JSON.parse(new TextDecoder().decode(head.subarray(HEAD_BYTES, start))) as Header;
    return new Song(absolute, header, start);
  }

  get rate(): number {
    return this.header.rate;
  }

  /** In samples. */
  get length(): number {
    return this.header.length;
  }

  get seconds(): number {
    return this.length / this.rate;
  }

  get stems(): StemFacts[] {
    return this.header.stems;
  }

  /** The song itself, and the factor that it was written with beside the stems. */
  get mix(): { url: string; factor: number } | null {
    const mix = this.header.mix;
    return mix ? { url: this.beside(mix.file), factor: mix.factor } : null;
  }

  /** How high a lane is drawn, from 0 to 1: quieter ones lower, but not as much lower as they are quieter. */
  height(lane: number): number {
    const loudest = Math.max(...this.header.peaks, 1e-6);
    return Math.max(0.08, (this.header.peaks[lane]! / loudest) ** 0.4);
  }

  /** The address of a file that lies beside this one. */
  beside(file: string): string {
    return new URL(file, this.url).href;
  }

  /**
   * The lowest and highest sample of a lane, as parts of its own highest, in `columns` equal steps from sample `from`
   * to sample `to`: [low, high, low, high, …]. What has not come yet is taken from a coarser level, or is silence.
   */
  outline(lane: number, from: number, to: number, columns: number): Float32Array {
    const step = (to - from) / columns;
    const wanted = this.header.levels.findIndex((level) => level.hop <= Math.max(step, 1));
    let index = wanted < 0 ? this.header.levels.length - 1 : wanted;
    this.load(index, from, to);
    while (index > 0 && !this.has(index, from, to)) index--;
    const out = new Float32Array(columns * 2);
    const { hop, bins } = this.header.levels[index]!;
    for (let column = 0; column < columns; column++) {
      const first = Math.max(0, Math.floor((from + column * step) / hop));
      const last = Math.min(bins, Math.max(first + 1, Math.ceil((from + (column + 1) * step) / hop)));
      let low = 0;
      let high = 0;
      for (let bin = first; bin < last; bin++) {
        const page = this.pages.get(`${index}/${Math.floor(bin / PAGE_BINS)}`);
        if (!page) continue;
        const at = ((bin % PAGE_BINS) * this.lanes + lane) * 2;
        low = Math.min(low, page[at]!);
        high = Math.max(high, page[at + 1]!);
      }
      out[2 * column] = low / 127;
      out[2 * column + 1] = high / 127;
    }
    return out;
  }

  /** What says where the files can be cut, for those that do not say it themselves. */
  get cuts(): Cuts | undefined {
    return this.header.cuts;
  }

  /** The bytes at which frame `from` to frame `to` of a lane begin; the one behind the last begins where that ends. */
  async starts(lane: number, from: number, to: number): Promise<number[]> {
    const found: number[] = [];
    for (let frame = from; frame <= to; frame++) {
      const table = await this.table(Math.floor(frame / PAGE_CUTS));
      found.push(table.getUint32(((frame % PAGE_CUTS) * this.lanes + lane) * 4, true));
    }
    return found;
  }

  private table(page: number): Promise<DataView> {
    let found = this.tables.get(page);
    if (!found) {
      const { count, offset } = this.header.cuts!;
      const [start, width] = [this.dataStart + offset, this.lanes * 4];
      const end = Math.min(count + 1, (page + 1) * PAGE_CUTS);
      found = bytes(this.url, start + page * PAGE_CUTS * width, start + end * width).then(
        (read) => new DataView(read.buffer, read.byteOffset, read.byteLength),
      );
      found.catch(() => this.tables.delete(page));
      this.tables.set(page, found);
    }
    return found;
  }

  private get lanes(): number {
    return this.header.peaks.length;
  }

  private *pagesOf(index: number, from: number, to: number): Generator<number> {
    const { hop, bins } = this.header.levels[index]!;
    const last = Math.floor(Math.min(bins - 1, Math.max(0, to / hop)) / PAGE_BINS);
    for (let page = Math.floor(Math.max(0, from / hop) / PAGE_BINS); page <= last; page++) yield page;
  }

  private has(index: number, from: number, to: number): boolean {
    for (const page of this.pagesOf(index, from, to)) if (!this.pages.get(`${index}/${page}`)) return false;
    return true;
  }

  private load(index: number, from: number, to: number): void {
    if (index > 0) this.load(index - 1, from, to);
    for (const page of this.pagesOf(index, from, to)) {
      const key = `${index}/${page}`;
      if (this.pages.has(key)) continue;
      this.pages.set(key, null);
      const { bins, offset } = this.header.levels[index]!;
      const width = this.lanes * 2;
      const start = this.dataStart + offset + page * PAGE_BINS * width;
      const end = this.dataStart + offset + Math.min(bins, (page + 1) * PAGE_BINS) * width;
      bytes(this.url, start, end).then(
        (found) => {
          this.pages.set(key, new Int8Array(found.buffer, found.byteOffset, found.byteLength));
          this.onPage();
        },
        () => setTimeout(() => this.pages.delete(key), 3000),
      );
    }
  }
}
