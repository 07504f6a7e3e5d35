import type { Api } from '../api';
import type { IEvent } from '../words';
import type { IEventSink, StreamState } from './stream';
import { followEvents } from './stream';

/** A tab that hears nothing from the one that streams for this long asks by itself. */
const SILENCE_MILLISECONDS = 60_000;
const SIGN_OF_LIFE_MILLISECONDS = 15_000;

type Message = { kind: 'event'; event: IEvent } | { kind: 'state'; state: StreamState };

/** What a browser may lack: without locks (a page without TLS) each visible tab streams for itself. */
export interface ISharing {
  locks: Pick<LockManager, 'request'> | undefined;
  channel(name: string): BroadcastChannel;
}

/** One stream of events for all tabs of a browser: one tab reads, and tells the others. */
export class SharedEvents {
  constructor(
    private readonly _api: Pick<Api, 'events'>,
    private readonly _sink: IEventSink,
    name: string,
    private readonly _sharing: ISharing = browserSharing()
  ) {
    this._name = `himalia-events:${name}`;
    this._channel = _sharing.channel(this._name);
    this._channel.onmessage = message => this._hear(message.data as Message);
    this._restartSilence();
    void this._lead();
  }

  dispose(): void {
    this._ended.abort();
    clearTimeout(this._silence);
    this._channel.close();
  }

  private async _lead(): Promise<void> {
    const { locks } = this._sharing;
    if (!locks) {
      return this._streamWhileVisible();
    }
    try {
      // Whoever holds the lock streams; it passes on when that tab is closed.
      await locks.request(this._name, { signal: this._ended.signal }, () =>
        this._stream(this._ended.signal)
      );
    } catch (error) {
      if (!this._ended.signal.aborted) {
        throw error;
      }
    }
  }

  private async _stream(signal: AbortSignal): Promise<void> {
    clearTimeout(this._silence);
    let state: StreamState = 'broken';
    const tell = (message: Message): void => {
      if (!this._ended.signal.aborted) {
        this._channel.postMessage(message);
      }
    };
    const life = setInterval(() => tell({ kind: 'state', state }), SIGN_OF_LIFE_MILLISECONDS);
    const sink: IEventSink = {
      onEvent: event => {
        this._take(event);
        tell({ kind: 'event', event });
      },
      onState: next => {
        state = next;
        this._sink.onState(next);
        tell({ kind: 'state', state });
      }
    };
    await followEvents(this._api, sink, () => this._lastSeq, signal);
    clearInterval(life);
  }

  private async _streamWhileVisible(): Promise<void> {
    // A browser has six connections to an origin: a tab that nobody sees must not hold one.
    while (true) {
      await untilVisible(this._ended.signal);
      if (this._ended.signal.aborted) {
        return;
      }
      const shown = new AbortController();
      const hide = (): void => {
        if (document.hidden) {
          shown.abort();
        }
      };
      const end = (): void => shown.abort();
      document.addEventListener('visibilitychange', hide);
      this._ended.signal.addEventListener('abort', end);
      await this._stream(shown.signal);
      document.removeEventListener('visibilitychange', hide);
      this._ended.signal.removeEventListener('abort', end);
    }
  }

  private _hear(message: Message): void {
    this._restartSilence();
    if (message.kind === 'event') {
      this._take(message.event);
    } else {
      this._sink.onState(message.state);
    }
  }

  private _take(event: IEvent): void {
    const known = this._lastSeq !== null && event.seq <= this._lastSeq;
    // A move in line is told under the last event's number: the database has none of its own for it.
    const moved = event.kind === 'ledger' && event.seq === this._lastSeq;
    if (known && !moved && event.kind !== 'resync') {
      return;
    }
    this._lastSeq = event.seq;
    this._sink.onEvent(event);
  }

  private _restartSilence(): void {
    clearTimeout(this._silence);
    this._silence = setTimeout(() => this._sink.onState('broken'), SILENCE_MILLISECONDS);
  }

  private readonly _name: string;
  private readonly _channel: BroadcastChannel;
  private readonly _ended = new AbortController();
  private _silence: ReturnType<typeof setTimeout> | undefined;
  private _lastSeq: number | null = null;
}

function browserSharing(): ISharing {
  return { locks: navigator.locks, channel: name => new BroadcastChannel(name) };
}

/** Wait until the page is seen. */
function untilVisible(signal: AbortSignal): Promise<void> {
  return new Promise(resolve => {
    const check = (): void => {
      if (!document.hidden || signal.aborted) {
        document.removeEventListener('visibilitychange', check);
        signal.removeEventListener('abort', check);
        resolve();
      }
    };
    document.addEventListener('visibilitychange', check);
    signal.addEventListener('abort', check);
    check();
  });
}
