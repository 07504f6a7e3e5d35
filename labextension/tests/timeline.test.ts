import { nullTranslator } from '@jupyterlab/translation';
import { expect, test } from 'vitest';

import { tookOf } from '../src/components/Timeline';
import { againIn, expected } from '../src/components/why';
import { formatDeadline } from '../src/format';
import { timeline } from '../src/job/timeline';
import type { IAttempt } from '../src/words';
import { job } from './fakes';

const trans = nullTranslator.load('himalia');
const START = Date.parse('2030-01-01T12:00:00Z');

function after(seconds: number): string {
  return new Date(START + seconds * 1000).toISOString();
}

function ran(number: number, began: number, ended: number, change: Partial<IAttempt>): IAttempt {
  return {
    id: `aaaaaaaaaaaa.${number}`,
    number,
    node_id: 'local',
    slots: [],
    created_at: after(began - 1),
    started_at: after(began),
    finished_at: after(ended),
    exit_code: null,
    signal: null,
    oom: false,
    reason: 'exited',
    log_bytes: 0,
    ...change
  };
}

test('a job that was tried again is told from submit to end, as `himalia show` tells it', () => {
  const first = ran(1, 4, 10, { exit_code: 75 });
  const second = ran(2, 21, 81, { reason: 'timed_out', warned_at: after(76) });
  const done = { state: 'failed', reason: 'timed_out', finished_at: after(82) } as const;

  const told = timeline(job({ created_at: after(0), ...done, attempts: [first, second] }), trans);

  expect(told.map(({ what, seconds }) => [what, seconds])).toEqual([
    ['submitted by alice; in line', 3],
    ['attempt 1 is being started', 1],
    ['attempt 1 runs', 6],
    ['attempt 1 ended with exit code 75; until the next', 10],
    ['attempt 2 is being started', 1],
    ['attempt 2 runs', 55],
    ['attempt 2 is warned of its time limit', 5],
    ['attempt 2 ended (timed out); what it left is collected', 1],
    ['failed', null]
  ]);
});

test.each([
  [{ reason: 'out_of_memory' }, 'attempt 1 ended out of memory'],
  [{ reason: 'killed_by_signal', signal: 11 }, 'attempt 1 was ended by signal 11'],
  [{ reason: 'waits_for_engine', started_at: null }, 'attempt 1 was not begun'],
  [{ reason: 'preempted' }, 'attempt 1 ended (preempted)'],
  [{ reason: null }, 'attempt 1 ended (over)'],
  [
    { reason: 'succeeded_with_child_oom' },
    'attempt 1 ended with exit code 0, and a process of it was killed for want of memory'
  ]
])('an attempt that ended so is told: %o', (change, said) => {
  const told = timeline(job({ attempts: [ran(1, 1, 2, change)] }), trans);

  expect(told.at(-1)?.what).toBe(said);
});

test('a job that pauses says when it stands in line again, and how soon that is', () => {
  const paused = job({ attempts: [ran(1, 1, 2, { exit_code: 1 })], retry_at: after(12) });
  const last = timeline(paused, trans).at(-1)!;

  expect(last).toEqual({ at: after(12), what: 'in line again', seconds: null });
  expect(tookOf(last, START + 5000, trans)).toBe('in 7 s');
  expect(againIn(paused, START + 4500, trans)).toBe('tries again in 8 s');
  expect(againIn(paused, START + 12_000, trans)).toBe('tries again now');
  expect(againIn(job({ state: 'running', retry_at: after(12) }), START, trans)).toBe('');
});

test('who ended a job that was cancelled is told', () => {
  const cancelled = { state: 'cancelled', reason: 'cancelled', cancelled_by: 'bob' } as const;

  const told = timeline(job({ ...cancelled, finished_at: after(3) }), trans);

  expect(told.at(-1)?.what).toBe('cancelled by bob');
});

test('what goes on says how long it takes so far; what is over says no more', () => {
  const last = timeline(job({ created_at: after(0) }), trans)[0];

  expect(tookOf(last, START + 90_000, trans)).toBe('1 min so far');
  expect(tookOf(last, null, trans)).toBe('');
});

test('who waits reads when it should start, never earlier than now', () => {
  const waiting = job({ estimate_at: after(600), sure: 'likely' });

  const said = (minute: string): string =>
    `It should start about ${formatDeadline(minute, START)}.`;
  expect(expected(waiting, START, trans)).toBe(said(after(600)));
  expect(expected(waiting, START + 1_200_000, trans)).toBe(said(after(1200)));
  expect(expected(job({ ...waiting, state: 'running' }), START, trans)).toBe('');
  expect(expected(job(), START, trans)).toBe('');
});
