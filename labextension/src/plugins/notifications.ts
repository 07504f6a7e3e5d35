import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import type { JobsModel } from '../model';
import { CommandIds, IJobsModel } from '../tokens';
import type { IJobSummary } from '../words';

/** Tells when a job ends. */
export const notificationsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:notifications',
  description: "A notification when one of the person's own jobs ends.",
  autoStart: true,
  requires: [IJobsModel],
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, model: JobsModel, translator: ITranslator | null): void => {
    const trans = (translator ?? nullTranslator).load('himalia');
    const tell = (_: JobsModel, job: IJobSummary): void => {
      const open = {
        label: trans.__('Open'),
        callback: () => void app.commands.execute(CommandIds.open, { id: job.id })
      };
      if (job.state === 'succeeded') {
        Notification.success(trans.__('%1 succeeded.', job.name), { actions: [open] });
      } else if (job.state === 'failed') {
        const text = trans.__('%1 failed. %2', job.name, job.sentence);
        Notification.error(text, { actions: [open], autoClose: false });
      }
    };
    model.jobEnded.connect(tell);
  }
};
