import type { TranslationBundle } from '@jupyterlab/translation';
import { downloadIcon } from '@jupyterlab/ui-components';
import type { JSX, ReactNode } from 'react';

import { formatDuration, formatSize, secondsBetween } from '../format';
import { cliLine } from '../job/cli';
import { commandLine } from '../submit/command';
import type { IAttempt, IJob, ISource } from '../words';
import { Timeline } from './Timeline';

export interface IDetailsViewProps {
  job: IJob;
  visible: boolean;
  /** Save the list of the packages of an attempt. */
  onPackages: (attempt: number) => void;
  trans: TranslationBundle;
}

/** Everything that is known of a job, and how to submit the same from a terminal. */
export function DetailsView(props: IDetailsViewProps): JSX.Element {
  const { job, visible, onPackages, trans } = props;
  return (
    <div className="jp-himalia-Details">
      <dl>
        <Facts rows={whatRows(job, trans)} />
        <Facts rows={limitRows(job, trans)} />
        <Facts rows={endRows(job, trans)} />
      </dl>
      <h3 className="jp-himalia-Heading">{trans.__('Timeline')}</h3>
      <Timeline job={job} visible={visible} trans={trans} />
      <h3 className="jp-himalia-Heading">{trans.__('The same from a terminal')}</h3>
      <pre className="jp-himalia-Text">{cliLine(job)}</pre>
      {job.attempts.length > 0 && (
        <>
          <h3 className="jp-himalia-Heading">{trans.__('Attempts')}</h3>
          <Attempts attempts={job.attempts} onPackages={onPackages} trans={trans} />
        </>
      )}
    </div>
  );
}

type Row = [string, ReactNode];

function Facts({ rows }: { rows: Row[] }): JSX.Element {
  const given = rows.filter(([, value]) => value === 0 || Boolean(value));
  return (
    <>
      {given.map(([label, value]) => (
        <div key={label}>
          <dt>{label}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </>
  );
}

function whatRows(job: IJob, trans: TranslationBundle): Row[] {
  const environment = Object.entries(job.env).map(([name, value]) => `${name}=${value}`);
  const parameters = Object.entries(job.notebook?.parameters ?? {});
  return [
    [trans.__('Job'), <code>{job.id}</code>],
    [trans.__('Project'), `${job.project} (${job.owner})`],
    [trans.__('Experiment'), job.experiment],
    [trans.__('Submitted by'), job.user],
    [trans.__('Run again of'), job.rerun_of && <code>{job.rerun_of}</code>],
    [trans.__('Command'), !job.notebook && <code>{commandLine(job.command)}</code>],
    [trans.__('Notebook'), job.notebook && <code>{job.notebook.path}</code>],
    [
      trans.__('Parameters'),
      parameters.map(([name, value]) => `${name}=${JSON.stringify(value)}`).join(', ')
    ],
    [trans.__('Directory'), job.workdir],
    [trans.__('Variables'), environment.join(', ')],
    [trans.__('Image'), job.image],
    [trans.__('Image id'), job.image_id && <code>{job.image_id}</code>],
    ...sourceRows(job, trans),
    [trans.__('Files'), job.snapshot_digest && <code>{job.snapshot_digest}</code>]
  ];
}

function sourceRows({ source }: IJob, trans: TranslationBundle): Row[] {
  if (!source) {
    return [];
  }
  return [
    [trans.__('Repository'), source.remote],
    [trans.__('Branch or tag'), source.ref !== source.commit && source.ref],
    [trans.__('Commit'), <code>{source.commit}</code>],
    [trans.__('Directory in it'), source.directory],
    [trans.__('Over the commit'), overCommit(source, trans)],
    [trans.__('Not fetched'), source.left_out.join('; ')]
  ];
}

function overCommit(source: ISource, trans: TranslationBundle): string {
  if (source.fetched || source.changed === null) {
    return source.fetched ? '' : trans.__('nobody looked');
  }
  const parts = [trans._n('%1 file changed', '%1 files changed', source.changed)];
  if (source.untracked) {
    parts.push(trans._n('%1 unknown to git', '%1 unknown to git', source.untracked));
  }
  return source.changed || source.untracked ? parts.join(', ') : trans.__('nothing');
}

function limitRows(job: IJob, trans: TranslationBundle): Row[] {
  return [
    [trans.__('Profile'), job.profile],
    [trans.__('CPUs'), job.cpus],
    [trans.__('Memory'), formatSize(job.memory_bytes)],
    [trans.__('Disk'), job.disk_bytes && formatSize(job.disk_bytes)],
    [trans.__('GPUs'), job.gpus === '0' ? trans.__('none') : job.gpus],
    [trans.__('Time limit'), formatDuration(job.timeout_seconds)],
    [trans.__('Warned before it'), job.warn_seconds && formatDuration(job.warn_seconds)],
    [
      trans.__('Retries'),
      job.retries > 0 && (job.retry_on ? `${job.retries} (${job.retry_on})` : job.retries)
    ],
    [
      trans.__('Preemptible'),
      job.preemptible && trans.__('yes: it gives way when others need the GPU, and is run again')
    ]
  ];
}

function endRows(job: IJob, trans: TranslationBundle): Row[] {
  return [
    [trans.__('Exit code'), job.exit_code],
    [trans.__('Label'), job.attempts[job.attempts.length - 1]?.label],
    [trans.__('Cancelled by'), job.cancelled_by]
  ];
}

function Attempts({
  attempts,
  onPackages,
  trans
}: {
  attempts: IAttempt[];
  onPackages: (attempt: number) => void;
  trans: TranslationBundle;
}): JSX.Element {
  return (
    <table className="jp-himalia-Attempts">
      <thead>
        <tr>
          <th>{trans.__('Attempt')}</th>
          <th>{trans.__('Machine')}</th>
          <th>{trans.__('GPUs')}</th>
          <th>{trans.__('Ran')}</th>
          <th>{trans.__('Exit code')}</th>
          <th>{trans.__('Log')}</th>
          <th>{trans.__('Python packages')}</th>
        </tr>
      </thead>
      <tbody>
        {attempts.map(attempt => (
          <tr key={attempt.id}>
            <td>{attempt.number}</td>
            <td>{attempt.node_id}</td>
            <td>{attempt.slots.map(slot => `${slot.model} (${slot.index})`).join(', ') || '–'}</td>
            <td>{ranFor(attempt)}</td>
            <td>{attempt.exit_code ?? '–'}</td>
            <td>{formatSize(attempt.log_bytes)}</td>
            <td>
              <button
                type="button"
                className="jp-himalia-IconButton"
                title={trans.__('Save the list of the packages of attempt %1', attempt.number)}
                aria-label={trans.__('Save the list of the packages of attempt %1', attempt.number)}
                onClick={() => onPackages(attempt.number)}
              >
                <downloadIcon.react tag="span" width="14px" height="14px" />
              </button>
            </td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function ranFor({ started_at: started, finished_at: finished }: IAttempt): string {
  return started && finished ? formatDuration(secondsBetween(started, finished, 0)) : '–';
}
