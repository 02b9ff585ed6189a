// What the server tells: the shapes of page/console.yaml.

export type Kind = "separate_vocal" | "split_stem" | "split_stem_advanced";
export type State = "queued" | "fetching" | "separating" | "storing" | "finished" | "failed" | "cancelled";

export interface Service {
  version: string;
  prices: Record<string, Record<Kind, number>>;
  formats: string[];
  models: string[];
  stems: string[];
  instruments: Record<string, string>;
  maxUploadBytes: number;
  maxDurationSeconds: number;
  retentionDays: number;
  uploadDays: number;
  requireCallback: boolean;
  callbackDelaysSeconds: number[];
  maintenanceSince: number | null;
}

export interface Session {
  signedIn: true;
  account: { id: string; name: string };
  key: KeyName;
  admin: boolean;
  csrf: string;
  expireTime: number;
  balance: number;
  service: Service;
}

export interface KeyName {
  id: string;
  name: string;
  hint: string;
}

export interface TaskLine {
  taskId: string;
  song: string;
  kind: Kind;
  stemName: string | null;
  format: string;
  cost: number;
  state: State;
  progress: number;
  error: string | null;
  /** What was odd about the song. */
  warnings: string[];
  model: string | null;
  durationSeconds: number | null;
  createTime: number;
  startTime: number | null;
  completeTime: number | null;
  expireTime: number | null;
  gone: boolean;
  callback: "none" | "waiting" | "pending" | "delivered" | "failed";
}

export interface Stem {
  id: string;
  name: string;
  label: string;
  url: string;
  bytes: number;
  durationSeconds: number;
  silent: boolean;
  experimental: boolean;
  loudnessDbfs: number | null;
  model: string | null;
}

export interface Task extends TaskLine {
  musicId: string | null;
  audioId: string;
  audioUrl: string | null;
  callbackUrl: string | null;
  device: string | null;
  precision: string | null;
  gainDb: number | null;
  attempts: number;
  key: KeyName | null;
  songUrl: string | null;
  playerUrl: string | null;
  stems: Stem[];
  delivery: Callback | null;
}

export interface Callback {
  callbackId: string;
  taskId: string;
  song?: string;
  url: string;
  state: "pending" | "delivered" | "failed";
  attempts: number;
  lastStatus: number | null;
  lastError: string | null;
  createTime: number;
  lastTime: number | null;
  tried: { number: number; status: number | null; error: string | null; time: number }[];
}

export interface Progress {
  taskId: string;
  state: State;
  progress: number;
  secondsLeft: number | null;
  ahead: number | null;
  error: string | null;
  warnings: string[];
}

export interface Key {
  keyId: string;
  name: string;
  hint: string;
  dialect: string;
  admin: boolean;
  createTime: number;
  expireTime: number | null;
  revokeTime: number | null;
  useTime: number | null;
  /** The addresses it is good from, separated by commas; all when empty. */
  networks: string;
  state: "valid" | "ending" | "expired" | "revoked";
  current: boolean;
}

export interface Entry {
  sequence: number;
  time: number;
  kind: "grant" | "charge" | "refund";
  amount: number;
  balance: number;
  reason: string;
  taskId: string | null;
  song: string | null;
}

export interface Usage {
  first: string;
  last: string;
  keys: { keyId: string; name: string; hint: string }[];
  days: { date: string; keyId: string | null; tasks: number; credits: number; seconds: number }[];
}

export interface Tested {
  status: number | null;
  error: string | null;
  delivered: boolean;
  seconds: number;
  headers: Record<string, string>;
  body: string;
}

export interface Account {
  accountId: string;
  name: string;
  createTime: number;
  balance: number;
  keys: number;
  running: number;
}

export interface House {
  maintenanceSince: number | null;
  queue: { waiting: number; running: number; oldestSeconds: number; callbacks: number };
  workers: {
    workerId: string;
    host: string;
    pid: number;
    version: string;
    device: string | null;
    model: string | null;
    startTime: number;
    heartbeatSeconds: number;
    draining: boolean;
    tasks: number;
  }[];
  models: { name: string; source: "bundled" | "pulled"; bytes: number; stems: string[]; current: boolean }[];
}
