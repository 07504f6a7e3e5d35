import { expect, test } from 'vitest';

import { ahead } from '../src/components/Planned';
import { formatMoment } from '../src/format';
import type { IPlanned } from '../src/words';

const NOW = Date.parse('2030-01-10T12:00:00Z');
const DRIVER: IPlanned = {
  kind: 'maintenance',
  text: 'New driver from 2030-01-10T17:00Z to 2030-01-10T19:00Z.',
  start: '2030-01-10T17:00:00Z',
  end: '2030-01-10T19:00:00Z'
};

test('what is planned is told in the time of who reads it', () => {
  const [start, end] = [DRIVER.start, DRIVER.end].map(moment => formatMoment(moment, NOW));

  expect(ahead([DRIVER], NOW).map(one => one.text)).toEqual([
    `New driver from ${start} to ${end}.`
  ]);
});

test('what is under way is told, and what is over is not', () => {
  expect(ahead([DRIVER], Date.parse(DRIVER.end) - 1)).toHaveLength(1);
  expect(ahead([DRIVER], Date.parse(DRIVER.end))).toEqual([]);
});
