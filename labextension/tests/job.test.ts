import { expect, test } from 'vitest';

import { errorOf } from '../src/api';
import { cliLine } from '../src/job/cli';
import { readNotebook } from '../src/job/notebook';
import { imageType, prettyJson, previewKind } from '../src/job/preview';
import { commandLine } from '../src/submit/command';
import { directoryOf, isBelow } from '../src/submit/paths';
import { job } from './fakes';

test('a command reads back as it was typed', () => {
  expect(commandLine(['sh', '-c', 'a && b'])).toBe('a && b');
  expect(commandLine(['python', 'a b.py', "it's"])).toBe(`python 'a b.py' 'it'\\''s'`);
});

test('the command line of a job submits the same', () => {
  const line = cliLine(job({ command: ['python', 'train.py'], timeout_seconds: 9000 }));

  expect(line).toBe(
    'himalia submit --project digits --profile small --gpu 0 --cpus 1 --memory 2G --timeout 2h30m -- python train.py'
  );
});

test('the command line asks for the same GPUs, and gives way as well', () => {
  const line = cliLine(job({ gpus: 'A100,H100', preemptible: true }));

  expect(line).toContain('--gpu A100,H100 --cpus 1 --memory 2G --preemptible');
});

test('the command line asks for as much of the disk', () => {
  expect(cliLine(job({ disk_bytes: 2 ** 30 }))).toContain('--disk 1G');
  expect(cliLine(job())).not.toContain('--disk');
});

test('the command line warns as early, and tries again as often and for the same causes', () => {
  const line = cliLine(job({ warn_seconds: 300, retries: 3, retry_on: 'exit:75,lost' }));

  expect(line).toContain('--warn 300 --retries 3 --retry-on exit:75,lost');
});

test('the command line has the same variables', () => {
  expect(cliLine(job({ env: { A: '1', B: "it's" } }))).toContain("--env A=1 --env 'B=it'\\''s'");
});

test('the command line of a notebook keeps the types of its parameters', () => {
  const notebook = { path: 'train.ipynb', parameters: { lr: 0.1, name: '1' } };

  expect(cliLine(job({ notebook }))).toContain(
    `--notebook train.ipynb --param lr=0.1 --param 'name="1"'`
  );
});

test('what a file is shown as depends on its name and size alone', () => {
  expect(previewKind('plots/Confusion.PNG', 1000)).toBe('image');
  expect(previewKind('train.ipynb', 1000)).toBe('notebook');
  expect(previewKind('model.joblib', 10)).toBe('none');
  expect(previewKind('big.csv', 10 ** 9)).toBe('none');
  expect(imageType('a.svg')).toBe('image/svg+xml');
});

test('JSON gets indents, and what is none stays as it is', () => {
  expect(prettyJson('{"a":1}')).toBe('{\n  "a": 1\n}');
  expect(prettyJson('{broken')).toBe('{broken');
});

test('a notebook shows its cells with text, errors and pictures', () => {
  const text = JSON.stringify({
    cells: [
      { cell_type: 'markdown', source: ['# A\n', 'b'] },
      {
        cell_type: 'code',
        source: '1/0',
        outputs: [
          { output_type: 'stream', text: ['out'] },
          { output_type: 'error', traceback: ['no'] },
          { output_type: 'display_data', data: { 'image/png': 'QUJD\n' } }
        ]
      }
    ]
  });

  const [first, second] = readNotebook(text);

  expect(first.source).toBe('# A\nb');
  expect(second.outputs).toEqual([
    { kind: 'text', text: 'out' },
    { kind: 'error', text: 'no' },
    { kind: 'image', url: 'data:image/png;base64,QUJD' }
  ]);
});

test('what a cell printed in pieces is one text', () => {
  const outputs = ['epoch 1\n', 'epoch 2\n'].map(text => ({ output_type: 'stream', text }));
  const cells = [{ cell_type: 'code', source: '', outputs }];

  expect(readNotebook(JSON.stringify({ cells }))[0].outputs).toEqual([
    { kind: 'text', text: 'epoch 1\nepoch 2\n' }
  ]);
});

test('a file that is no notebook says what to do', () => {
  expect(() => readNotebook('no json')).toThrow(/Download it/);
  expect(() => readNotebook('{}')).toThrow(/Download it/);
});

test('an answer without words gets some', () => {
  expect(errorOf(401, null).message).toMatch(/Reload the page/);
  expect(errorOf(502, '<html>').message).toMatch(/does not answer/);
});

test('a sibling with the same beginning is not below a directory', () => {
  expect(isBelow('digits2/a.py', 'digits')).toBe(false);
  expect(isBelow('digits/a.py', 'digits')).toBe(true);
  expect(isBelow('anything', '')).toBe(true);
  expect(directoryOf('a/b.ipynb')).toBe('a');
  expect(directoryOf('b.ipynb')).toBe('');
});
