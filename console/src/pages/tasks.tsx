// Tasks: found, cancelled, made again, page by page.
import type { JSX } from "preact";
import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { post, useData } from "../api";
import { nameTask, useBegins, useEnds, useProgress } from "../live";
import { go, useRoute } from "../router";
import { tell } from "../say";
import type { Progress, TaskLine } from "../types";
import { wish } from "../uploads";
import { Act, Ago, Bar, Button, Choice, Confirm, Empty, Pending, StateBadge, Table, Title } from "../ui";
import { credits, isEnded, KINDS, length, made, stage } from "../words";

const GROUPS: [string, string][] = [["", "All"], ["running", "Running"], ["finished", "Finished"], ["failed", "Failed"], ["cancelled", "Cancelled"]];

export function Tasks(): JSX.Element {
  const { query } = useRoute();
  const asked = { text: query.get("text") ?? "", group: query.get("group") ?? "", kind: query.get("kind") ?? "", after: query.get("after") ?? "" };
  const trail = (history.state as string[] | null) ?? []; // where the newer pages began
  const search = new URLSearchParams(Object.entries(asked).filter(([, value]) => value)).toString();
  const { data, fault, reload } = useData<{ tasks: TaskLine[]; next: string | null }>(`/tasks?${search}`);
  const ids = new Set(data?.tasks.map((task) => task.taskId));
  useEnds((id) => ids.has(id), reload);
  useBegins(reload);
  const to = (values: Partial<typeof asked>, how: { replace?: boolean; state?: string[] } = {}): void => {
    const now = Object.fromEntries(new URLSearchParams(location.search)); // not as it was when this was drawn
    const wanted = new URLSearchParams(Object.entries({ ...now, after: "", ...values }).filter(([, value]) => value)).toString();
    go(`/console/tasks${wanted ? `?${wanted}` : ""}`, how);
  };
  return (
    <>
      <Title beside={<a class="button main" href="/"><span>Separate songs</span></a>}>Tasks</Title>
      <div class="filters">
        <Search text={asked.text} onChange={(text) => to({ text }, { replace: true })} />
        <Choice label="State" value={asked.group} options={GROUPS} onChange={(group) => to({ group })} />
        <label class="inline">Kind <select value={asked.kind} onChange={(event) => to({ kind: event.currentTarget.value })}><option value="">any</option>{Object.entries(KINDS).map(([kind, name]) => <option key={kind} value={kind}>{name}</option>)}</select></label>
      </div>
      {!data ? <Pending fault={fault} what="tasks" /> : data.tasks.length === 0 ? <None searched={search !== ""} /> : <List tasks={data.tasks} reload={reload} />}
      {data && (data.next || asked.after) && (
        <nav class="pages" aria-label="More tasks">
          <Button disabled={!asked.after} onClick={() => to({ after: trail[trail.length - 1] ?? "" }, { state: trail.slice(0, -1) })}>Newer</Button>
          <Button disabled={!data.next} onClick={() => to({ after: data.next ?? "" }, { state: [...trail, asked.after] })}>Older</Button>
        </nav>
      )}
    </>
  );
}

function Search({ text, onChange }: { text: string; onChange: (text: string) => void }): JSX.Element {
  const [typed, setTyped] = useState(text);
  useLayoutEffect(() => setTyped(text), [text]);
  useEffect(() => {
    if (typed === text) return;
    const timer = setTimeout(() => onChange(typed), 250);
    return () => clearTimeout(timer);
  }, [typed]);
  return <input class="search" type="search" aria-label="Search tasks by song, address or id" placeholder="Search by song, address or id" value={typed} onInput={(event) => setTyped(event.currentTarget.value)} />;
}

function None({ searched }: { searched: boolean }): JSX.Element {
  return searched ? <Empty title="No task is like that.">Try other words, or another state.</Empty> : <Empty title="There are no tasks yet."><a href="/">Separate your first song</a>: it appears here.</Empty>;
}

function List({ tasks, reload }: { tasks: TaskLine[]; reload: () => Promise<void> }): JSX.Element {
  const live = useProgress();
  const [ending, setEnding] = useState<TaskLine>();
  useEffect(() => tasks.forEach((task) => isEnded(task.state) || nameTask(task.taskId, task.song)), [tasks]);
  return (
    <>
      <Table class="tasks" caption="Tasks, newest first" head={["Song", "What", "State", "Length", "Cost", "When", <span class="hidden">Actions</span>]} cards>
        {tasks.map((task) => <Row key={task.taskId} task={task} now={live.get(task.taskId)} onCancel={() => setEnding(task)} />)}
      </Table>
      {ending && (
        <Confirm title={<>Cancel <bdi>{ending.song}</bdi>?</>} yes="Cancel the task" onClose={() => setEnding(undefined)} act={() => post(`/tasks/${ending.taskId}/cancel`).then(reload)}>
          <p>What is done of it is dropped. Its {credits(ending.cost)} will come back.</p>
        </Confirm>
      )}
    </>
  );
}

function Row({ task, now, onCancel }: { task: TaskLine; now: Progress | undefined; onCancel: () => void }): JSX.Element {
  const state = isEnded(task.state) || !now ? task.state : now.state;
  const progress = now?.progress ?? task.progress;
  return (
    <tr>
      <th scope="row"><a href={`/console/task/${task.taskId}`} title={task.song} dir="auto">{task.song}</a></th>
      <td data-label="What">{task.kind === "split_stem_advanced" ? task.stemName : made(task.kind, task.model)} <span class="soft">{task.format}</span></td>
      <td data-label="State">
        <StateBadge state={state} /> {task.gone && task.state === "finished" && <span class="soft">files gone</span>}
        {!isEnded(state) && <div class="mini"><Bar value={progress} label={`Separation of ${task.song}`} /><span class="soft">{stage(state, progress, now?.secondsLeft ?? null, now?.ahead ?? null)}</span></div>}
        {task.state === "failed" && task.error && <div class="soft clip" title={task.error}>{task.error}</div>}
        {task.warnings.length > 0 && <div class="soft clip" title={task.warnings.join("; ")}>{task.warnings.join("; ")}</div>}
      </td>
      <td data-label="Length" class="number">{task.durationSeconds === null ? "–" : length(task.durationSeconds)}</td>
      <td data-label="Cost" class="number">{task.state === "failed" || task.state === "cancelled" ? <span title="given back">0</span> : task.cost}</td>
      <td data-label="When"><Ago time={task.createTime} /></td>
      <td class="do">
        {isEnded(state) ? (
          <Act small icon="again" aria-label={`Separate ${task.song} again, ${credits(task.cost)}`} title={`${credits(task.cost)}`} act={() => again(task.taskId)}>Again</Act>
        ) : (
          <Button small icon="cross" aria-label={`Cancel ${task.song}`} onClick={onCancel}>Cancel</Button>
        )}
      </td>
    </tr>
  );
}

const wishes = new Map<string, string>();

/** The same once more; shows the new task. Asked for again because no answer came, it is the same wish. */
export async function again(taskId: string): Promise<void> {
  if (!wishes.has(taskId)) wishes.set(taskId, wish());
  const made = await post<{ taskId: string }>(`/tasks/${taskId}/again`, {}, { "Idempotency-Key": wishes.get(taskId) as string });
  wishes.delete(taskId);
  tell("It is being made again.");
  go(`/console/task/${made.taskId}`);
}
