import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import { formatDuration, formatFully, formatMoment, formatSize, secondsBetween } from '../format';
import { commandLine } from '../submit/command';
import type { IJob } from '../words';
import { hasEnded } from '../words';
import { AskHolders } from './AskHolders';
import { useNow } from './hooks';
import { StateMark } from './StateMark';
import { againIn, whyOf } from './why';

/** What can be done with a job. */
export interface IJobActions {
  cancel: () => void;
  rerun: () => void;
  remove: () => void;
  /** Ask the holder of a GPU to give it back. */
  ask: (uuid: string) => void;
}

export interface IJobHeaderProps {
  job: IJob;
  visible: boolean;
  /** Who looks. */
  me: string;
  actions: IJobActions;
  trans: TranslationBundle;
}

/** The head of a job's page: name, true state, why, how long, what it asked for, what it runs. */
export function JobHeader({ job, visible, me, actions, trans }: IJobHeaderProps): JSX.Element {
  const now = useNow(visible && !hasEnded(job));
  const why = whyOf(job, trans);
  const again = againIn(job, now, trans);
  const work = job.notebook ? job.notebook.path : commandLine(job.command);
  return (
    <header className="jp-himalia-JobHeader" data-job={job.id} data-state={job.state}>
      <div className="jp-himalia-JobHeader-first">
        <h2>{job.name}</h2>
        <StateMark job={job} trans={trans} />
        <Buttons job={job} actions={actions} trans={trans} />
      </div>
      {why && <p className="jp-himalia-JobHeader-why">{why}</p>}
      <AskHolders job={job} me={me} ask={actions.ask} trans={trans} />
      <p className="jp-himalia-JobHeader-facts">
        <span>{job.project}</span>
        {again && <span>{again}</span>}
        <span>{timing(job, now, trans)}</span>
        <span>{request(job, trans)}</span>
      </p>
      {work !== job.name && <code className="jp-himalia-JobHeader-command">{work}</code>}
    </header>
  );
}

function Buttons({ job, actions, trans }: Omit<IJobHeaderProps, 'visible' | 'me'>): JSX.Element {
  const ended = hasEnded(job);
  return (
    <div className="jp-himalia-JobHeader-buttons">
      {!ended && (
        <button
          className="jp-mod-styled jp-mod-warn"
          disabled={job.cancel_requested || !job.may_cancel}
          onClick={actions.cancel}
        >
          {trans.__('Cancel')}
        </button>
      )}
      <button className="jp-mod-styled" onClick={actions.rerun}>
        {trans.__('Run again')}
      </button>
      {ended && job.may_delete && (
        <button className="jp-mod-styled" onClick={actions.remove}>
          {trans.__('Delete')}
        </button>
      )}
    </div>
  );
}

function timing(job: IJob, now: number, trans: TranslationBundle): JSX.Element {
  return <time title={formatFully(job.created_at)}>{timingOf(job, now, trans)}</time>;
}

function timingOf(job: IJob, now: number, trans: TranslationBundle): string {
  const submitted = trans.__('submitted %1', formatMoment(job.created_at, now));
  const { started_at: started, finished_at: finished } = job;
  if (job.state === 'queued' && started) {
    // It waits for another attempt: its details tell what it did when.
    return submitted;
  }
  const waited = formatDuration(secondsBetween(job.created_at, started ?? finished, now));
  return started
    ? trans.__(
        '%1, waited %2, ran %3',
        submitted,
        waited,
        formatDuration(secondsBetween(started, finished, now))
      )
    : trans.__('%1, waited %2', submitted, waited);
}

function request(job: IJob, trans: TranslationBundle): string {
  const cpus = trans._n('%1 CPU', '%1 CPUs', job.cpus);
  const gpus = job.gpus === '0' ? trans.__('no GPU') : trans.__('GPU: %1', job.gpus);
  return `${job.profile}: ${cpus}, ${formatSize(job.memory_bytes)}, ${gpus}`;
}
