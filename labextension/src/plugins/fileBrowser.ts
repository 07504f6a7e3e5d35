import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { IFileBrowserFactory } from '@jupyterlab/filebrowser';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { submitIcon } from '../icons';
import { CommandIds } from '../tokens';

/** The item in the file browser's context menu. */
export const fileBrowserPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:file-browser',
  description: 'The item Submit as job in the context menu of folders and notebooks.',
  autoStart: true,
  requires: [IFileBrowserFactory],
  optional: [ITranslator],
  activate: (
    app: JupyterFrontEnd,
    factory: IFileBrowserFactory,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('himalia');
    const { contents } = app.serviceManager;
    app.commands.addCommand(CommandIds.submitSelected, {
      label: trans.__('Submit as Job…'),
      icon: submitIcon,
      describedBy: { args: { type: 'object', properties: {} } },
      execute: () => {
        const browser = factory.tracker.currentWidget;
        const [selected] = browser ? [...browser.selectedItems()] : [];
        const path = selected?.path ?? browser?.model.path ?? '';
        const local = contents.localPath(path);
        return app.commands.execute(
          CommandIds.submit,
          selected?.type === 'notebook' ? { notebook: local } : { directory: local }
        );
      }
    });
  }
};
