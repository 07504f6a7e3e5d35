import type { IPlace } from './line';
import type {
  IArtifactList,
  IFetch,
  IFetchRequest,
  IGpus,
  IInfo,
  IJob,
  IJobPage,
  IJobRequest,
  IMe,
  INotice,
  IPreview,
  IProfile,
  IProgress,
  IProject,
  IServer
} from './words';

/** An error that may be shown: what happened, then what to do. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
    readonly fields: Readonly<Record<string, string>> = {}
  ) {
    super(message);
  }
}

/** How the two servers are reached; the only thing that the page has to give. */
export interface IConnection {
  /** Ask the job service; the path starts below its API. */
  service(path: string, init?: RequestInit): Promise<Response>;
  /** Ask the server extension; the path starts below its API. */
  extension(path: string, init?: RequestInit): Promise<Response>;
}

export interface IJobQuery {
  state?: string;
  limit?: number;
  cursor?: string;
}

/** An answer that is no stream is waited for this long. */
const ANSWER_MILLISECONDS = 60_000;

/** All requests of the interface: nothing else knows an address. */
export class Api {
  constructor(private readonly _connection: IConnection) {}

  info(): Promise<IInfo> {
    return this._extension('info');
  }

  /** Return the address of the service's own pages, which lie above its API. */
  async pages(): Promise<string> {
    return (await this.info()).service_url.replace(/api\/*$/, '');
  }

  preview(directory: string, signal?: AbortSignal): Promise<IPreview> {
    return this._extension('preview', { ...post({ directory }), signal });
  }

  submit(directory: string, job: IJobRequest): Promise<IJob> {
    return this._extension('submit', post({ directory, job }));
  }

  submission(key: string): Promise<IProgress> {
    return this._extension(`submissions/${encodeURIComponent(key)}`);
  }

  /** End a submission while there is no job yet. */
  async cancelSubmission(key: string): Promise<void> {
    const path = `submissions/${encodeURIComponent(key)}`;
    await checked(await this._connection.extension(path, { method: 'DELETE' }));
  }

  /** Have a repository fetched and submitted; a repeated key is the same fetch. */
  fetch(wish: IFetchRequest): Promise<IFetch> {
    return this._service('fetches', post(wish));
  }

  fetchState(id: string): Promise<IFetch> {
    return this._service(`fetches/${encodeURIComponent(id)}`);
  }

  /** End a fetch while there is no job yet. */
  async stopFetch(id: string): Promise<void> {
    const path = `fetches/${encodeURIComponent(id)}`;
    await checked(await this._connection.service(path, { method: 'DELETE' }));
  }

  me(): Promise<IMe> {
    return this._service('me');
  }

  gpus(): Promise<IGpus> {
    return this._service('gpus');
  }

  /** Ask the holder of a GPU to give it back; the answer is the sentence that says so. */
  async askForGpu(uuid: string): Promise<string> {
    const path = `gpus/${encodeURIComponent(uuid)}/ask`;
    return (await this._service<{ sentence: string }>(path, post())).sentence;
  }

  async servers(): Promise<IServer[]> {
    return (await this._service<{ servers: IServer[] }>('servers')).servers;
  }

  async notices(): Promise<INotice[]> {
    return (await this._service<{ notices: INotice[] }>('notices')).notices;
  }

  answer(id: string, answer: string): Promise<INotice> {
    return this._service(`notices/${encodeURIComponent(id)}/answer`, post({ answer }));
  }

  async profiles(): Promise<IProfile[]> {
    return (await this._service<{ profiles: IProfile[] }>('profiles?for=jobs')).profiles;
  }

  async projects(): Promise<IProject[]> {
    return (await this._service<{ projects: IProject[] }>('projects')).projects;
  }

  jobs(query: IJobQuery = {}): Promise<IJobPage> {
    const pairs = Object.entries(query).map(([key, value]) => [key, String(value)]);
    return this._service(`jobs?${new URLSearchParams(pairs)}`);
  }

  job(id: string): Promise<IJob> {
    return this._service(jobPath(id));
  }

  cancel(id: string): Promise<IJob> {
    return this._service(`${jobPath(id)}/cancel`, post());
  }

  /** Give a job another place among one's own in line; nobody else moves. */
  move(id: string, place: IPlace): Promise<IJob> {
    return this._service(`${jobPath(id)}/move`, post(place));
  }

  rerun(id: string): Promise<IJob> {
    return this._service(`${jobPath(id)}/rerun`, post());
  }

  async remove(id: string): Promise<void> {
    await checked(await this._connection.service(jobPath(id), { method: 'DELETE' }));
  }

  artifacts(id: string, attempt: number): Promise<IArtifactList> {
    return this._service(`${jobPath(id)}/artifacts?attempt=${attempt}`);
  }

  /** The bytes of one artifact. */
  artifact(id: string, attempt: number, path: string): Promise<Response> {
    const encoded = path.split('/').map(encodeURIComponent).join('/');
    return this._bytes(`${jobPath(id)}/artifacts/${encoded}?attempt=${attempt}`);
  }

  /** The Python packages that an attempt could import, as `pip freeze` writes them. */
  packages(id: string, attempt: number): Promise<Response> {
    return this._bytes(`${jobPath(id)}/packages?attempt=${attempt}`);
  }

  /** All artifacts as a zip. */
  artifactsZip(id: string, attempt: number): Promise<Response> {
    return this._bytes(`${jobPath(id)}/artifacts.zip?attempt=${attempt}`);
  }

  /**
   * The bytes of a log from an offset. With `follow` they are the log's own, until the attempt has ended
   * or some are left out; else a line stands for those.
   */
  log(id: string, attempt: number, offset: number, follow: boolean, signal?: AbortSignal) {
    const query = `attempt=${attempt}&offset=${offset}` + (follow ? '&follow=1&exact=1' : '');
    return this._bytes(`${jobPath(id)}/logs?${query}`, { signal });
  }

  /** The stream of events after `lastEventId`. */
  events(lastEventId: number | null, signal: AbortSignal): Promise<Response> {
    const headers: Record<string, string> = { Accept: 'text/event-stream' };
    if (lastEventId !== null) {
      headers['Last-Event-ID'] = String(lastEventId);
    }
    return this._bytes('events', { headers, signal });
  }

  private async _service<T>(path: string, init?: RequestInit): Promise<T> {
    const signal = AbortSignal.timeout(ANSWER_MILLISECONDS);
    return (await (await this._bytes(path, { ...init, signal })).json()) as T;
  }

  private async _bytes(path: string, init?: RequestInit): Promise<Response> {
    return checked(await this._connection.service(path, init));
  }

  private async _extension<T>(path: string, init?: RequestInit): Promise<T> {
    return (await (await checked(await this._connection.extension(path, init))).json()) as T;
  }
}

function jobPath(id: string): string {
  return `jobs/${encodeURIComponent(id)}`;
}

function post(body: object = {}): RequestInit {
  return {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(body)
  };
}

/** Return the answer, or throw the error that it carries. */
async function checked(answer: Response): Promise<Response> {
  if (answer.ok) {
    return answer;
  }
  const body: unknown = await answer.json().catch(() => null);
  throw errorOf(answer.status, body);
}

/** Rebuild the error of an answer, whatever its body looks like. */
export function errorOf(status: number, body: unknown): ApiError {
  const error = (body as { error?: { code?: unknown; message?: unknown; fields?: unknown } } | null)
    ?.error;
  if (!error || typeof error !== 'object') {
    return new ApiError(status, 'error', sentenceFor(status));
  }
  const fields = (error.fields ?? {}) as Record<string, string>;
  return new ApiError(status, String(error.code), String(error.message), fields);
}

/** Words for an answer without any: a proxy's, or a server's without the extension. */
function sentenceFor(status: number): string {
  if (status === 401 || status === 403) {
    return 'You are not logged in any more. Reload the page to log in again.';
  }
  if (status === 404) {
    return 'The job service was not found here. Ask an administrator whether it is set up.';
  }
  return `The job service does not answer now (${status}). Jobs go on; this page tries again by itself.`;
}

/** Return what to tell about anything that was thrown. */
export function messageOf(error: unknown): string {
  if (error instanceof ApiError) {
    return error.message;
  }
  if (error instanceof DOMException && error.name === 'TimeoutError') {
    return 'The job service does not answer in time. Jobs go on; this page tries again by itself.';
  }
  // A request that did not get through: fetch throws the one, Lab's own requests the other.
  if (error instanceof TypeError || (error instanceof Error && error.name === 'NetworkError')) {
    return 'The network does not answer. Jobs go on; this page tries again by itself.';
  }
  return error instanceof Error ? error.message : String(error);
}
