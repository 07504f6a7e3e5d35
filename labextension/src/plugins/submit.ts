import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette } from '@jupyterlab/apputils';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { directoryOf } from '../submit/paths';
import { CommandIds, ISubmitting } from '../tokens';

/** The command that turns the form to a directory or a notebook. */
export const submitPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:submit',
  description: 'The command Submit as job.',
  autoStart: true,
  requires: [ISubmitting],
  optional: [ICommandPalette, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    { form, targets }: ISubmitting,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('himalia');
    const { commands } = app;
    commands.addCommand(CommandIds.submit, {
      label: trans.__('Submit as Job…'),
      caption: trans.__('Submit the directory in front of you as a job'),
      describedBy: { args: ARGUMENTS },
      execute: async args => {
        const { directory, notebook } = args as { directory?: string; notebook?: string };
        if (notebook !== undefined) {
          targets.choose({ directory: directoryOf(notebook), notebook });
        } else if (directory !== undefined) {
          targets.choose({ directory, notebook: null });
        }
        await commands.execute(CommandIds.show);
      }
    });
    palette?.addItem({ command: CommandIds.submit, category: trans.__('Jobs') });
    // A job that was submitted is followed by looking at its page.
    form.submitted.connect((_, job) => void commands.execute(CommandIds.open, { id: job.id }));
  }
};

const ARGUMENTS = {
  type: 'object',
  properties: {
    directory: { type: 'string', description: 'The directory, as the file browser shows it' },
    notebook: { type: 'string', description: 'The notebook to run; its directory is submitted' }
  }
};
