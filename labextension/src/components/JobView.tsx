import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import type { JobPage, Tab } from '../job/page';
import { ArtifactsView } from './ArtifactsView';
import { DetailsView } from './DetailsView';
import { useSignal } from './hooks';
import type { IJobActions } from './JobHeader';
import { JobHeader } from './JobHeader';
import { LogView } from './LogView';
import { Tabs } from './Tabs';

export interface IJobViewProps {
  page: JobPage;
  visible: boolean;
  actions: IJobActions;
  trans: TranslationBundle;
}

/** A job's page: what it is and where it is, its log, its artifacts, its details. */
export function JobView({ page, visible, actions, trans }: IJobViewProps): JSX.Element {
  useSignal(page.changed);
  const { job } = page;
  const tabsId = `jp-himalia-job-${page.id}`;
  if (page.gone) {
    const text = trans.__(
      'This job is not there any more: it was deleted, or it is not yours to see.'
    );
    return <p className="jp-himalia-Empty">{text}</p>;
  }
  if (!job) {
    return <p className="jp-himalia-Empty">{page.error || trans.__('Asking the job service…')}</p>;
  }
  return (
    <>
      <JobHeader
        job={job}
        visible={visible}
        me={page.model.me?.name ?? ''}
        actions={actions}
        trans={trans}
      />
      {page.error && (
        <p className="jp-himalia-Error" role="alert">
          {page.error}
        </p>
      )}
      <div className="jp-himalia-Tabs">
        <Tabs
          id={tabsId}
          tabs={tabsOf(trans)}
          chosen={page.tab}
          onChoose={tab => page.setTab(tab)}
        />
        <AttemptSelect page={page} trans={trans} />
      </div>
      <div
        className="jp-himalia-Job-body"
        role="tabpanel"
        id={`${tabsId}-panel`}
        aria-labelledby={`${tabsId}-${page.tab}`}
      >
        {page.tab === 'log' && <LogView page={page} trans={trans} />}
        {page.tab === 'artifacts' && <ArtifactsView page={page} trans={trans} />}
        {page.tab === 'details' && (
          <DetailsView
            job={job}
            visible={visible}
            onPackages={attempt => void page.savePackages(attempt)}
            trans={trans}
          />
        )}
      </div>
    </>
  );
}

function tabsOf(trans: TranslationBundle): [Tab, string][] {
  return [
    ['log', trans.__('Log')],
    ['artifacts', trans.__('Artifacts')],
    ['details', trans.__('Details')]
  ];
}

function AttemptSelect({
  page,
  trans
}: {
  page: JobPage;
  trans: TranslationBundle;
}): JSX.Element | null {
  const attempts = page.job?.attempts ?? [];
  if (attempts.length < 2) {
    return null;
  }
  return (
    <div className="jp-himalia-Select">
      <select
        className="jp-mod-styled"
        aria-label={trans.__('Attempt')}
        value={page.attempt}
        onChange={event => page.chooseAttempt(Number(event.target.value))}
      >
        {attempts.map(({ number }) => (
          <option key={number} value={number}>
            {trans.__('Attempt %1', number)}
          </option>
        ))}
      </select>
    </div>
  );
}
