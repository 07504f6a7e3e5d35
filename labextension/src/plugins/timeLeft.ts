import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { PageConfig } from '@jupyterlab/coreutils';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import type { JobsModel } from '../model';
import { TimeLeft } from '../server';
import { IJobsModel } from '../tokens';

/** Shows in the status bar how long this server's GPU has been idle, and when the server ends. */
export const timeLeftPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:time-left',
  description: "How long this server's GPU has been idle, and when the server ends.",
  autoStart: true,
  requires: [IJobsModel],
  optional: [IStatusBar, ITranslator],
  activate: (
    _app: JupyterFrontEnd,
    model: JobsModel,
    bar: IStatusBar | null,
    translator: ITranslator | null
  ): void => {
    if (!bar) {
      return;
    }
    const trans = (translator ?? nullTranslator).load('himalia');
    const item = new Widget();
    item.addClass('jp-himalia-TimeLeft');
    bar.registerStatusItem('himalia:time-left', { item, align: 'right', rank: 90 });
    const name = PageConfig.getOption('hubServerName');
    const user = PageConfig.getOption('hubServerUser');
    const left = new TimeLeft(
      model,
      server => server.server === name && (!user || server.user === user),
      text => (item.node.textContent = text),
      trans
    );
    item.disposed.connect(() => left.dispose());
  }
};
