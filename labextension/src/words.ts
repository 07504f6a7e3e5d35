/** The words of the job service's answers, as its API describes them. */

export type JobState =
  'queued' | 'starting' | 'running' | 'collecting' | 'succeeded' | 'failed' | 'cancelled';

/** How sure an expected start is. */
export type Sure = 'at_latest' | 'likely' | 'guess';

/** A job as a list shows it. */
export interface IJobSummary {
  id: string;
  /** Of the job's last change. */
  seq: number;
  name: string;
  project: string;
  owner: string;
  experiment: string | null;
  /** Who submitted it. */
  user: string;
  state: JobState;
  reason: string | null;
  /** The reason in words, with what to do. */
  sentence: string;
  /** In line, counted from 1, while queued. */
  position: number | null;
  /** When it is expected to start, while queued, and how sure that is; an older service does not tell. */
  estimate_at?: string | null;
  sure?: Sure | null;
  /** While it pauses after a failed attempt: it stands in line again then. */
  retry_at?: string | null;
  cancel_requested: boolean;
  /** The number of the last attempt; 0 before the first. */
  attempt: number;
  exit_code: number | null;
  gpus: string;
  cpus: number;
  memory_bytes: number;
  profile: string;
  /** Where its files came from, as far as git knows it; an older service does not tell. */
  source?: ISource | null;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
}

/** Where a job's files came from, as far as git knows it. */
export interface ISource {
  /** By the platform itself; else it is what the sender's git said. */
  fetched: boolean;
  remote: string;
  ref: string;
  commit: string;
  directory: string;
  /** Files that differ from the commit; null: nobody looked. */
  changed: number | null;
  untracked: number | null;
  diff_bytes: number | null;
  /** What was not fetched, in words. */
  left_out: string[];
}

export interface ISlot {
  index: number;
  uuid: string;
  /** UUID of the GPU that it is, or is a part of. */
  gpu?: string;
  model: string;
  memory_bytes: number;
  simulated?: boolean;
}

export interface IAttempt {
  id: string;
  number: number;
  node_id: string;
  slots: ISlot[];
  created_at: string;
  started_at: string | null;
  /** That its time limit was near; an older service does not tell. */
  warned_at?: string | null;
  /** It was killed, and did not end. */
  stuck_at?: string | null;
  finished_at: string | null;
  exit_code: number | null;
  signal: number | null;
  oom: boolean;
  reason: string | null;
  /** What the end of its log speaks of, such as `gpu-out-of-memory`. */
  label?: string | null;
  log_bytes: number;
}

export interface INotebookRun {
  path: string;
  parameters: Record<string, unknown>;
}

/** A job as its page shows it. */
export interface IJob extends IJobSummary {
  snapshot: string | null;
  snapshot_digest: string | null;
  image: string;
  image_id: string;
  command: string[];
  notebook: INotebookRun | null;
  workdir: string;
  env: Record<string, string>;
  timeout_seconds: number;
  /** What it may write to the data disk, where it asked for that itself. */
  disk_bytes?: number | null;
  /** So long before its time limit it is warned; an older service does not tell. */
  warn_seconds?: number | null;
  retries: number;
  /** After which ends it is tried again; an older service does not tell. */
  retry_on?: string;
  /** Whether it gives way to those who are not; an older service does not tell. */
  preemptible?: boolean;
  rerun_of: string | null;
  cancelled_by: string | null;
  attempts: IAttempt[];
  may_cancel: boolean;
  may_delete: boolean;
  /** The GPUs that would do while it waits; an older service does not tell. */
  waiting_for?: IWaitingFor[];
}

export interface IJobPage {
  jobs: IJobSummary[];
  cursor: string | null;
}

/** What is asked for; what is left out comes from the profile. */
export interface IJobRequest {
  project: string;
  /** Whose project; the submitter's own when none. */
  owner?: string;
  name?: string;
  experiment?: string;
  profile?: string;
  command?: string;
  notebook?: INotebookRun;
  workdir?: string;
  env?: Record<string, string>;
  gpus?: string;
  cpus?: number;
  memory?: string;
  disk?: string;
  timeout?: string;
  warn?: string;
  retries?: number;
  retry_on?: string;
  preemptible?: boolean;
  idempotency_key: string;
}

