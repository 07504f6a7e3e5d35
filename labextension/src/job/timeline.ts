import type { TranslationBundle } from '@jupyterlab/translation';

import type { IAttempt, IJob } from '../words';
import { hasEnded } from '../words';

/** Something that happened to a job, or will; `seconds` until the next, none for the last. */
export interface IMoment {
  at: string;
  what: string;
  seconds: number | null;
}

/** Return what became of a job, first to last, in the words of `himalia show`. */
export function timeline(job: IJob, trans: TranslationBundle): IMoment[] {
  const found: [string, string][] = [
    [job.created_at, trans.__('submitted by %1; in line', job.user)]
  ];
  for (const attempt of job.attempts) {
    found.push(...ofAttempt(job, attempt, trans));
  }
  if (job.attempts.length && job.retry_at) {
    found.push([job.retry_at, trans.__('in line again')]);
  }
  if (job.finished_at && hasEnded(job)) {
    found.push([job.finished_at, endOf(job, trans)]);
  }
  return found.map(([at, what], number) => {
    const next = found.at(number + 1);
    const seconds = next ? Math.max(0, (Date.parse(next[0]) - Date.parse(at)) / 1000) : null;
    return { at, what, seconds };
  });
}

function endOf(job: IJob, trans: TranslationBundle): string {
  switch (job.state) {
    case 'succeeded':
      return trans.__('succeeded');
    case 'cancelled':
      return job.reason === 'cancelled' && job.cancelled_by
        ? trans.__('cancelled by %1', job.cancelled_by)
        : trans.__('cancelled');
    default:
      return trans.__('failed');
  }
}

function ofAttempt(job: IJob, attempt: IAttempt, trans: TranslationBundle): [string, string][] {
  const { number } = attempt;
  const found: [string, string][] = [
    [attempt.created_at, trans.__('attempt %1 is being started', number)]
  ];
  if (attempt.started_at) {
    found.push([attempt.started_at, trans.__('attempt %1 runs', number)]);
  }
  if (attempt.warned_at) {
    found.push([attempt.warned_at, trans.__('attempt %1 is warned of its time limit', number)]);
  }
  if (attempt.stuck_at) {
    found.push([attempt.stuck_at, trans.__('attempt %1 was killed and does not end', number)]);
  }
  if (attempt.finished_at) {
    found.push([
      attempt.finished_at,
      `${endOfAttempt(attempt, trans)}${afterwards(job, attempt, trans)}`
    ]);
  }
  return found;
}

/** Say what goes on after an attempt, until the next moment. */
function afterwards(job: IJob, attempt: IAttempt, trans: TranslationBundle): string {
  if (attempt.number !== job.attempts.at(-1)?.number) {
    return trans.__('; until the next');
  }
  const collects = job.state === 'collecting' || hasEnded(job);
  return collects && attempt.started_at ? trans.__('; what it left is collected') : '';
}

/** The reasons of what was not begun at all. */
const NOT_BEGUN = /^(waits_|in_line$|at_limit$)/;

function endOfAttempt(attempt: IAttempt, trans: TranslationBundle): string {
  const { number, reason } = attempt;
  if (reason !== null && NOT_BEGUN.test(reason)) {
    return trans.__('attempt %1 was not begun', number);
  }
  switch (reason) {
    case 'out_of_memory':
      return trans.__('attempt %1 ended out of memory', number);
    case 'succeeded_with_child_oom':
      return trans.__(
        'attempt %1 ended with exit code 0, and a process of it was killed for want of memory',
        number
      );
    case 'exited':
      return trans.__('attempt %1 ended with exit code %2', number, attempt.exit_code ?? '–');
    case 'killed_by_signal':
      return trans.__('attempt %1 was ended by signal %2', number, attempt.signal ?? '–');
    default:
      return trans.__('attempt %1 ended (%2)', number, (reason ?? 'over').replaceAll('_', ' '));
  }
}
