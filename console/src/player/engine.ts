// The sound of the player: every stem on one clock, scheduled to the sample, fetched a few seconds ahead.

import { openStem } from "./decoding";
import { continues, PIECE, type Piece, type StemFile, Unplayable } from "./pieces";
import { Refused, type Song } from "./song";
import type { Stretch } from "./stretch";

const RAMP_SECONDS = 0.01;
const LEAD_SECONDS = 0.1; // from the decision to sound to the sample that sounds first: in firefox a busy machine needs all of 60 ms
const SCHEDULED_SECONDS = 6; // how far ahead pieces are handed to the audio thread: tabs in the background sleep
const TICK_MS = 60;
const AT_ONCE = 6; // pieces fetched and decoded at a time
const BUDGET_BYTES = 96 << 20;
const STARTS_MS = 4000; // a sound that has not begun by then will not
const SILENT = "This browser does not start its sound. Is there something to hear it with?";
const RETRY_MS = [500, 1000, 2000, 4000, 8000];

export type State = "stopped" | "waiting" | "playing";

export interface Strip {
  readonly name: string;
  readonly label: string;
  muted: boolean;
  solo: boolean;
  volume: number;
  pan: number;
}

/** One file of the song with its place in the graph. */
class Lane {
  readonly pieces = new Map<number, Piece>();
  private file: Promise<StemFile> | null = null;
  gain!: GainNode;
  panner!: StereoPannerNode;
  analyser!: AnalyserNode;

  constructor(
    readonly url: string,
    private readonly song: Song,
    private readonly number: number,
  ) {}

  build(context: BaseAudioContext, bus: AudioNode): void {
    this.gain = context.createGain();
    this.panner = context.createStereoPanner();
    this.analyser = context.createAnalyser();
    this.analyser.fftSize = 1024;
    this.gain.connect(this.panner).connect(bus);
    this.panner.connect(this.analyser);
  }

  async load(number: number, signal: AbortSignal): Promise<void> {
    // Opened once, for every piece: no seek ends it.
    this.file ??= openStem(this.url, this.song, this.number).catch((fault: unknown) => {
      this.file = null;
      throw fault;
    });
    this.pieces.set(number, await (await this.file).piece(number, signal));
  }
}

/** Part of the song as it was given to the audio thread: `at` in samples of the context's clock. */
interface Slot {
  at: number;
  piece: number;
  from: number; // in the song
  length: number; // in the song
  ratio: number;
  sources: Map<Lane, AudioBufferSourceNode>;
}

/** Plays a song's stems. Fires "change" when what people see has changed. */
export class Engine extends EventTarget {
  readonly strips: Strip[];
  readonly budget: number;
  state: State = "stopped";
  trouble = "";
  loop: [number, number] | null = null;
  karaoke = false;
  original = false;
  master = 1;
  tempo = 1;
  semitones = 0;
  /** Joins of pieces that were looked at, and those where the second did not go on where the first ended. */
  readonly joins = { seen: 0, broken: 0 };
  output!: GainNode;
  masterAnalysers: [AnalyserNode, AnalyserNode] | null = null;

  private context: AudioContext | null = null;
  private readonly stems: Lane[];
  private readonly mix: Lane | null;
  private bus!: GainNode;
  private originalBus!: GainNode;
  private volume!: GainNode;
  private stretch: Stretch | null = null;
  private opening: Promise<void> | null = null; // of the stretch
  private slots: Slot[] = [];
  private next = { at: 0, sample: 0 };
  private resting = 0; // where it stands while it does not play
  private timer = 0;
  private silent = false; // the browser does not start its clock
  private readonly loading = new Map<string, AbortController>();
  private readonly failed = new Map<string, number>();

  constructor(
    private readonly song: Song,
    budget?: number,
  ) {
    super();
    this.stems = song.stems.map((stem, n) => new Lane(song.beside(stem.file), song, n));
    this.mix = song.mix ? new Lane(song.mix.url, song, song.stems.length) : null;
    this.strips = song.stems.map(({ name, label }) => ({ name, label, muted: false, solo: false, volume: 1, pan: 0 }));
    // A phone's tab is ended for what a desktop's is not asked about.
    const memory = (navigator as { deviceMemory?: number }).deviceMemory ?? 4;
    this.budget = budget ?? (memory < 4 ? BUDGET_BYTES / 2 : BUDGET_BYTES);
  }

