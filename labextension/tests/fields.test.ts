import { expect, test } from 'vitest';

import type { IFields } from '../src/submit/fields';
import { EMPTY, missingIn, requestOf } from '../src/submit/fields';

const NOTEBOOK: Partial<IFields> = { kind: 'notebook', notebook: 'a.ipynb', project: 'digits' };

function asked(typed: Partial<IFields>): object {
  return requestOf({ ...EMPTY, ...typed }, undefined, null);
}

test('parameters of a notebook keep their types, as on the command line', () => {
  const parameters = 'lr = 0.1\n\nname=digits\nlayers=[1, 2]\nquoted="7"\nlarge=1e999\n';

  expect(asked({ ...NOTEBOOK, parameters })).toMatchObject({
    notebook: {
      path: 'a.ipynb',
      parameters: { lr: 0.1, name: 'digits', layers: [1, 2], quoted: '7', large: '1e999' }
    }
  });
});

test('variables are text, to the letter behind the first equals sign', () => {
  expect(asked({ command: 'true', env: 'MODE=offline\r\nURL=a=b \nNONE=' })).toMatchObject({
    env: { MODE: 'offline', URL: 'a=b ', NONE: '' }
  });
});

test('an experiment and a directory are asked for only where they are named', () => {
  const named = { experiment: ' sweep ', workdir: ' src ' };

  expect(asked({ command: 'true', ...named })).toMatchObject({
    experiment: 'sweep',
    workdir: 'src'
  });
  expect(Object.keys(asked({ command: 'true' })).sort()).toEqual([
    'command',
    'idempotency_key',
    'project'
  ]);
});

test('a line that is no pair is refused at its field; parameters only where a notebook has them', () => {
  const said = (line: string): string =>
    `'${line}' is no pair. Write NAME=VALUE, one on each line.`;
  const odd = { env: 'A=1\n=2', parameters: 'odd', project: 'digits' };

  const command = { ...EMPTY, ...odd, command: 'true' };
  const notebook = { ...EMPTY, ...NOTEBOOK, ...odd };

  expect(missingIn(command, null, '')).toEqual({ env: said('=2') });
  expect(missingIn(notebook, null, '')).toEqual({ env: said('=2'), parameters: said('odd') });
});
