import type { JupyterFrontEnd } from '@jupyterlab/application';
import type { IDocumentManager } from '@jupyterlab/docmanager';
import type { FileBrowser } from '@jupyterlab/filebrowser';
import type { INotebookTracker } from '@jupyterlab/notebook';
import type { Contents } from '@jupyterlab/services';
import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';
import type { Widget } from '@lumino/widgets';

import { directoryOf } from './paths';

/** What the form would submit: a directory, and the notebook in front if there is one. */
export interface ITarget {
  directory: string;
  notebook: string | null;
  /** What it was taken from. */
  from: 'document' | 'browser' | 'chosen';
}

/** What the tracker looks at. */
export interface ITargetSources {
  shell: JupyterFrontEnd.IShell;
  docManager: IDocumentManager;
  contents: Contents.IManager;
  browser: FileBrowser | null;
  notebooks: INotebookTracker | null;
}

/** Follows what is in front of the person: an open document's directory, else the file browser's. */
export class TargetTracker implements IDisposable {
  constructor(private readonly _sources: ITargetSources) {
    const { shell, browser } = _sources;
    shell.currentChanged?.connect(this._onCurrent, this);
    browser?.model.pathChanged.connect(this._onPath, this);
    this._target = this._find(shell.currentWidget);
  }

  readonly changed = new Signal<this, ITarget>(this);

  get target(): ITarget {
    return this._target;
  }

  /** Take a directory or a notebook that was chosen by hand, until something else comes to the front. */
  choose(target: Omit<ITarget, 'from'>): void {
    this._set({ ...target, from: 'chosen' });
  }

  /** Return the directory and the notebook of a document, or nothing when it is none. */
  targetOf(widget: Widget): ITarget | null {
    const { docManager, contents, notebooks } = this._sources;
    const context = docManager.contextForWidget(widget);
    if (!context) {
      return null;
    }
    const path = contents.localPath(context.path);
    const notebook = notebooks?.has(widget) ? path : null;
    return { directory: directoryOf(path), notebook, from: 'document' };
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  dispose(): void {
    this._disposed = true;
    this._sources.shell.currentChanged?.disconnect(this._onCurrent, this);
    this._sources.browser?.model.pathChanged.disconnect(this._onPath, this);
    Signal.clearData(this);
  }

  private _onCurrent(): void {
    const current = this._sources.shell.currentWidget;
    // A job's own page says nothing about what to submit next.
    if (!current?.id.startsWith('himalia-job-')) {
      this._set(this._find(current));
    }
  }

  private _onPath(): void {
    this._set(this._find(this._sources.shell.currentWidget));
  }

  private _find(current: Widget | null): ITarget {
    const ofDocument = current && this.targetOf(current);
    if (ofDocument) {
      return ofDocument;
    }
    const { browser, contents } = this._sources;
    const directory = browser ? contents.localPath(browser.model.path) : '';
    return { directory, notebook: null, from: 'browser' };
  }

  private _set(target: ITarget): void {
    const { directory, notebook, from } = this._target;
    this._target = target;
    if (directory !== target.directory || notebook !== target.notebook || from !== target.from) {
      this.changed.emit(target);
    }
  }

  private _target: ITarget;
  private _disposed = false;
}
