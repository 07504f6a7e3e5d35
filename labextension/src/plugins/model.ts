import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { PageConfig } from '@jupyterlab/coreutils';

import { Api } from '../api';
import { LabConnection } from '../connection';
import { SharedEvents } from '../events/shared';
import { JobsModel } from '../model';
import { IJobsModel } from '../tokens';

/** Knows the jobs. */
export const modelPlugin: JupyterFrontEndPlugin<JobsModel> = {
  id: 'himalia:model',
  description: 'Follows the jobs, the GPUs and the profiles of the person.',
  autoStart: true,
  provides: IJobsModel,
  activate: (app: JupyterFrontEnd): JobsModel => {
    const api = new Api(new LabConnection());
    // Tabs share a stream only when they ask as the same person at the same hub.
    const hub = PageConfig.getOption('hubPrefix');
    const model = new JobsModel(
      api,
      (sink, person) => new SharedEvents(api, sink, `${hub}:${person}`)
    );
    document.addEventListener('visibilitychange', () => model.setVisible(!document.hidden));
    void app.restored.then(() => model.start());
    return model;
  }
};
