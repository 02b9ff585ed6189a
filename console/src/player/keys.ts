// Keys, while the player has the focus.

export interface Deeds {
  toggle(): void;
  nudge(seconds: number): void;
  mute(lane: number): void;
  solo(lane: number): void;
  loopStart(): void;
  loopEnd(): void;
  loopClear(): void;
}

const LANES = [...[1, 2, 3, 4, 5, 6, 7, 8, 9, 0].map((digit) => `Digit${digit}`), "Minus", "Equal"];
export const LANE_KEYS = "1234567890-=";

/** Does what the key stands for; says whether it stands for anything here. */
export function press(event: KeyboardEvent, deeds: Deeds): boolean {
  if (event.ctrlKey || event.metaKey || event.altKey) return false;
  const target = event.composedPath()[0] as HTMLElement;
  if (target.matches("select, a[href], input:not([type=range])")) return false;
  const lane = LANES.indexOf(event.code);
  if (lane >= 0) (event.shiftKey ? deeds.solo : deeds.mute)(lane);
  else if (event.code === "Space" && !target.matches("button")) deeds.toggle();
  else if (/^Arrow(Left|Right)$/.test(event.key) && !target.matches("input:not(.seek)"))
    deeds.nudge(event.key === "ArrowLeft" ? -5 : 5);
  else if (event.key.toLowerCase() === "a") deeds.loopStart();
  else if (event.key.toLowerCase() === "b") deeds.loopEnd();
  else if (event.key.toLowerCase() === "x") deeds.loopClear();
  else return false;
  return true;
}