export interface IArtifact {
  path: string;
  type: 'file' | 'dir' | 'symlink' | 'other';
  size_bytes: number;
  modified_at: string;
}

export interface IArtifactList {
  attempt: string;
  /** Whether the attempt still runs. */
  live: boolean;
  artifacts: IArtifact[];
  truncated: boolean;
}

export interface IProfile {
  name: string;
  title: string;
  description: string;
  image: string;
  cpus: number;
  memory_bytes: number;
  gpus: string;
  /** What a job may write to the data disk; null: as much as there is; an older service does not tell. */
  disk_bytes?: number | null;
  /** The most that it may ask for there. */
  max_disk_bytes?: number | null;
  time_limit_seconds: number;
  max_time_limit_seconds: number;
  servers: boolean;
  jobs: boolean;
  free_now: boolean;
  /** What is free, or who is before. */
  sentence: string;
}

export interface ISlotView extends ISlot {
  holder: string | null;
  holder_kind: string | null;
  holder_user: string | null;
  /** `ok`, or why it is given to nobody. */
  health?: string;
  health_detail?: string;
}

/** A maintenance or a reservation, under way or soon. */
export interface IPlanned {
  kind: 'maintenance' | 'reservation';
  /** A sentence; the moments in it are UTC stamps. */
  text: string;
  start: string;
  end: string;
}

export interface IGpus {
  slots: ISlotView[];
  free: number;
  /** A sentence where there are no GPUs, or they are simulated. */
  note: string;
  /** What is planned; an older service does not tell. */
  notices?: IPlanned[];
}

export interface IProject {
  owner: string;
  name: string;
  description: string;
}

export interface IMe {
  name: string;
  admin: boolean;
  teams: string[];
  version: string;
}

/** A GPU that a job waits for, and who has it. */
export interface IWaitingFor {
  uuid: string;
  index: number;
  /** In words, as far as the reader may know. */
  holder: string;
  user: string | null;
}

/** A running server: how long it has been idle, and how long it may go on. */
export interface IServer {
  user: string;
  server: string;
  gpus: number;
  idle_seconds: number;
  /** It reaches its largest age then; null: it has none. */
  ends_at: string | null;
}

/** Something that the platform tells the person. */
export interface INotice {
  id: string;
  kind: string;
  sentence: string;
  /** The answers that are possible, with the words of their buttons. */
  actions: Record<string, string>;
  expires_at: string | null;
}

export type EventKind = 'job' | 'job_deleted' | 'ledger' | 'notice' | 'resync';

/** One change. */
export interface IEvent {
  seq: number;
  at: string;
  kind: EventKind;
  job_id: string | null;
  job: IJobSummary | null;
}

/** What the server extension says about itself. */
export interface IInfo {
  version: string;
  service_url: string;
  same_origin: boolean;
  /** Whether the server knows a job service. */
  configured: boolean;
}

export interface ILeftOut {
  path: string;
  size_bytes: number;
  rule: string;
}

/** What would be sent of a directory, and what would not. */
export interface IPreview {
  directory: string;
  project: string;
  file_count: number;
  size_bytes: number;
  /** The largest of what is left out, and how much it is in all. */
  left_out: ILeftOut[];
  left_out_count: number;
  left_out_bytes: number;
  largest: { path: string; size_bytes: number }[];
  problems: string[];
}

/** What is asked of the platform with a repository. */
export interface IFetchRequest {
  git: string;
  token?: string;
  job: IJobRequest;
}

/** How far the fetch of a repository is. */
export interface IFetch {
  id: string;
  state: 'waiting' | 'fetching' | 'reading' | 'done' | 'failed';
  /** How far it is, or what happened and what to do. */
  sentence: string;
  job_id: string | null;
  status: number;
  error: { code: string; message: string; fields: Record<string, string> } | null;
}

/** How far a submission is. */
export interface IProgress {
  stage:
    'waiting' | 'fetching' | 'scanning' | 'reading' | 'sending' | 'submitting' | 'done' | 'failed';
  done_bytes: number;
  total_bytes: number;
  job_id: string | null;
  message: string;
}

const FINAL: ReadonlySet<JobState> = new Set<JobState>(['succeeded', 'failed', 'cancelled']);

/** Tell whether a job has ended. */
export function hasEnded(job: { state: JobState }): boolean {
  return FINAL.has(job.state);
}
