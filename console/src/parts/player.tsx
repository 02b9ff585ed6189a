// The player on a task's page: the same element that anyone can put on a page of their own, loaded when it is there.
import { h, type JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { Task } from "../types";

export function Player({ task }: { task: Task }): JSX.Element | null {
  const [ready, setReady] = useState(false);
  useEffect(() => {
    void import("../player/element").then(() => setReady(true), () => undefined);
  }, []);
  return ready && task.playerUrl ? h("stem-player", { src: task.playerUrl, label: task.song }) : null;
}
