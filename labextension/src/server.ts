import type { TranslationBundle } from '@jupyterlab/translation';
import type { IDisposable } from '@lumino/disposable';
import type { ISignal } from '@lumino/signaling';

import type { Api } from './api';
import { formatDeadline, formatDuration } from './format';
import type { IServer } from './words';

/** Idleness that is worth showing. */
const SHOWN_SECONDS = 300;
/** How often it is asked: what is shown is minutes. */
const ASK_MILLISECONDS = 60_000;

/** Return what the status bar says of a server: how long its GPU has been idle, and when it ends. */
export function timeLeft(server: IServer, now: number, trans: TranslationBundle): string {
  const parts: string[] = [];
  if (server.gpus > 0 && server.idle_seconds >= SHOWN_SECONDS) {
    parts.push(trans.__('GPU idle for %1', formatDuration(server.idle_seconds)));
  }
  if (server.ends_at) {
    parts.push(trans.__('Server ends %1', formatDeadline(server.ends_at, now)));
  }
  return parts.join(' · ');
}

/** What is watched: the person's servers, and when what is told of them changes. */
export interface IServers {
  readonly api: Pick<Api, 'servers'>;
  readonly noticed: ISignal<unknown, void>;
}

/** Tells how long this server has, from time to time and with every notice, until it is disposed of. */
export class TimeLeft implements IDisposable {
  constructor(
    private readonly _servers: IServers,
    private readonly _isMine: (server: IServer) => boolean,
    private readonly _show: (text: string) => void,
    private readonly _trans: TranslationBundle
  ) {
    _servers.noticed.connect(this._ask, this);
    this._timer = setInterval(() => this._ask(), ASK_MILLISECONDS);
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  dispose(): void {
    this._disposed = true;
    clearInterval(this._timer);
    this._servers.noticed.disconnect(this._ask, this);
  }

  private _ask(): void {
    if (globalThis.document?.hidden) {
      return; // nobody reads it
    }
    this._servers.api.servers().then(
      servers => {
        const mine = servers.find(this._isMine);
        if (!this._disposed) {
          this._show(mine ? timeLeft(mine, Date.now(), this._trans) : '');
        }
      },
      () => undefined // the sidebar says what is wrong
    );
  }

  private readonly _timer: ReturnType<typeof setInterval>;
  private _disposed = false;
}
