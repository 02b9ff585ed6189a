// Waveforms on canvases, from peaks; and the ruler above them.

import type { Song } from "./song";
import { clock } from "./words";

/** The part of the song that is looked at, in samples. */
export interface View {
  from: number;
  to: number;
}

/** Fits the canvas to its place on the screen; null while it has none. */
function fitted(canvas: HTMLCanvasElement): CanvasRenderingContext2D | null {
  const scale = window.devicePixelRatio || 1;
  const [width, height] = [Math.round(canvas.clientWidth * scale), Math.round(canvas.clientHeight * scale)];
  if (!width || !height) return null;
  if (canvas.width !== width || canvas.height !== height) Object.assign(canvas, { width, height });
  const pen = canvas.getContext("2d");
  pen?.clearRect(0, 0, width, height);
  return pen;
}

/** Draws one lane in its own colour: its outline softly, its body strongly. `height` from 0 to 1 is how loud it is. */
export function drawWave(canvas: HTMLCanvasElement, song: Song, lane: number, view: View, height: number): void {
  const pen = fitted(canvas);
  if (!pen) return;
  const { width } = canvas;
  const middle = canvas.height / 2;
  const outline = song.outline(lane, view.from, view.to, width);
  pen.fillStyle = getComputedStyle(canvas).color;
  for (const [size, alpha] of [
    [1, 0.5],
    [0.55, 1],
  ] as const) {
    pen.globalAlpha = alpha;
    pen.beginPath();
    const y = (value: number) => Math.sign(value) * Math.abs(value) ** 0.8 * size * height * (middle - 1);
    pen.moveTo(0, middle);
    for (let x = 0; x < width; x++) pen.lineTo(x, middle - Math.max(0.5, y(outline[2 * x + 1]!)));
    for (let x = width - 1; x >= 0; x--) pen.lineTo(x, middle - Math.min(-0.5, y(outline[2 * x]!)));
    pen.fill();
  }
}

const STEPS = [0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800];

/** Times along the view, as many as there is room for. */
export function drawRuler(canvas: HTMLCanvasElement, rate: number, view: View): void {
  const pen = fitted(canvas);
  if (!pen) return;
  const scale = canvas.width / canvas.clientWidth;
  const seconds = (view.to - view.from) / rate;
  const step = STEPS.find((each) => (each / seconds) * canvas.clientWidth > 64) ?? 3600;
  pen.fillStyle = pen.strokeStyle = getComputedStyle(canvas).color;
  pen.font = `${11 * scale}px system-ui, sans-serif`;
  pen.textBaseline = "middle";
  for (let n = Math.ceil(view.from / rate / step); n * step <= view.to / rate; n++) {
    const x = Math.round(((n * step * rate - view.from) / (view.to - view.from)) * canvas.width);
    pen.globalAlpha = 0.4;
    pen.fillRect(x, canvas.height * 0.55, scale, canvas.height);
    pen.globalAlpha = 1;
    const text = step < 1 ? `${clock(n * step)}${(n * step % 1).toFixed(2).slice(1)}` : clock(n * step);
    if (x + pen.measureText(text).width < canvas.width) pen.fillText(text, x + 4 * scale, canvas.height * 0.42);
  }
}
