import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import type { IJobSummary, JobState } from '../words';
import { hasEnded } from '../words';

export interface IStateMarkProps {
  job: IJobSummary;
  trans: TranslationBundle;
}

/** A job's state in one word, with a dot of its colour. */
export function StateMark({ job, trans }: IStateMarkProps): JSX.Element {
  return (
    <span className="jp-himalia-State" data-state={job.state}>
      <span className="jp-himalia-State-dot" aria-hidden />
      {stateLabel(job, trans)}
    </span>
  );
}

/** Return the word for where a job is. */
export function stateLabel(job: IJobSummary, trans: TranslationBundle): string {
  if (job.cancel_requested && !hasEnded(job)) {
    return trans.__('cancelling');
  }
  const words: Record<JobState, string> = {
    queued: trans.__('queued'),
    starting: trans.__('starting'),
    running: trans.__('running'),
    collecting: trans.__('collecting'),
    succeeded: trans.__('succeeded'),
    failed: trans.__('failed'),
    cancelled: trans.__('cancelled')
  };
  return words[job.state];
}
