import type { Api } from '../api';
import { ApiError } from '../api';
import { pause } from '../events/pause';
import type { IFetch, IFetchRequest, IJob, IProgress } from '../words';

const ASK_MILLISECONDS = 700;
const MOST_SILENT = 10;

type Fetcher = Pick<Api, 'fetch' | 'fetchState' | 'job'>;

/** Have a repository fetched and submitted, and report how far it is; the platform goes on without us. */
export async function sendRepository(
  api: Fetcher,
  wish: IFetchRequest,
  begun: (id: string) => void,
  report: (progress: IProgress) => void
): Promise<IJob> {
  let fetch = await api.fetch(wish);
  for (let silent = 0; ;) {
    begun(fetch.id);
    if (fetch.job_id) {
      return api.job(fetch.job_id);
    }
    if (fetch.state === 'failed') {
      throw failureOf(fetch);
    }
    report(progressOf(fetch));
    await pause(ASK_MILLISECONDS, new AbortController().signal);
    try {
      fetch = await api.fetchState(fetch.id);
      silent = 0;
    } catch (error) {
      silent += 1;
      if (silent > MOST_SILENT) {
        throw error;
      }
      if (error instanceof ApiError && error.status === 404) {
        // It ended with its service: under the same key it is begun anew, or is a job already.
        fetch = await api.fetch(wish);
      }
    }
  }
}

function progressOf({ state, sentence }: IFetch): IProgress {
  // What is read already becomes a job, which is cancelled as one.
  const stage = state === 'reading' || state === 'done' ? 'submitting' : 'fetching';
  return { stage, done_bytes: 0, total_bytes: 0, job_id: null, message: sentence };
}

function failureOf({ status, sentence, error }: IFetch): ApiError {
  return new ApiError(status, error?.code ?? 'error', sentence, error?.fields ?? {});
}
