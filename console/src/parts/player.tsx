// The player on a task's page: the same element that anyone can put on a page of their own, loaded when it is there.
import { h, type JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import { away } from "../api";
import { useStore } from "../store";
import type { Task } from "../types";
import { Wrong } from "../ui";

export function Player({ task }: { task: Task }): JSX.Element | null {
  const [state, set] = useState<"" | "ready" | "failed">("");
  const gone = useStore(away);
  useEffect(() => {
    if (!gone) import("../player/element").then(() => set("ready"), () => set("failed"));
  }, [gone]);
  if (state === "failed") return <Wrong fault={{ message: "The player could not be loaded. Reload to try again." }} />;
  return state && task.playerUrl ? h("stem-player", { src: task.playerUrl, label: task.song }) : null;
}
