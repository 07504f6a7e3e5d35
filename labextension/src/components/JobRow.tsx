import type { TranslationBundle } from '@jupyterlab/translation';
import { ellipsesIcon, stopIcon } from '@jupyterlab/ui-components';
import type { JSX } from 'react';

import { formatDuration, formatMoment, secondsBetween } from '../format';
import type { IJobSummary } from '../words';
import { hasEnded } from '../words';
import { StateMark } from './StateMark';
import { againIn, whyOf } from './why';

export interface IJobRowProps {
  job: IJobSummary;
  now: number;
  /** Whether the job is somebody else's, of one of my teams. */
  foreign: boolean;
  onOpen: (id: string) => void;
  onCancel: (id: string) => void;
  /** Given where the job can have another place in line. */
  onMove?: (id: string, beside: Element) => void;
  trans: TranslationBundle;
}

/** One job of the list: what it is, where it is, and why it waits or failed. */
export function JobRow(props: IJobRowProps): JSX.Element {
  const { job, now, foreign, onOpen, onCancel, onMove, trans } = props;
  const live = !hasEnded(job);
  const why = job.state === 'cancelled' ? '' : whyOf(job, trans);
  const facts = [job.project, foreign ? job.user : '', requestOf(job, trans)]
    .filter(Boolean)
    .join(' · ');
  return (
    <li className="jp-himalia-JobRow" data-job={job.id} data-state={job.state}>
      <button className="jp-himalia-JobRow-main" onClick={() => onOpen(job.id)}>
        <span className="jp-himalia-JobRow-name" title={job.name}>
          {job.name}
        </span>
        <span className="jp-himalia-JobRow-second">
          <StateMark job={job} trans={trans} />
          <span className="jp-himalia-JobRow-when">{when(job, now, trans)}</span>
          <span className="jp-himalia-JobRow-facts" title={facts}>
            {facts}
          </span>
        </span>
        {why && <span className="jp-himalia-JobRow-why">{why}</span>}
      </button>
      {onMove && (
        <button
          className="jp-himalia-IconButton"
          title={trans.__('Move %1 in line', job.name)}
          aria-label={trans.__('Move %1 in line', job.name)}
          aria-haspopup="menu"
          onClick={event => onMove(job.id, event.currentTarget)}
        >
          <ellipsesIcon.react tag="span" width="16px" height="16px" />
        </button>
      )}
      {live && !job.cancel_requested && (
        <button
          className="jp-himalia-IconButton"
          title={trans.__('Cancel %1', job.name)}
          aria-label={trans.__('Cancel %1', job.name)}
          onClick={() => onCancel(job.id)}
        >
          <stopIcon.react tag="span" width="16px" height="16px" />
        </button>
      )}
    </li>
  );
}

function requestOf(job: IJobSummary, trans: TranslationBundle): string {
  if (job.gpus === '0') {
    return job.profile;
  }
  const count = Number(job.gpus);
  const gpus = Number.isInteger(count)
    ? trans._n('%1 GPU', '%1 GPUs', count)
    : trans.__('GPU %1', job.gpus);
  return `${job.profile}, ${gpus}`;
}

/** Say how long it takes or took; before that, when it was submitted; in a pause, how soon it is tried again. */
function when(job: IJobSummary, now: number, trans: TranslationBundle): string {
  const again = againIn(job, now, trans);
  if (again) {
    return again;
  }
  if (job.started_at) {
    const text = formatDuration(secondsBetween(job.started_at, job.finished_at, now));
    return job.finished_at
      ? `${text}, ${formatMoment(job.finished_at, now)}`
      : trans.__('for %1', text);
  }
  return job.state === 'queued'
    ? trans.__('for %1', formatDuration(secondsBetween(job.created_at, null, now)))
    : formatMoment(job.created_at, now);
}
