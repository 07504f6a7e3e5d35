import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import type { Contents } from '@jupyterlab/services';
import { Signal } from '@lumino/signaling';

import { isBelow, nameOf } from './paths';

/** What the form needs of Lab's files. */
export interface IFiles {
  /** The names of the notebooks in a directory. */
  notebooks(directory: string): Promise<string[]>;
  /** Save the open documents below a directory that have unsaved changes. */
  saveBelow(directory: string): Promise<void>;
  /** A file was saved, made, renamed or removed; carries its path. */
  readonly changed: Signal<unknown, string>;
}

/** Lab's files, through its document manager and its contents. */
export class LabFiles implements IFiles {
  constructor(
    private readonly _shell: JupyterFrontEnd.IShell,
    private readonly _docManager: IDocumentManager,
    private readonly _contents: Contents.IManager
  ) {
    _contents.fileChanged.connect(this._onChange, this);
  }

  readonly changed = new Signal<unknown, string>(this);

  async notebooks(directory: string): Promise<string[]> {
    const listing = await this._contents.get(directory, { content: true });
    const entries = (listing.content ?? []) as Contents.IModel[];
    return entries
      .filter(entry => entry.type === 'notebook')
      .map(entry => entry.name)
      .sort();
  }

  async saveBelow(directory: string): Promise<void> {
    for (const widget of this._shell.widgets('main')) {
      const context = this._docManager.contextForWidget(widget);
      if (!context?.model.dirty || !isBelow(this._contents.localPath(context.path), directory)) {
        continue;
      }
      await context.save();
      if (context.model.dirty) {
        throw new Error(`${nameOf(context.path)} could not be saved. Save it, then submit again.`);
      }
    }
  }

  dispose(): void {
    this._contents.fileChanged.disconnect(this._onChange, this);
    Signal.clearData(this);
  }

  private _onChange(_: Contents.IManager, change: Contents.IChangedArgs): void {
    const path = change.newValue?.path ?? change.oldValue?.path;
    if (path !== undefined) {
      this.changed.emit(this._contents.localPath(path));
    }
  }
}
