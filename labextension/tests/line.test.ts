import { expect, test } from 'vitest';

import { ownLine, placeFor } from '../src/line';
import type { IJobSummary } from '../src/words';
import { fakeApi, job } from './fakes';

const [A, B, C] = ['aaaaaaaaaaaa', 'bbbbbbbbbbbb', 'cccccccccccc'];

function waiting(id: string, position: number | null, change: object = {}): IJobSummary {
  return job({ id, position, ...change });
}

const LINE = ownLine([waiting(C, 7), waiting(A, 1), waiting(B, 4)], 'alice');

test("one's own line is what waits and is one's own, in line; who has no place yet is last", () => {
  const fresh = waiting('dddddddddddd', null);
  const bobs = waiting('eeeeeeeeeeee', 2, { user: 'bob' });
  const runs = waiting('ffffffffffff', null, { state: 'running' });

  const line = ownLine([fresh, runs, ...LINE, bobs], 'alice');

  expect(line.map(one => one.id)).toEqual([A, B, C, fresh.id]);
});

test('a job moves before the one that is before it, and behind the one that comes next', () => {
  expect(placeFor(LINE, C, 'up')).toEqual({ before: B });
  expect(placeFor(LINE, A, 'down')).toEqual({ before: C });
  expect(placeFor(LINE, B, 'down')).toEqual({ last: true });
  expect(placeFor(LINE, C, 'first')).toEqual({ first: true });
});

test('a job that is there already, or waits no more, does not move', () => {
  expect(placeFor(LINE, A, 'up')).toBeNull();
  expect(placeFor(LINE, A, 'first')).toBeNull();
  expect(placeFor(LINE, C, 'down')).toBeNull();
  expect(placeFor(LINE, 'gggggggggggg', 'first')).toBeNull();
});

test('the service is asked for the place', async () => {
  const { api, connection } = fakeApi({ [`jobs/${C}/move`]: job({ id: C, position: 4 }) });

  const moved = await api.move(C, { before: B });

  expect(moved.position).toBe(4);
  expect(connection.bodyOf(`jobs/${C}/move`)).toEqual({ before: B });
});
