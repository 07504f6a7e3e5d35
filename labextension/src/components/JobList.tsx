import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import { byPosition, ownLine } from '../line';
import type { IJobSummary } from '../words';
import { hasEnded } from '../words';
import { useNow } from './hooks';
import { JobRow } from './JobRow';

export interface IJobListProps {
  jobs: IJobSummary[];
  /** Whether the first answer is still awaited. */
  loading: boolean;
  /** Whether there are older jobs than those of the list. */
  hasOlder: boolean;
  /** The name of who looks; empty while it is not known. */
  me: string;
  /** Whether somebody sees the list: hidden clocks need not tick. */
  visible: boolean;
  onOpen: (id: string) => void;
  onCancel: (id: string) => void;
  /** Offer the places that a job can be given in line, beside a button. */
  onMove: (id: string, beside: Element) => void;
  onOlder: () => void;
  trans: TranslationBundle;
}

/** The jobs in three groups: those that run, those that wait, those that ended. */
export function JobList(props: IJobListProps): JSX.Element {
  const { jobs, visible, loading, hasOlder, onOlder, trans } = props;
  const running = jobs.filter(job => !hasEnded(job) && job.state !== 'queued');
  const queued = jobs.filter(job => job.state === 'queued').sort(byPosition);
  const ended = jobs.filter(hasEnded);
  const now = useNow(visible && running.length + queued.length > 0);
  if (jobs.length === 0) {
    return (
      <p className="jp-himalia-Empty jp-himalia-NoJobs">
        {loading
          ? trans.__('Reading the list of jobs…')
          : trans.__(
              'No jobs yet. What you submit shows up here, and goes on when you close the page.'
            )}
      </p>
    );
  }
  return (
    <>
      <Group {...props} title={trans.__('Running')} jobs={running} now={now} />
      <Group {...props} title={trans.__('Queued')} jobs={queued} now={now} />
      <Group {...props} title={trans.__('Recent')} jobs={ended} now={now} />
      {hasOlder && (
        <button className="jp-himalia-Link jp-himalia-Older" onClick={onOlder}>
          {trans.__('Show older jobs')}
        </button>
      )}
    </>
  );
}

interface IGroupProps extends IJobListProps {
  title: string;
  now: number;
}

function Group(props: IGroupProps): JSX.Element | null {
  const { title, jobs, now, me, onOpen, onCancel, onMove, trans } = props;
  if (jobs.length === 0) {
    return null;
  }
  const several = ownLine(jobs, me).length > 1;
  return (
    <section className="jp-himalia-Group" aria-label={title}>
      <h3 className="jp-himalia-Heading">
        {title} <span className="jp-himalia-Count">{jobs.length}</span>
      </h3>
      <ul className="jp-himalia-Group-jobs">
        {jobs.map(job => (
          <JobRow
            key={job.id}
            job={job}
            now={now}
            foreign={job.user !== me}
            onOpen={onOpen}
            onCancel={onCancel}
            onMove={several && job.state === 'queued' && job.user === me ? onMove : undefined}
            trans={trans}
          />
        ))}
      </ul>
    </section>
  );
}
