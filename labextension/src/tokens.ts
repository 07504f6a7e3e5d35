import { Token } from '@lumino/coreutils';

import type { JobsModel } from './model';
import type { SubmitForm } from './submit/form';
import type { TargetTracker } from './submit/target';

/** What the interface knows of the job service. */
export const IJobsModel = new Token<JobsModel>(
  'himalia:IJobsModel',
  'The jobs, the GPUs and the profiles of the person, kept true by events.'
);

/** The form *Submit* and what it would submit. */
export interface ISubmitting {
  readonly form: SubmitForm;
  readonly targets: TargetTracker;
}

export const ISubmitting = new Token<ISubmitting>(
  'himalia:ISubmitting',
  'The form that submits the directory in front of a person.'
);

/** The ids of the commands. */
export namespace CommandIds {
  export const show = 'himalia:show-jobs';
  export const submit = 'himalia:submit';
  export const submitSelected = 'himalia:submit-selected';
  export const runNotebook = 'himalia:run-notebook';
  export const open = 'himalia:open-job';
  export const cancel = 'himalia:cancel-job';
  export const moveUp = 'himalia:move-job-up';
  export const moveDown = 'himalia:move-job-down';
  export const moveFirst = 'himalia:move-job-first';
  export const rerun = 'himalia:rerun-job';
  export const remove = 'himalia:delete-job';
  export const askForGpu = 'himalia:ask-for-gpu';
}

/** The id of the sidebar, in Lab's shell. */
export const SIDEBAR_ID = 'himalia-jobs';
