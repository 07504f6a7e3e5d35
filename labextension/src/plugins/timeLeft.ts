import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { PageConfig } from '@jupyterlab/coreutils';
import { IStatusBar } from '@jupyterlab/statusbar';
import { ITranslator, nullTranslator } from '@jupyterlab/translation';
import { Widget } from '@lumino/widgets';

import type { JobsModel } from '../model';
import { timeLeft } from '../server';
import { IJobsModel } from '../tokens';

/** How often it is asked: what it shows is minutes. */
const ASK_MILLISECONDS = 60_000;

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
    const ask = (): void => {
      if (document.hidden) {
        return; // nobody reads it
      }
      model.api.servers().then(
        servers => {
          const name = PageConfig.getOption('hubServerName');
          const user = PageConfig.getOption('hubServerUser');
          const mine = servers.find(one => one.server === name && (!user || one.user === user));
          item.node.textContent = mine ? timeLeft(mine, Date.now(), trans) : '';
        },
        () => undefined // the sidebar says what is wrong
      );
    };
    model.noticed.connect(ask);
    setInterval(ask, ASK_MILLISECONDS);
  }
};
