import type { Api } from '../api';
import { ApiError } from '../api';
import { pause } from '../events/pause';
import type { IJob, IJobRequest, IProgress } from '../words';

const ASK_MILLISECONDS = 700;

type Sender = Pick<Api, 'submit' | 'submission' | 'job'>;

/** Submit a directory and report how far it is; a connection that breaks on the way does not lose the job. */
export async function sendJob(
  api: Sender,
  directory: string,
  request: IJobRequest,
  report: (progress: IProgress) => void
): Promise<IJob> {
  const ended = new AbortController();
  const sending = api.submit(directory, request).finally(() => ended.abort());
  void reportProgress(api, request.idempotency_key, report, ended.signal);
  try {
    return await sending;
  } catch (error) {
    if (!connectionBroke(error)) {
      throw error;
    }
    // The server goes on packing without us; its own record tells how it ended.
    return await outcome(api, request.idempotency_key, report, error);
  }
}

function connectionBroke(error: unknown): boolean {
  return !(error instanceof ApiError) || [502, 504].includes(error.status);
}

async function reportProgress(
  api: Sender,
  key: string,
  report: (progress: IProgress) => void,
  signal: AbortSignal
): Promise<void> {
  await pause(ASK_MILLISECONDS, signal);
  while (!signal.aborted) {
    const progress = await api.submission(key).catch(() => null);
    if (progress && !signal.aborted) {
      report(progress);
    }
    await pause(ASK_MILLISECONDS, signal);
  }
}

async function outcome(
  api: Sender,
  key: string,
  report: (progress: IProgress) => void,
  cause: unknown
): Promise<IJob> {
  const never = new AbortController().signal;
  for (let silent = 0; silent < 5;) {
    await pause(ASK_MILLISECONDS, never);
    const progress = await api.submission(key).catch(() => null);
    silent = progress ? 0 : silent + 1;
    if (progress?.stage === 'failed') {
      throw new Error(progress.message);
    }
    if (progress?.job_id) {
      return api.job(progress.job_id);
    }
    if (progress) {
      report(progress);
    }
  }
  throw cause;
}