  // ---- what people do ----

  async play(): Promise<void> {
    if (this.state !== "stopped") return;
    const context = this.ready();
    this.state = "waiting";
    this.changed();
    this.begin(this.resting >= this.song.length ? 0 : this.resting);
    const late = window.setTimeout(() => this.hear(context.state === "running"), STARTS_MS);
    await context.resume();
    window.clearTimeout(late);
    this.hear(true);
  }

  pause(): void {
    if (this.state === "stopped") return;
    this.resting = this.position();
    this.state = "stopped";
    this.trouble = ""; // nothing is tried any more
    this.silence();
    this.forget();
    this.changed();
  }

  async toggle(): Promise<void> {
    if (this.state === "stopped") await this.play();
    else this.pause();
  }

  /** Goes to a sample of the song, and goes on playing if it was. */
  seek(sample: number): void {
    const target = Math.min(this.song.length, Math.max(0, Math.round(sample)));
    if (this.state === "stopped") this.resting = target;
    else {
      this.silence();
      this.state = "waiting";
      this.begin(target);
    }
    this.changed();
  }

  /** Plays from `from` to before `to` again and again; null goes on to the end. */
  setLoop(loop: [number, number] | null): void {
    this.loop = loop && loop[1] - loop[0] >= this.song.rate / 20 ? [Math.round(loop[0]), Math.round(loop[1])] : null;
    if (this.state !== "stopped") {
      const here = this.position();
      if (this.loop && (here < this.loop[0] || here >= this.loop[1])) this.seek(this.loop[0]);
      else this.replan();
    }
    this.changed();
  }

  /** Takes over what was changed in `strips`, `master`, `karaoke` and `original`; 10 ms from one to the other. */
  apply(): void {
    if (this.context) {
      const now = this.context.currentTime; // one for all: they change together
      this.stems.forEach((lane, n) => {
        this.ramp(lane.gain.gain, this.audible(n), now);
        this.ramp(lane.panner.pan, this.strips[n]!.pan, now);
      });
      this.ramp(this.volume.gain, this.master, now);
      const switched = this.original && this.hasOriginal;
      this.ramp(this.bus.gain, switched ? 0 : 1, now);
      this.ramp(this.originalBus.gain, switched ? 1 / this.song.mix!.factor : 0, now);
      this.tick();
    }
    this.changed();
  }

  /**
   * Another tempo (a factor) and pitch (in semitones), each without the other. Loads what it needs the first time; until
   * then it sounds as it was recorded, and for good when that fails.
   */
  async setSpeed(tempo: number, semitones: number): Promise<void> {
    const here = this.position();
    this.tempo = tempo;
    this.semitones = semitones;
    if (this.stretch) return this.bend(this.stretch, here);
    this.changed();
    if (!this.plain) await (this.opening ??= this.openStretch());
  }

  private async openStretch(): Promise<void> {
    try {
      const { openStretch } = await import("./stretch");
      const stretch = await openStretch(this.ready(), this.output);
      const here = this.position();
      this.stretch = stretch;
      this.bend(stretch, here);
    } catch (fault) {
      this.opening = null;
      this.tempo = 1;
      this.semitones = 0;
      this.changed();
      throw fault;
    }
  }

  /** Goes on from `here` at the tempo and pitch that were set. */
  private bend(stretch: Stretch, here: number): void {
    this.volume.disconnect();
    this.volume.connect(this.plain ? this.output : stretch.input);
    stretch.set(this.semitones - 12 * Math.log2(this.tempo));
    if (this.state === "stopped") this.changed();
    else this.seek(here);
  }

  private get plain(): boolean {
    return this.tempo === 1 && this.semitones === 0;
  }

  // ---- what people see and hear ----

  /** How loud a stem is in the mix: its volume, or 0 where something silences it. */
  audible(n: number): number {
    const strip = this.strips[n]!;
    const soloed = this.strips.some((each) => each.solo);
    const sung = this.karaoke && /(^|_)vocals$/.test(strip.name);
    return sung || (soloed ? !strip.solo : strip.muted) ? 0 : strip.volume;
  }

  get hasOriginal(): boolean {
    return this.mix !== null;
  }

