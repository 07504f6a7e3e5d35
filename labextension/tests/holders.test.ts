import { nullTranslator } from '@jupyterlab/translation';
import { Signal } from '@lumino/signaling';
import { afterEach, expect, test, vi } from 'vitest';

import { holdersToAsk } from '../src/components/AskHolders';
import { TimeLeft, timeLeft } from '../src/server';
import type { IServer, IWaitingFor } from '../src/words';
import { job } from './fakes';

const trans = nullTranslator.load('himalia');
const NOW = Date.parse('2030-01-01T12:00:00Z');

function held(change: Partial<IWaitingFor> = {}): IWaitingFor {
  return { uuid: 'GPU-1', index: 1, holder: "bob's notebook", user: 'bob', ...change };
}

test('who waits may ask the others who hold what would do, and not themselves', () => {
  const mine = held({ uuid: 'GPU-0', user: 'alice' });
  const nobodys = held({ uuid: '' });
  const strangers = held({ uuid: 'GPU-2', user: null });

  const waiting = job({ waiting_for: [mine, held(), nobodys, strangers] });

  expect(holdersToAsk(waiting, 'alice').map(one => one.uuid)).toEqual(['GPU-1', 'GPU-2']);
});

test("nobody asks for a job that runs, or for somebody else's", () => {
  const waiting = job({ waiting_for: [held()] });

  expect(holdersToAsk({ ...waiting, state: 'running' }, 'alice')).toEqual([]);
  expect(holdersToAsk(waiting, 'bob')).toEqual([]);
  expect(holdersToAsk(job(), 'alice')).toEqual([]);
});

function server(change: Partial<IServer> = {}): IServer {
  return { user: 'alice', server: '', gpus: 1, idle_seconds: 0, ends_at: null, ...change };
}

test('the status bar says how long a GPU has been idle, once it is worth it', () => {
  expect(timeLeft(server({ idle_seconds: 299 }), NOW, trans)).toBe('');
  expect(timeLeft(server({ idle_seconds: 2400 }), NOW, trans)).toBe('GPU idle for 40 min');
  expect(timeLeft(server({ idle_seconds: 2400, gpus: 0 }), NOW, trans)).toBe('');
});

test('the status bar says when a server ends', () => {
  const ends = timeLeft(server({ ends_at: '2030-01-01T13:00:00Z', idle_seconds: 600 }), NOW, trans);

  expect(ends).toMatch(/^GPU idle for 10 min · Server ends .*\d\d/);
});

afterEach(() => vi.useRealTimers());

test('the status bar asks every minute and with every notice, and no more once it is gone', async () => {
  vi.useFakeTimers();
  const shown: string[] = [];
  const servers = vi.fn(() => Promise.resolve([server({ idle_seconds: 600 })]));
  const noticed = new Signal<object, void>({});
  const left = new TimeLeft(
    { api: { servers }, noticed },
    () => true,
    text => shown.push(text),
    trans
  );

  await vi.advanceTimersByTimeAsync(60_000);
  noticed.emit();
  await vi.advanceTimersByTimeAsync(0);
  expect(shown).toEqual(['GPU idle for 10 min', 'GPU idle for 10 min']);

  left.dispose();
  noticed.emit();
  await vi.advanceTimersByTimeAsync(120_000);
  expect(servers).toHaveBeenCalledTimes(2);
});
