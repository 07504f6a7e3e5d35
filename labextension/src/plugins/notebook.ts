import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IToolbarWidgetRegistry } from '@jupyterlab/apputils';
import type { NotebookPanel } from '@jupyterlab/notebook';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { ToolbarButton } from '@jupyterlab/ui-components';

import { submitIcon } from '../icons';
import { CommandIds } from '../tokens';

/** The button in a notebook's toolbar. */
export const notebookPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:notebook',
  description: 'The button Run as job in the toolbar of a notebook.',
  autoStart: true,
  requires: [IToolbarWidgetRegistry],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    toolbars: IToolbarWidgetRegistry,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('himalia');
    const { contents } = app.serviceManager;
    // The factory gets the panel that the button belongs to, so that another tab in front changes nothing.
    toolbars.addFactory<NotebookPanel>('Notebook', 'himalia-run', panel => {
      return new ToolbarButton({
        icon: submitIcon,
        tooltip: trans.__('Run this notebook as a job'),
        onClick: () => {
          const notebook = contents.localPath(panel.context.path);
          void app.commands.execute(CommandIds.submit, { notebook });
        }
      });
    });
  }
};