  /** Whether tempo and pitch can be changed here: browsers keep that from pages without https. */
  get canStretch(): boolean {
    return window.isSecureContext;
  }

  /** The sample of the song that sounds now. */
  position(): number {
    if (this.state === "stopped" || !this.context) return this.resting;
    const late = this.stretch && !this.plain ? this.stretch.latency : 0;
    const now = (this.context.currentTime - late) * this.context.sampleRate;
    let found = this.slots[0]?.from ?? this.next.sample;
    for (const slot of this.slots) {
      if (now < slot.at) break;
      found = slot.from + Math.min(slot.length, (now - slot.at) * slot.ratio);
    }
    return Math.round(found);
  }

  /** The highest sample of the last 20 ms: of a stem, or of one side of everything. */
  level(analyser: AnalyserNode | undefined): number {
    if (!analyser || this.state !== "playing") return 0;
    analyser.getFloatTimeDomainData(samples);
    let peak = 0;
    for (const sample of samples) peak = Math.max(peak, Math.abs(sample));
    return peak;
  }

  analyser(n: number): AnalyserNode | undefined {
    return this.context ? this.stems[n]?.analyser : undefined;
  }

  /** What the decoded pieces take. */
  get heldBytes(): number {
    return this.lanes.reduce((sum, lane) => sum + lane.pieces.size * PIECE_BYTES, 0);
  }

  close(): void {
    this.pause();
    void this.context?.close();
  }

  // ---- one clock ----

  private ready(): AudioContext {
    if (this.context) return this.context;
    const context = (this.context = contextAt(this.song.rate));
    // A phone that rings stops the clock, and nothing says that it will go on: one press of play does.
    context.onstatechange = () => context.state !== "running" && this.state === "playing" && this.pause();
    this.output = context.createGain();
    this.volume = context.createGain();
    this.bus = context.createGain();
    this.originalBus = context.createGain();
    this.bus.connect(this.volume);
    this.originalBus.connect(this.volume);
    this.volume.connect(this.output);
    this.output.connect(context.destination);
    this.output.gain.value = 0;
    const splitter = context.createChannelSplitter(2);
    this.masterAnalysers = [context.createAnalyser(), context.createAnalyser()];
    this.masterAnalysers.forEach((analyser, side) => {
      analyser.fftSize = 1024;
      splitter.connect(analyser, side);
    });
    this.output.connect(splitter);
    for (const lane of this.stems) lane.build(context, this.bus);
    this.mix?.build(context, this.originalBus);
    this.stems.forEach((lane, n) => {
      lane.gain.gain.value = this.audible(n);
      lane.panner.pan.value = this.strips[n]!.pan;
    });
    this.volume.gain.value = this.master;
    this.bus.gain.value = this.original && this.mix ? 0 : 1;
    this.originalBus.gain.value = this.original && this.mix ? 1 / this.song.mix!.factor : 0;
    return context;
  }

  private get now(): number {
    return Math.round(this.context!.currentTime * this.context!.sampleRate);
  }

  private get lead(): number {
    return Math.round(LEAD_SECONDS * this.context!.sampleRate);
  }

  /** The lanes that are needed: the song itself only once someone has asked for it. */
  private get lanes(): Lane[] {
    if (this.mix && (this.original || this.mix.pieces.size)) return [...this.stems, this.mix];
    return this.stems;
  }

  private begin(sample: number): void {
    this.slots = [];
    this.next = { at: this.now + this.lead, sample };
    this.tick();
  }

  /** A ramp to nothing, and an end to all that was scheduled. */
  private silence(): void {
    this.ramp(this.output.gain, 0);
    const end = this.context!.currentTime + 2 * RAMP_SECONDS;
    for (const slot of this.slots) for (const source of slot.sources.values()) source.stop(end);
    this.slots = [];
  }

  private ramp(param: AudioParam, target: number, now = this.context!.currentTime): void {
    const from = param.value;
    if (from === target) return;
    param.cancelScheduledValues(now);
    param.setValueAtTime(from, now);
    param.linearRampToValueAtTime(target, now + RAMP_SECONDS);
  }

