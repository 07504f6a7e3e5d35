import { expect, test } from 'vitest';

import {
  exactSize,
  formatDeadline,
  formatDuration,
  formatMoment,
  formatSecond,
  formatSize,
  localised,
  visible
} from '../src/format';

test('sizes read as the command line writes them', () => {
  expect([0, 1023, 1024, 3435973836, 123 * 1024 ** 2].map(formatSize)).toEqual([
    '0 bytes',
    '1023 bytes',
    '1.0 KB',
    '3.2 GB',
    '123 MB'
  ]);
});

test('a size goes to the command line to the byte', () => {
  expect([8 * 1024 ** 3, 1536 * 1024 ** 2, 1024, 1000, 2 ** 30 + 1].map(exactSize)).toEqual([
    '8G',
    '1536M',
    '1K',
    '1000',
    '1073741825'
  ]);
});

test('a name that turns its letters round, or has none to see, is written out', () => {
  expect(visible('gpj.\u202eexe\n\x1b')).toBe('gpj.\\u202eexe\\u000a\\u001b');
  expect(visible('größe 大きさ <img onerror=alert(1)> 😀')).toBe(
    'größe 大きさ <img onerror=alert(1)> 😀'
  );
});

test('durations read as the command line writes them', () => {
  expect([-3, 42.9, 180, 9600, 7200, 273600].map(formatDuration)).toEqual([
    '0 s',
    '42 s',
    '3 min',
    '2 h 40 min',
    '2 h',
    '3 d 4 h'
  ]);
});

test('stamps inside a sentence are read in the own zone', () => {
  const now = Date.parse('2030-01-01T12:00Z');

  const said = localised('GPU 0 (in use, ends before 2030-01-03T08:50Z).', now);

  expect(said).toBe(`GPU 0 (in use, ends before ${formatMoment('2030-01-03T08:50Z', now)}).`);
});

test('a stamp to the second is read to the second', () => {
  const now = Date.parse('2030-01-01T12:00Z');
  const [today, later] = ['2030-01-01T12:00:05Z', '2030-01-03T12:00:05Z'];

  const said = localised(`At ${today}, or ${later}.`, now);

  expect(said).toBe(`At ${formatSecond(today, now)}, or ${formatSecond(later, now)}.`);
  expect(formatSecond(today, now)).toMatch(/:05/);
});

test('a deadline is never told earlier than it is, as in the sentences of the service', () => {
  const now = Date.parse('2030-01-03T08:00:00Z');

  expect(formatDeadline('2030-01-03T08:50:00.001Z', now)).toBe(
    formatMoment('2030-01-03T08:51Z', now)
  );
  expect(formatDeadline('2030-01-03T08:50:00Z', now)).toBe(formatMoment('2030-01-03T08:50Z', now));
});
