import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Dialog, Notification, showDialog } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { messageOf } from '../api';
import type { IPlace, Move } from '../line';
import { ownLine, placeFor } from '../line';
import type { JobsModel } from '../model';
import { CommandIds, IJobsModel } from '../tokens';

const ARGUMENTS = { type: 'object', required: ['id'], properties: { id: { type: 'string' } } };

/** What can be done with a job. */
export const actionsPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:actions',
  description: 'The commands of a job: Cancel, Run Again, Delete, and those that move it in line.',
  autoStart: true,
  requires: [IJobsModel],
  optional: [ITranslator],
  activate: (app: JupyterFrontEnd, model: JobsModel, translator: ITranslator | null): void => {
    const trans = (translator ?? nullTranslator).load('himalia');
    const { api } = model;
    const nameOf = (id: string): string => model.job(id)?.name ?? id;
    const add = (command: string, label: string, act: (id: string) => Promise<void>): void => {
      app.commands.addCommand(command, {
        label,
        describedBy: { args: ARGUMENTS },
        execute: args =>
          act(args.id as string).catch(error => void Notification.error(messageOf(error)))
      });
    };
    const sure = async (title: string, body: string, label: string): Promise<boolean> => {
      const buttons = [
        Dialog.cancelButton({ label: trans.__('Back') }),
        Dialog.warnButton({ label })
      ];
      return (await showDialog({ title, body, buttons })).button.accept;
    };
    add(CommandIds.cancel, trans.__('Cancel Job'), async id => {
      const title = trans.__('Cancel %1?', nameOf(id));
      const body = trans.__('It is ended now. What it has written to /artifacts is kept.');
      if (await sure(title, body, trans.__('Cancel job'))) {
        model.take(await api.cancel(id));
      }
    });
    const addMove = (command: string, label: string, move: Move): void => {
      const placeOf = (id: string): IPlace | null =>
        placeFor(ownLine(model.jobs, model.me?.name ?? ''), id, move);
      app.commands.addCommand(command, {
        label,
        describedBy: { args: ARGUMENTS },
        isEnabled: args => placeOf(args.id as string) !== null,
        execute: async args => {
          const id = args.id as string;
          const place = placeOf(id);
          if (place) {
            await api.move(id, place).then(
              job => model.take(job),
              error => void Notification.error(messageOf(error))
            );
          }
        }
      });
    };
    addMove(CommandIds.moveUp, trans.__('Move Up'), 'up');
    addMove(CommandIds.moveDown, trans.__('Move Down'), 'down');
    addMove(CommandIds.moveFirst, trans.__('To the Front of My Jobs'), 'first');
    add(CommandIds.rerun, trans.__('Run Job Again'), async id => {
      const job = await api.rerun(id);
      model.take(job);
      await app.commands.execute(CommandIds.open, { id: job.id });
    });
    add(CommandIds.askForGpu, trans.__('Ask for a GPU'), async id => {
      Notification.info(await api.askForGpu(id), { autoClose: 8000 });
    });
    add(CommandIds.remove, trans.__('Delete Job'), async id => {
      const title = trans.__('Delete %1?', nameOf(id));
      const body = trans.__('Its log and its artifacts are removed for good.');
      if (await sure(title, body, trans.__('Delete'))) {
        await api.remove(id);
        model.forget(id);
      }
    });
  }
};