  /** Hands over what is due, asks for what is next, and lets go of what is over. */
  private tick(): void {
    window.clearTimeout(this.timer);
    if (this.state === "stopped" || !this.context) return;
    const now = this.now;
    const ends = (slot: Slot) => slot.at + slot.length / slot.ratio;
    this.slots = this.slots.filter((slot) => ends(slot) > now - this.context!.sampleRate);
    this.catchUp(now);
    while (this.next.sample < this.song.length && this.next.at < now + SCHEDULED_SECONDS * this.context.sampleRate)
      if (!this.schedule(now)) break;
    const last = this.slots.at(-1);
    const sounding = last !== undefined && ends(last) > now;
    if (!sounding && this.next.sample >= this.song.length) {
      this.pause();
      this.resting = 0;
      return this.changed();
    }
    if ((this.state === "playing") !== sounding) {
      this.state = sounding ? "playing" : "waiting";
      this.changed();
    }
    this.fetch();
    this.timer = window.setTimeout(() => this.tick(), TICK_MS);
  }

  /** The next part of the song, if it is here. */
  private schedule(now: number): boolean {
    const { sample } = this.next;
    const piece = Math.floor(sample / PIECE);
    if (!this.lanes.every((lane) => lane.pieces.has(piece) || lane === this.mix)) return false;
    const gap = this.next.at < now + this.lead / 2;
    const at = gap ? now + this.lead : this.next.at;
    const end = this.loop && sample < this.loop[1] ? this.loop[1] : this.song.length;
    const length = Math.min(end, (piece + 1) * PIECE) - sample;
    const slot: Slot = { at, piece, from: sample, length, ratio: this.stretch ? this.tempo : 1, sources: new Map() };
    for (const lane of this.lanes) this.sound(lane, slot, at);
    if (gap || !this.slots.length) this.rise(at);
    this.slots.push(slot);
    const over = sample + length;
    this.next = { at: at + length / slot.ratio, sample: this.loop && over === this.loop[1] ? this.loop[0] : over };
    return true;
  }

  /** Lets the sound in, in 10 ms from `at` on. */
  private rise(at: number): void {
    const gain = this.output.gain;
    const start = at / this.context!.sampleRate;
    gain.cancelScheduledValues(start - RAMP_SECONDS);
    gain.setValueAtTime(0, start);
    gain.linearRampToValueAtTime(1, start + RAMP_SECONDS);
  }

  /** One lane's part of a slot, from the sample `at` of the context's clock on. */
  private sound(lane: Lane, slot: Slot, at: number): void {
    const piece = lane.pieces.get(slot.piece);
    if (!piece) return;
    const missed = Math.round((at - slot.at) * slot.ratio);
    const first = slot.from - slot.piece * PIECE + missed;
    const length = slot.length - missed;
    if (length <= 0) return;
    const { sampleRate } = piece.buffer;
    const source = new AudioBufferSourceNode(this.context!, { buffer: piece.buffer, playbackRate: slot.ratio });
    source.connect(lane.gain);
    source.start(at / this.context!.sampleRate, first / sampleRate, length / sampleRate);
    slot.sources.set(lane, source);
  }

  /** The song itself joins in where it was asked for while the stems were playing. */
  private catchUp(now: number): void {
    const mix = this.mix;
    if (!mix || !this.lanes.includes(mix)) return;
    for (const slot of this.slots) {
      if (slot.sources.has(mix) || !mix.pieces.has(slot.piece)) continue;
      this.sound(mix, slot, Math.max(slot.at, now + this.lead));
    }
  }

  /** Takes back what was scheduled beyond the part that sounds now: the loop has changed. */
  private replan(): void {
    const now = this.now + this.lead;
    const [kept, later]: [Slot[], Slot[]] = [[], []];
    for (const slot of this.slots) (slot.at <= now ? kept : later).push(slot);
    for (const slot of later) for (const source of slot.sources.values()) source.stop();
    this.slots = kept;
    const last = kept.at(-1);
    if (!last) return this.begin(this.position());
    const here = last.from + (now - last.at) * last.ratio;
    if (this.loop && here < this.loop[1]) {
      last.length = Math.min(last.length, this.loop[1] - last.from);
      const end = (last.at + last.length / last.ratio) / this.context!.sampleRate;
      for (const source of last.sources.values()) source.stop(end);
    }
    const over = last.from + last.length;
    this.next = {
      at: last.at + last.length / last.ratio,
      sample: this.loop && over === this.loop[1] ? this.loop[0] : over,
    };
    this.tick();
  }

