import { nullTranslator } from '@jupyterlab/translation';
import { expect, test } from 'vitest';

import { holdersToAsk } from '../src/components/AskHolders';
import { timeLeft } from '../src/server';
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
