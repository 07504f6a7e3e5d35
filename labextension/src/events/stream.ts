import type { Api } from '../api';
import type { IEvent } from '../words';
import { backoff, pause } from './pause';
import { SseParser } from './sse';

/**
 * The service sends a sign of life every 15 s; without one for this long the connection is dead. Nothing else tells:
 * the hub's proxy leaves a stream open when the service behind it dies.
 */
const SILENCE_MILLISECONDS = 20_000;

/** How many tries in a row may fail before somebody should poll instead. */
const FAILURES_BEFORE_POLLING = 2;

/** Who wants to know what comes. */
export interface IEventSink {
  onEvent(event: IEvent): void;
  /** `live`: every change arrives by itself; `cut`: for a moment they do not; `broken`: ask from time to time. */
  onState(state: StreamState): void;
}

export type StreamState = 'live' | 'cut' | 'broken';

/** Follow the events until the signal aborts, connecting again from the last one seen. */
export async function followEvents(
  api: Pick<Api, 'events'>,
  sink: IEventSink,
  lastSeq: () => number | null,
  signal: AbortSignal
): Promise<void> {
  let failures = 0;
  while (!signal.aborted) {
    const connected = await readOnce(api, sink, lastSeq(), signal);
    failures = connected ? 1 : failures + 1;
    if (signal.aborted) {
      return;
    }
    sink.onState(failures >= FAILURES_BEFORE_POLLING ? 'broken' : 'cut');
    await pause(backoff(failures), signal);
  }
}

/** Read one connection to its end; return whether it came to be. */
async function readOnce(
  api: Pick<Api, 'events'>,
  sink: IEventSink,
  lastSeq: number | null,
  outer: AbortSignal
): Promise<boolean> {
  const connection = new AbortController();
  const abort = (): void => connection.abort();
  outer.addEventListener('abort', abort);
  let watchdog = setTimeout(abort, SILENCE_MILLISECONDS);
  let connected = false;
  try {
    const answer = await api.events(lastSeq, connection.signal);
    connected = true;
    sink.onState('live');
    const parser = new SseParser();
    for await (const text of textOf(answer)) {
      clearTimeout(watchdog);
      watchdog = setTimeout(abort, SILENCE_MILLISECONDS);
      parser.feed(text).forEach(message => sink.onEvent(JSON.parse(message.data) as IEvent));
    }
  } catch {
    // Cut, refused or silent: the caller tries again, and tells when that goes on.
  } finally {
    clearTimeout(watchdog);
    outer.removeEventListener('abort', abort);
  }
  return connected;
}

/** Yield the text of an answer as it arrives. */
export async function* textOf(answer: Response): AsyncGenerator<string> {
  const reader = answer.body?.getReader();
  const decoder = new TextDecoder();
  try {
    while (reader) {
      const { done, value } = await reader.read();
      if (done) {
        return;
      }
      yield decoder.decode(value, { stream: true });
    }
  } finally {
    // Not waited for: a connection that is already cut would keep us here.
    void reader?.cancel().catch(() => undefined);
  }
}
