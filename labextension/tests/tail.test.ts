import { expect, test } from 'vitest';

import { ApiError } from '../src/api';
import { FIRST_BYTES, LogTail } from '../src/log/tail';

const BYTES = new TextEncoder().encode('first line\nsecond: ü\nthird\n');

/** A log whose connection is cut after some bytes, as often as told. */
class CutLog {
  readonly offsets: number[] = [];

  constructor(private readonly _cuts: number[]) {}

  log(_: string, __: number, offset: number): Promise<Response> {
    this.offsets.push(offset);
    const length = this._cuts.shift();
    const stream = new ReadableStream<Uint8Array>({
      start: control => {
        control.enqueue(BYTES.slice(offset, length === undefined ? undefined : offset + length));
        if (length === undefined) {
          control.close();
        }
      },
      pull: control => {
        control.error(new TypeError('cut'));
      }
    });
    return Promise.resolve(new Response(stream));
  }
}

function tailOf(log: CutLog, bytes = 0): LogTail {
  return new LogTail(log, { id: 'a', attempt: 1, bytes, fromStart: false }, () => undefined);
}

test('after a cut the log goes on where it was, in the middle of a letter too', async () => {
  const source = new CutLog([20]);
  const tail = tailOf(source);

  await tail.follow(new AbortController().signal);

  expect(source.offsets).toEqual([0, 20]);
  expect(tail.screen.lines.map(line => line.text)).toEqual([
    'first line',
    'second: ü',
    'third',
    ''
  ]);
  expect(tail.complete).toBe(true);
});

test('for what a log leaves out there is a line, and it goes on behind it', async () => {
  const answers = [
    { offset: 0, text: 'first\n' },
    { offset: 1006, text: 'last\n' }
  ];
  const asked: number[] = [];
  const source = {
    log: (_: string, __: number, offset: number) => {
      asked.push(offset);
      const { offset: begin, text } = answers.shift()!;
      const headers = { 'Himalia-Log-Offset': `${begin}`, 'Himalia-Log-Gap': '6' };
      return Promise.resolve(new Response(text, { headers }));
    }
  };
  const tail = new LogTail(
    source,
    { id: 'a', attempt: 1, bytes: 0, fromStart: true },
    () => undefined
  );

  await tail.follow(new AbortController().signal);

  expect(asked).toEqual([0, 6]);
  expect(tail.screen.lines.map(line => line.text)).toEqual([
    'first',
    '',
    'himalia: 1,000 bytes are left out here: the log is longer than its limit',
    'last',
    ''
  ]);
});

test('of a long log the end is read first', () => {
  const tail = tailOf(new CutLog([]), FIRST_BYTES + 1000);

  expect(tail.skipped).toBe(1000);
});

test('a log that is not there says so, and is not asked for again', async () => {
  const refusing = {
    log: () => Promise.reject(new ApiError(404, 'not_found', 'There is no such attempt.'))
  };
  const source = { id: 'a', attempt: 1, bytes: 0, fromStart: true };
  const tail = new LogTail(refusing, source, () => undefined);

  await tail.follow(new AbortController().signal);

  expect(tail.error).toBe('There is no such attempt.');
});

test('nothing is read once nobody looks', async () => {
  const source = new CutLog([]);
  const ended = new AbortController();
  ended.abort();

  await tailOf(source).follow(ended.signal);

  expect(source.offsets).toEqual([]);
});
