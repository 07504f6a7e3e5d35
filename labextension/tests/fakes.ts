import type { Api, IConnection } from '../src/api';
import { Api as RealApi } from '../src/api';
import type { IEventSink } from '../src/events/stream';
import type { IFiles } from '../src/submit/files';
import type { IJob, IJobSummary } from '../src/words';
import { Signal } from '@lumino/signaling';

/** A job as the service would answer it. */
export function job(change: Partial<IJob> = {}): IJob {
  return {
    id: 'aaaaaaaaaaaa',
    seq: 1,
    name: 'train',
    project: 'digits',
    owner: 'user:alice',
    experiment: null,
    user: 'alice',
    state: 'queued',
    reason: 'in_line',
    sentence: '',
    position: 1,
    cancel_requested: false,
    attempt: 0,
    exit_code: null,
    gpus: '0',
    cpus: 1,
    memory_bytes: 2 ** 31,
    profile: 'small',
    created_at: '2026-01-01T00:00:00.000Z',
    started_at: null,
    finished_at: null,
    snapshot: null,
    snapshot_digest: null,
    image: 'himalia/server:dev',
    image_id: '',
    command: ['sh', '-c', 'python train.py'],
    notebook: null,
    workdir: '',
    env: {},
    timeout_seconds: 86400,
    retries: 0,
    rerun_of: null,
    cancelled_by: null,
    attempts: [],
    may_cancel: true,
    may_delete: true,
    ...change
  };
}

/** One answer for each path; a function makes it anew for each request. */
export type Answers = Record<string, unknown>;

/** A service and a server that answer what they are told, and remember what they were asked. */
export class FakeConnection implements IConnection {
  readonly asked: { path: string; init: RequestInit | undefined }[] = [];

  constructor(readonly answers: Answers) {}

  service(path: string, init?: RequestInit): Promise<Response> {
    return this._answer(path, init);
  }

  extension(path: string, init?: RequestInit): Promise<Response> {
    return this._answer(path, init);
  }

  bodyOf(path: string): unknown {
    const asked = this.asked.filter(one => one.path === path).pop();
    return JSON.parse(asked?.init?.body as string) as unknown;
  }

  private async _answer(path: string, init?: RequestInit): Promise<Response> {
    this.asked.push({ path, init });
    const known = this.answers[path] ?? this.answers[path.split('?')[0]];
    const answer: unknown = typeof known === 'function' ? await (known as () => unknown)() : known;
    if (answer instanceof Response) {
      return answer;
    }
    return answer === undefined
      ? Response.json(null, { status: 404 })
      : Response.json(answer, { status: 200 });
  }
}

/** What a service with some jobs answers to the first questions. */
export function answersWith(jobs: IJobSummary[]): Answers {
  return {
    me: { name: 'alice', admin: false, teams: [], version: '0.1.0' },
    info: { version: '0.1.0', service_url: '/hub/services/jobs/api/', same_origin: true },
    gpus: { slots: [], free: 0, note: '' },
    profiles: { profiles: [] },
    projects: { projects: [] },
    jobs: { jobs, cursor: null }
  };
}

export function fakeApi(answers: Answers): { api: Api; connection: FakeConnection } {
  const connection = new FakeConnection(answers);
  return { api: new RealApi(connection), connection };
}

/** A stream of events that a test feeds by hand. */
export class FakeEvents {
  sink: IEventSink | null = null;
  disposed = false;

  readonly open = (sink: IEventSink): { dispose: () => void } => {
    this.sink = sink;
    return {
      dispose: () => {
        this.disposed = true;
      }
    };
  };
}

export class FakeFiles implements IFiles {
  readonly changed = new Signal<unknown, string>(this);
  readonly saved: string[] = [];

  notebooks(): Promise<string[]> {
    return Promise.resolve(['train.ipynb']);
  }

  saveBelow(directory: string): Promise<void> {
    this.saved.push(directory);
    return Promise.resolve();
  }
}

/** Wait until something is true; fail when it does not become true soon. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 3000;
  while (!condition()) {
    if (Date.now() > deadline) {
      throw new Error('It did not become true in 3 s.');
    }
    await new Promise(resolve => setTimeout(resolve, 5));
  }
}
