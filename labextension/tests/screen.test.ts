import { expect, test } from 'vitest';

import { MOST_COLUMNS } from '../src/log/line';
import { MOST_LINES, Screen } from '../src/log/screen';

function shown(...pieces: string[]): string[] {
  const screen = new Screen();
  pieces.forEach(piece => screen.write(piece));
  return screen.lines.map(line => line.text);
}

test('a progress bar that returns writes over itself', () => {
  expect(shown('10%|#    |\r50%|###  |\r99%', '\ndone\n')).toEqual(['99%|###  |', 'done', '']);
});

test('a line that is erased before it is written again leaves nothing behind', () => {
  expect(shown('a long line\r\x1b[Kshort')).toEqual(['short']);
  expect(shown('a long line\x1b[2K\rnew')).toEqual(['new']);
});

test('nested bars go up and write over earlier lines', () => {
  expect(shown('outer 0\ninner 0', '\x1b[A\router 1\n', '\rinner 9')).toEqual([
    'outer 1',
    'inner 9'
  ]);
});

test('colours survive a cut in the middle of a sequence', () => {
  const screen = new Screen();
  screen.write('plain \x1b[1;3');
  screen.write('1mred\x1b[0m plain');

  expect(screen.lines[0].spans).toEqual([
    { text: 'plain ', style: {} },
    { text: 'red', style: { bold: true, foreground: 1 } },
    { text: ' plain', style: {} }
  ]);
});

test('256 colours and true colours become colours', () => {
  const screen = new Screen();
  screen.write('\x1b[38;5;208ma\x1b[38;2;1;2;3mb\x1b[48;5;9mc');

  expect(screen.lines[0].spans.map(span => span.style)).toEqual([
    { foreground: 'rgb(255, 135, 0)' },
    { foreground: 'rgb(1, 2, 3)' },
    { foreground: 'rgb(1, 2, 3)', background: 9 }
  ]);
});

test('titles, links and unknown sequences are not shown', () => {
  expect(shown('\x1b]0;title\x07a\x1b]8;;http://x\x1b\\b\x1b[?25lc\x1b(Bd\x07\0e')).toEqual([
    'abcde'
  ]);
});

test('an escape that is never finished does not swallow the log', () => {
  const lines = shown('\x1b]0;never ends', '\nnext line\n');

  expect(lines).toContain('next line');
});

test('markup stays text', () => {
  expect(shown('<img src=x onerror=alert(1)>')).toEqual(['<img src=x onerror=alert(1)>']);
});

test('a line without end is cut, and the next one is whole', () => {
  const screen = new Screen();
  for (let piece = 0; piece < 100; piece += 1) {
    screen.write('x'.repeat(10_000));
  }
  screen.write('\nnext');

  expect(screen.lines[0].length).toBe(MOST_COLUMNS);
  expect(screen.lines[0].cut).toBe(true);
  expect(screen.lines[1].text).toBe('next');
});

test('old lines are dropped, and counted', () => {
  const screen = new Screen();
  for (let line = 0; line < MOST_LINES + 5000; line += 1) {
    screen.write(`${line}\n`);
  }

  expect(screen.lines.length).toBeLessThanOrEqual(MOST_LINES + 1000);
  expect(screen.lines[0].text).toBe(String(screen.dropped));
});

test('a tab moves to the next stop', () => {
  expect(shown('ab\tc')).toEqual(['ab      c']);
});
