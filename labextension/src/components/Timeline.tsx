import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import { formatDuration, formatFully, formatSecond, secondsBetween } from '../format';
import type { IMoment } from '../job/timeline';
import { timeline } from '../job/timeline';
import type { IJob } from '../words';
import { hasEnded } from '../words';
import { useNow } from './hooks';
import { whyOf } from './why';

export interface ITimelineProps {
  job: IJob;
  visible: boolean;
  trans: TranslationBundle;
}

/** What became of a job, moment by moment, and how long each part took; of the last one how long it takes so far, and why. */
export function Timeline({ job, visible, trans }: ITimelineProps): JSX.Element {
  const live = !hasEnded(job);
  const now = useNow(visible && live);
  const moments = timeline(job, trans);
  return (
    <ol className="jp-himalia-Timeline" aria-label={trans.__('Timeline')}>
      {moments.map((moment, number) => {
        const last = number === moments.length - 1;
        const why = last && job.state === 'queued' ? whyOf(job, trans) : '';
        return (
          <li key={number} data-last={last}>
            <time dateTime={moment.at} title={formatFully(moment.at)}>
              {formatSecond(shownOf(moment, now), now)}
            </time>
            <span className="jp-himalia-Timeline-what">{moment.what}</span>
            <span className="jp-himalia-Timeline-took">
              {tookOf(moment, live ? now : null, trans)}
            </span>
            {why && <span className="jp-himalia-Timeline-why">{why}</span>}
          </li>
        );
      })}
    </ol>
  );
}

/** Return a moment as it is shown: one to come never earlier than it is, as in sentences. */
function shownOf({ at }: IMoment, now: number): string {
  const when = Date.parse(at);
  return when > now ? new Date(Math.ceil(when / 1000) * 1000).toISOString() : at;
}

/** Say how long something took, takes so far while it goes on, or how soon it comes. */
export function tookOf(moment: IMoment, now: number | null, trans: TranslationBundle): string {
  if (moment.seconds !== null) {
    return formatDuration(moment.seconds);
  }
  if (now === null) {
    return '';
  }
  const ago = secondsBetween(moment.at, null, now);
  return ago < 0
    ? trans.__('in %1', formatDuration(Math.ceil(-ago)))
    : trans.__('%1 so far', formatDuration(ago));
}
