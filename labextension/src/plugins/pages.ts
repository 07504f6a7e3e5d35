import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ILayoutRestorer } from '@jupyterlab/application';
import { ICommandPalette, MainAreaWidget, WidgetTracker } from '@jupyterlab/apputils';
import type { TranslationBundle } from '@jupyterlab/translation';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';

import { jobsIcon } from '../icons';
import { JobPage } from '../job/page';
import type { JobsModel } from '../model';
import { CommandIds, IJobsModel } from '../tokens';
import { JobPageWidget } from '../widgets/jobPage';

type Page = MainAreaWidget<JobPageWidget>;

/** The pages of jobs. */
export const pagesPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:pages',
  description: "A job's page in the main area: log, artifacts, details.",
  autoStart: true,
  requires: [IJobsModel],
  optional: [ILayoutRestorer, ICommandPalette, ITranslator],
  activate: (
    app: JupyterFrontEnd,
    model: JobsModel,
    restorer: ILayoutRestorer | null,
    palette: ICommandPalette | null,
    translator: ITranslator | null
  ): void => {
    const trans = (translator ?? nullTranslator).load('himalia');
    const tracker = new WidgetTracker<Page>({ namespace: 'himalia-job' });
    app.commands.addCommand(CommandIds.open, {
      label: trans.__('Open Last Job'),
      describedBy: { args: { type: 'object', properties: { id: { type: 'string' } } } },
      isEnabled: args => Boolean(args.id) || model.jobs.length > 0,
      execute: async args => {
        const id = (args.id as string | undefined) ?? model.jobs[0].id;
        const known = tracker.find(page => page.content.page.id === id);
        const page = known ?? newPage(app, model, id, trans);
        if (!known) {
          await tracker.add(page);
          app.shell.add(page, 'main');
        }
        app.shell.activateById(page.id);
      }
    });
    palette?.addItem({ command: CommandIds.open, category: trans.__('Jobs') });
    void restorer?.restore(tracker, {
      command: CommandIds.open,
      args: page => ({ id: page.content.page.id }),
      name: page => page.content.page.id
    });
    model.jobDeleted.connect((_, id) =>
      tracker.find(page => page.content.page.id === id)?.dispose()
    );
  }
};

function newPage(
  { commands }: JupyterFrontEnd,
  model: JobsModel,
  id: string,
  trans: TranslationBundle
): Page {
  const page = new JobPage(model, id);
  const actions = {
    cancel: () => void commands.execute(CommandIds.cancel, { id }),
    rerun: () => void commands.execute(CommandIds.rerun, { id }),
    remove: () => void commands.execute(CommandIds.remove, { id }),
    ask: (uuid: string) => void commands.execute(CommandIds.askForGpu, { id: uuid })
  };
  const widget = new MainAreaWidget({ content: new JobPageWidget(page, actions, trans) });
  widget.id = `himalia-job-${id}`;
  widget.title.closable = true;
  widget.title.icon = jobsIcon;
  widget.title.label = trans.__('Job');
  page.changed.connect(() => {
    widget.title.label = page.job?.name ?? trans.__('Job');
    widget.title.caption = page.job ? `${page.job.name} (${id})` : id;
  });
  return widget;
}