  // ---- pieces, a few seconds ahead ----

  /** The pieces to come, in the order in which they will be heard, as many as the budget allows. */
  private *upcoming(): Generator<number> {
    const most = Math.max(2, Math.floor(this.budget / (this.lanes.length * PIECE_BYTES)));
    const seen = new Set<number>();
    let sample = this.position();
    for (let steps = 0; seen.size < most && steps < 4 * most; steps++) {
      const piece = Math.floor(sample / PIECE);
      if (sample < this.song.length && !seen.has(piece)) {
        seen.add(piece);
        yield piece;
      }
      const end = (piece + 1) * PIECE;
      const jumps = this.loop && sample < this.loop[1] && end >= this.loop[1];
      sample = jumps ? this.loop![0] : end;
      if (sample >= this.song.length) return;
    }
  }

  private fetch(): void {
    const wanted = [...this.upcoming()];
    for (const lane of this.lanes) for (const piece of lane.pieces.keys()) if (!wanted.includes(piece)) lane.pieces.delete(piece);
    for (const [key, controller] of this.loading)
      if (!wanted.includes(Number(key.split("/")[1]))) {
        controller.abort();
        this.loading.delete(key);
      }
    for (const piece of wanted)
      for (const [n, lane] of this.lanes.entries()) {
        const key = `${n}/${piece}`;
        if (this.loading.size >= AT_ONCE) return;
        if (!lane.pieces.has(piece) && !this.loading.has(key)) void this.load(lane, piece, key);
      }
  }

  private async load(lane: Lane, piece: number, key: string): Promise<void> {
    const controller = new AbortController();
    this.loading.set(key, controller);
    try {
      await lane.load(piece, controller.signal);
      this.failed.delete(key);
      this.look(lane, piece);
      this.tell("");
    } catch (fault) {
      if (controller.signal.aborted) return;
      const times = this.failed.get(key) ?? 0;
      this.failed.set(key, times + 1);
      const hopeless = fault instanceof Unplayable || isGone(fault);
      if (hopeless) this.pause();
      this.tell(said(fault));
      if (hopeless) return;
      await new Promise((done) => setTimeout(done, RETRY_MS[Math.min(times, RETRY_MS.length - 1)]));
    } finally {
      if (this.loading.get(key) === controller) this.loading.delete(key);
    }
    this.tick();
  }

  private look(lane: Lane, number: number): void {
    for (const [first, second] of [
      [lane.pieces.get(number - 1), lane.pieces.get(number)],
      [lane.pieces.get(number), lane.pieces.get(number + 1)],
    ]) {
      if (!first || !second) continue;
      this.joins.seen++;
      if (!continues(first, second)) this.joins.broken++;
    }
  }

  private forget(): void {
    for (const controller of this.loading.values()) controller.abort();
    this.loading.clear();
  }

  private hear(sounds: boolean): void {
    this.silent = !sounds;
    this.tell(this.trouble === SILENT ? "" : this.trouble);
  }

  private tell(told: string): void {
    const trouble = told || (this.silent && this.state !== "stopped" ? SILENT : "");
    if (trouble === this.trouble) return;
    this.trouble = trouble;
    this.changed();
  }

  private changed(): void {
    this.dispatchEvent(new Event("change"));
  }
}

const PIECE_BYTES = PIECE * 2 * 4;
const samples = new Float32Array(1024);

function contextAt(sampleRate: number): AudioContext {
  try {
    return new AudioContext({ sampleRate, latencyHint: "interactive" });
  } catch {
    return new AudioContext(); // a rate that this browser has no context for: its pieces are resampled one by one
  }
}

/** Whether the server says that the files are there no more. */
const isGone = (fault: unknown): boolean => fault instanceof Refused && (fault.status === 404 || fault.status === 410);

function said(fault: unknown): string {
  const status = (fault as { status?: number }).status;
  if (status === 410) return "These files have expired.";
  if (status === 404) return "These files are not there any more.";
  if (status) return `The server answers with an error (HTTP ${status}). Trying again …`;
  if (fault instanceof TypeError) return "The server cannot be reached. Trying again …";
  return fault instanceof Error ? fault.message : String(fault);
}
