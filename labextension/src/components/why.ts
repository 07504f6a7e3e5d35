import type { TranslationBundle } from '@jupyterlab/translation';

import { formatDeadline, formatDuration, localised } from '../format';
import type { IJobSummary, Sure } from '../words';

/** Say why a job waits, with when it should start, or how it ended; nothing where its state says it all. */
export function whyOf(job: IJobSummary, trans: TranslationBundle): string {
  if (job.state === 'succeeded' && job.reason !== 'succeeded_with_child_oom') {
    return '';
  }
  if (job.sentence) {
    const now = Date.now();
    return [localised(job.sentence, now), expected(job, now, trans)].filter(Boolean).join(' ');
  }
  return job.exit_code ? trans.__('Exit code %1.', job.exit_code) : '';
}

/** Say when a job that waits is expected to start, in the words of the command line; nothing where that is not known. */
export function expected(job: IJobSummary, now: number, trans: TranslationBundle): string {
  const { estimate_at: at, sure } = job;
  if (job.state !== 'queued' || !at || !sure) {
    return '';
  }
  // An estimate that has passed is still the best that is known until there is another.
  const shown = formatDeadline(new Date(Math.max(Date.parse(at), now)).toISOString(), now);
  const words: Record<Sure, string> = {
    at_latest: trans.__('It should start at the latest at %1.', shown),
    likely: trans.__('It should start about %1.', shown),
    guess: trans.__('It may start about %1.', shown)
  };
  return words[sure];
}

/** Say how soon a job that pauses after a failed attempt is tried again; nothing for others. */
export function againIn(job: IJobSummary, now: number, trans: TranslationBundle): string {
  if (job.state !== 'queued' || !job.retry_at) {
    return '';
  }
  const seconds = Math.ceil((Date.parse(job.retry_at) - now) / 1000);
  return seconds > 0
    ? trans.__('tries again in %1', formatDuration(seconds))
    : trans.__('tries again now');
}
