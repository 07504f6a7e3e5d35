import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import type { JobsModel } from '../model';
import { CommandIds, IJobsModel, ISubmitting, SIDEBAR_ID } from '../tokens';
import { offerMoves } from '../widgets/moveMenu';
import { SidebarWidget } from '../widgets/sidebar';

/** The sidebar. */
export const sidebarPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:sidebar',
  description: 'The sidebar Jobs: submit, and see what runs.',
  autoStart: true,
  requires: [IJobsModel, ISubmitting],
  optional: [ILayoutRestorer, ICommandPalette, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: JobsModel,
    { form }: ISubmitting,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('himalia');
    const { commands, shell } = app;
    const sidebar = new SidebarWidget({
      model,
      form,
      onOpen: id => void commands.execute(CommandIds.open, { id }),
      onMove: (id, beside) => offerMoves(app, id, beside),
      onCancel: id => void commands.execute(CommandIds.cancel, { id }),
      trans
    });
    shell.add(sidebar, 'left', { rank: 600, type: 'Jobs' });
    restorer?.add(sidebar, SIDEBAR_ID);
    commands.addCommand(CommandIds.show, {
      label: trans.__('Show Jobs'),
      execute: () => shell.activateById(SIDEBAR_ID)
    });
    palette?.addItem({ command: CommandIds.show, category: trans.__('Jobs') });
  }
};
