// Level meters, moved by the one animation of the player.

import { useEffect, useRef } from "preact/hooks";

const FALL_PER_FRAME = 0.92;
const LOWEST_DB = -54;

/** Things that want to be told of every frame while the player is seen. */
export class Frames {
  private readonly all = new Set<() => void>();
  private handle = 0;

  add(each: () => void): () => void {
    this.all.add(each);
    this.handle ||= requestAnimationFrame(this.run);
    return () => this.all.delete(each);
  }

  private readonly run = (): void => {
    this.handle = this.all.size ? requestAnimationFrame(this.run) : 0;
    for (const each of this.all) each();
  };
}

/** A bar as long as `level()` is loud. It is decoration: the sound itself says the same. */
export function Meter({ frames, level }: { frames: Frames; level: () => number }) {
  const bar = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    let shown = 0;
    let written = -1;
    return frames.add(() => {
      shown = Math.max(level(), shown * FALL_PER_FRAME);
      const part = shown > 0 ? Math.max(0, 1 - (20 * Math.log10(shown)) / LOWEST_DB) : 0;
      const rounded = Math.round(Math.min(1.05, part) * 200) / 200;
      if (rounded === written || !bar.current) return;
      written = rounded;
      bar.current.style.setProperty("--level", String(Math.min(1, rounded)));
      bar.current.toggleAttribute("data-clips", shown > 1);
    });
  });
  return (
    <span class="meter" aria-hidden="true">
      <span ref={bar} />
    </span>
  );
}
