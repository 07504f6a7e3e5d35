import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import type { JobsModel } from '../model';
import type { SubmitForm } from '../submit/form';
import { GpuSummary } from './GpuSummary';
import { JobList } from './JobList';
import { SubmitView } from './SubmitView';
import { useSignal } from './hooks';

export interface ISidebarProps {
  model: JobsModel;
  form: SubmitForm;
  visible: boolean;
  onOpen: (id: string) => void;
  onCancel: (id: string) => void;
  /** Offer the places that a job can be given in line, beside a button. */
  onMove: (id: string, beside: Element) => void;
  trans: TranslationBundle;
}

/** The sidebar: what is free, the form, and the jobs. */
export function Sidebar(props: ISidebarProps): JSX.Element {
  const { model, form, visible, onOpen, onCancel, onMove, trans } = props;
  useSignal(model.changed);
  useSignal(form.changed);
  const known = model.me !== null;
  return (
    <div className="jp-himalia-Sidebar-content">
      {model.error && <Trouble model={model} trans={trans} />}
      {model.loading && !known && (
        <p className="jp-himalia-Empty">{trans.__('Asking the job service…')}</p>
      )}
      {model.gpus && <GpuSummary gpus={model.gpus} page={model.pages} trans={trans} />}
      {known && (
        <details className="jp-himalia-Section" open>
          <summary className="jp-himalia-Heading">{trans.__('Submit a job')}</summary>
          <SubmitView
            form={form}
            profiles={model.profiles}
            teams={model.me?.teams ?? []}
            trans={trans}
          />
        </details>
      )}
      {known && (
        <JobList
          jobs={model.jobs}
          loading={model.loading}
          hasOlder={model.hasOlder}
          me={model.me?.name ?? ''}
          visible={visible}
          onOpen={onOpen}
          onCancel={onCancel}
          onMove={onMove}
          onOlder={() => void model.loadOlder()}
          trans={trans}
        />
      )}
    </div>
  );
}

function Trouble({ model, trans }: { model: JobsModel; trans: TranslationBundle }): JSX.Element {
  return (
    <div className="jp-himalia-Trouble" role="alert">
      <p>{model.error}</p>
      <button className="jp-mod-styled" onClick={() => void model.refresh()}>
        {trans.__('Try again')}
      </button>
    </div>
  );
}
