import type { TranslationBundle } from '@jupyterlab/translation';

import { localised } from '../format';
import type { IJobSummary } from '../words';

/** Say why a job waits or how it ended; nothing where its state says it all. */
export function whyOf(job: IJobSummary, trans: TranslationBundle): string {
  if (job.state === 'succeeded' && job.reason !== 'succeeded_with_child_oom') {
    return '';
  }
  if (job.sentence) {
    return localised(job.sentence, Date.now());
  }
  return job.exit_code ? trans.__('Exit code %1.', job.exit_code) : '';
}
