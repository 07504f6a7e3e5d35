import type { IDisposable } from '@lumino/disposable';

import type { Api } from './api';
import { messageOf } from './api';
import { localised } from './format';
import type { JobsModel } from './model';
import type { INotice } from './words';

/** The answer that closes what only tells. */
const SEEN = 'seen';

/** How notices are shown; injected, so that tests need no Lab. */
export interface IBoard {
  /** Show a notice, and return what takes it away again. `close` is called when a person closes it. */
  show(text: string, actions: IAction[], close: () => void): () => void;
  /** Tell what went wrong. */
  fail(text: string): void;
}

/** A button. */
export interface IAction {
  label: string;
  callback: () => void;
}

/** Shows what the platform tells the person who looks at the page, and sends their answers. */
export class Notices implements IDisposable {
  constructor(
    private readonly _model: JobsModel,
    private readonly _api: Pick<Api, 'notices' | 'answer'>,
    private readonly _board: IBoard
  ) {
    _model.noticed.connect(this._onNoticed, this);
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  dispose(): void {
    if (!this._disposed) {
      this._disposed = true;
      this._model.noticed.disconnect(this._onNoticed, this);
      this._shown.forEach(take => take());
      this._timers.forEach(timer => clearTimeout(timer));
    }
  }

  private _onNoticed(): void {
    void this._ask();
  }

  /** Read what is told now; two calls at once are one, and a call meanwhile is made up for. */
  private async _ask(): Promise<void> {
    if (this._asking) {
      this._askAgain = true;
      return;
    }
    this._asking = true;
    do {
      this._askAgain = false;
      try {
        this._show(await this._api.notices());
      } catch {
        // Asked again with the next change, and with every reconnection: the sidebar says what is wrong meanwhile.
      }
    } while (this._askAgain && !this._disposed);
    this._asking = false;
  }

  private _show(notices: INotice[]): void {
    if (this._disposed) {
      return;
    }
    const told = new Set(notices.map(notice => notice.id));
    this._shown.forEach((_, id) => {
      if (!told.has(id)) {
        this._take(id);
        this._shown.delete(id);
      }
    });
    notices.filter(notice => !this._shown.has(notice.id)).forEach(notice => this._put(notice));
  }

  private _put(notice: INotice): void {
    const now = Date.now();
    const actions = Object.entries(notice.actions).map(([answer, label]) => ({
      label,
      callback: () => void this._answer(notice.id, answer)
    }));
    const question = actions.length > 0;
    // A question that is closed without an answer comes back with the next page; what only tells is done with.
    const close = (): void => void (question ? undefined : this._answer(notice.id, SEEN));
    this._shown.set(notice.id, this._board.show(localised(notice.sentence, now), actions, close));
    if (notice.expires_at) {
      const left = Math.min(Date.parse(notice.expires_at) - now, LONGEST_TIMER);
      this._timers.set(
        notice.id,
        setTimeout(() => this._take(notice.id), left)
      );
    }
  }

  private async _answer(id: string, answer: string): Promise<void> {
    this._take(id);
    try {
      await this._api.answer(id, answer);
    } catch (error) {
      this._board.fail(messageOf(error));
    }
    // What could not be answered is shown again, as long as it is told.
    this._shown.delete(id);
    await this._ask();
  }

  /** Take a notice away; it stays known, so that an answer under way does not bring it back. */
  private _take(id: string): void {
    this._shown.get(id)?.();
    clearTimeout(this._timers.get(id));
    this._timers.delete(id);
    this._shown.set(id, () => undefined);
  }

  private readonly _shown = new Map<string, () => void>();
  private readonly _timers = new Map<string, ReturnType<typeof setTimeout>>();
  private _asking = false;
  private _askAgain = false;
  private _disposed = false;
}

/** What a browser's timer can wait for. */
const LONGEST_TIMER = 2 ** 31 - 1;
