import { afterEach, expect, test } from 'vitest';

import { SharedEvents } from '../src/events/shared';
import type { StreamState } from '../src/events/stream';
import type { EventKind, IEvent } from '../src/words';
import { until } from './fakes';

/** One browser: a lock that one tab holds, and channels that reach the others. */
class FakeBrowser {
  private _holder: Promise<unknown> = Promise.resolve();
  private readonly _channels: FakeChannel[] = [];

  readonly locks = {
    request: (_: string, options: { signal: AbortSignal }, act: () => Promise<void>) => {
      const turn = this._holder.then(() => (options.signal.aborted ? undefined : act()));
      this._holder = turn.catch(() => undefined);
      return turn;
    }
  } as unknown as Pick<LockManager, 'request'>;

  channel = (): BroadcastChannel => {
    const channel = new FakeChannel(this._channels);
    this._channels.push(channel);
    return channel as unknown as BroadcastChannel;
  };
}

class FakeChannel {
  onmessage: ((message: { data: unknown }) => void) | null = null;

  constructor(private readonly _all: FakeChannel[]) {}

  postMessage(data: unknown): void {
    this._all.filter(other => other !== this).forEach(other => other.onmessage?.({ data }));
  }

  close(): void {
    this.onmessage = null;
  }
}

/** A service that counts its streams and sends what it is told. */
class FakeService {
  open = 0;
  readonly resumedFrom: (number | null)[] = [];
  private _send: ((text: string) => void) | null = null;

  events(lastSeq: number | null, signal: AbortSignal): Promise<Response> {
    this.open += 1;
    this.resumedFrom.push(lastSeq);
    const stream = new ReadableStream<Uint8Array>({
      start: control => {
        this._send = text => control.enqueue(new TextEncoder().encode(text));
        signal.addEventListener('abort', () => {
          this.open -= 1;
          control.error(new DOMException('aborted', 'AbortError'));
        });
      }
    });
    return Promise.resolve(new Response(stream));
  }

  send(seq: number, kind: EventKind = 'job_deleted'): void {
    const event = { seq, at: '', kind, job_id: null, job: null };
    this._send?.(`id: ${seq}\nevent: ${kind}\ndata: ${JSON.stringify(event)}\n\n`);
  }
}

class Tab {
  readonly seen: number[] = [];
  readonly states: StreamState[] = [];
  readonly events: SharedEvents;

  constructor(service: FakeService, browser: FakeBrowser) {
    const sink = {
      onEvent: (event: IEvent) => this.seen.push(event.seq),
      onState: (state: StreamState) => this.states.push(state)
    };
    this.events = new SharedEvents(service, sink, 'alice', browser);
    tabs.push(this);
  }
}

let tabs: Tab[] = [];

afterEach(() => {
  tabs.forEach(tab => tab.events.dispose());
  tabs = [];
});

test('all tabs of a browser share one stream', async () => {
  const service = new FakeService();
  const browser = new FakeBrowser();
  const [first, second] = [new Tab(service, browser), new Tab(service, browser)];
  await until(() => first.states.includes('live'));

  service.send(1);
  await until(() => first.seen.length === 1 && second.seen.length === 1);

  expect(service.open).toBe(1);
  expect(second.states).toContain('live');
});

test('when the tab that streams is closed another one goes on after the last event', async () => {
  const service = new FakeService();
  const browser = new FakeBrowser();
  const [first, second] = [new Tab(service, browser), new Tab(service, browser)];
  await until(() => service.open === 1);
  service.send(41);
  await until(() => second.seen.length === 1);

  first.events.dispose();
  await until(() => service.resumedFrom.length === 2);
  service.send(42);
  await until(() => second.seen.length === 2);

  expect(service.resumedFrom).toEqual([null, 41]);
  expect(second.seen).toEqual([41, 42]);
});

test('an event that arrives twice is taken once', async () => {
  const service = new FakeService();
  const tab = new Tab(service, new FakeBrowser());
  await until(() => service.open === 1);

  service.send(7);
  service.send(7);
  service.send(8);
  await until(() => tab.seen.includes(8));

  expect(tab.seen).toEqual([7, 8]);
});

test('a move in line, which has no number of its own, is taken under the last one', async () => {
  const service = new FakeService();
  const tab = new Tab(service, new FakeBrowser());
  await until(() => service.open === 1);

  service.send(7);
  service.send(7, 'ledger');
  service.send(6, 'ledger');
  service.send(8);
  await until(() => tab.seen.includes(8));

  expect(tab.seen).toEqual([7, 7, 8]);
});
