import type { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { Notification } from '@jupyterlab/apputils';

import type { JobsModel } from '../model';
import type { IAction, IBoard } from '../notices';
import { Notices } from '../notices';
import { IJobsModel } from '../tokens';

/** Shows what the platform tells the person, with buttons. */
export const noticesPlugin: JupyterFrontEndPlugin<void> = {
  id: 'himalia:notices',
  description: 'Notifications of what the platform tells the person, and their answers.',
  autoStart: true,
  requires: [IJobsModel],
  activate: (_app: JupyterFrontEnd, model: JobsModel): void => {
    new Notices(model, model.api, new LabBoard());
  }
};

/** Lab's notifications. */
class LabBoard implements IBoard {
  constructor() {
    Notification.manager.changed.connect((_, change) => {
      const close = this._closed.get(change.notification.id);
      if (change.type === 'removed' && close) {
        this._closed.delete(change.notification.id);
        close();
      }
    });
  }

  show(text: string, actions: IAction[], close: () => void): () => void {
    const id = Notification.emit(text, actions.length ? 'warning' : 'info', {
      autoClose: false,
      actions: actions.map(({ label, callback }) => ({ label, callback }))
    });
    this._closed.set(id, close);
    return () => {
      this._closed.delete(id);
      Notification.dismiss(id);
    };
  }

  fail(text: string): void {
    Notification.error(text, { autoClose: false });
  }

  private readonly _closed = new Map<string, () => void>();
}
