import type { Api } from '../api';
import { ApiError, messageOf } from '../api';
import { backoff, pause } from '../events/pause';
import { Screen } from './screen';

/** Of a long log the end is shown first. */
export const FIRST_BYTES = 2 * 1024 * 1024;

/** Which log, and whether it still grows. */
export interface ILogSource {
  id: string;
  attempt: number;
  /** The length that is known, to begin near the end. */
  bytes: number;
  fromStart: boolean;
}

/** Reads one attempt's log into a screen, and goes on after a cut where it was. */
export class LogTail {
  readonly screen = new Screen();
  /** Bytes before the first one shown. */
  skipped = 0;
  /** Whether the last byte has arrived. */
  complete = false;
  error = '';

  constructor(
    private readonly _api: Pick<Api, 'log'>,
    private readonly _source: ILogSource,
    private readonly _onChange: () => void
  ) {
    const { fromStart, bytes } = _source;
    this.skipped = fromStart || bytes <= FIRST_BYTES ? 0 : bytes - FIRST_BYTES;
    this._offset = this.skipped;
  }

  /** Read until the end or until the signal aborts; may be called again after that. */
  async follow(signal: AbortSignal): Promise<void> {
    let failures = 0;
    while (!signal.aborted && !this.complete) {
      const before = this._offset;
      try {
        this.complete = !(await this._read(signal));
        this.error = '';
      } catch (error) {
        if (signal.aborted) {
          return;
        }
        this.error = messageOf(error);
        if (error instanceof ApiError && error.status < 500) {
          this._onChange();
          return;
        }
        failures = this._offset > before ? 1 : failures + 1;
      }
      this._onChange();
      if (!this.complete) {
        await pause(backoff(failures), signal);
      }
    }
  }

  /** Read one answer; return whether it ended where some bytes may be left out, and more come. */
  private async _read(signal: AbortSignal): Promise<boolean> {
    const { id, attempt } = this._source;
    const answer = await this._api.log(id, attempt, this._offset, true, signal);
    this.error = '';
    const reader = answer.body?.getReader();
    if (!reader) {
      return false;
    }
    const begin = Number(answer.headers.get('Himalia-Log-Offset') ?? this._offset);
    const jumped = begin > this._offset;
    if (jumped) {
      this.screen.write(leftOut(begin - this._offset));
      this._offset = begin;
    }
    const stop = (): void => void reader.cancel().catch(() => undefined);
    signal.addEventListener('abort', stop);
    try {
      for (let next = await reader.read(); !next.done; next = await reader.read()) {
        if (signal.aborted) {
          // Another reader may already go on from here.
          break;
        }
        this._offset += next.value.length;
        this.screen.write(this._decoder.decode(next.value, { stream: true }));
        this._onChange();
      }
    } finally {
      signal.removeEventListener('abort', stop);
    }
    if (signal.aborted) {
      throw new DOMException('The log is not shown any more.', 'AbortError');
    }
    const gap = answer.headers.get('Himalia-Log-Gap') === String(this._offset);
    const again = (gap && this._ended !== this._offset) || (jumped && this._offset === begin);
    this._ended = this._offset;
    return again;
  }

  private _ended = -1;

  private _offset: number;
  /** Bytes that are no UTF-8 become a mark; a letter that was cut in two waits for its rest. */
  private readonly _decoder = new TextDecoder('utf-8', { fatal: false });
}

/** The line that stands for bytes that a log leaves out. */
function leftOut(bytes: number): string {
  return `\nhimalia: ${bytes.toLocaleString('en')} bytes are left out here: the log is longer than its limit\n`;
}
