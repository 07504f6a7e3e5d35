import { afterEach, expect, test } from 'vitest';

import { cliLine } from '../src/job/cli';
import { JobsModel } from '../src/model';
import { repositoryName } from '../src/submit/fields';
import { SubmitForm } from '../src/submit/form';
import type { IFetch, IJob } from '../src/words';
import type { Answers, FakeConnection } from './fakes';
import { FakeEvents, FakeFiles, answersWith, fakeApi, job, until } from './fakes';

const ADDRESS = 'https://github.com/ada/digits@main';
const SOURCE = {
  fetched: true,
  remote: 'https://github.com/ada/digits',
  ref: 'main',
  commit: 'a'.repeat(40),
  directory: '',
  changed: 0,
  untracked: null,
  diff_bytes: null,
  left_out: []
};

let form: SubmitForm;
let files: FakeFiles;
let connection: FakeConnection;

afterEach(() => form?.dispose());

function fetch(change: Partial<IFetch> = {}): IFetch {
  const sentence = 'Fetching main of github.com/ada/digits…';
  return { id: 'f', state: 'fetching', sentence, job_id: null, status: 0, error: null, ...change };
}

async function opened(answers: Answers = {}): Promise<void> {
  const fake = fakeApi({
    ...answersWith([]),
    fetches: fetch(),
    'fetches/f': fetch({ state: 'done', job_id: job().id }),
    [`jobs/${job().id}`]: job({ source: SOURCE }),
    ...answers
  });
  connection = fake.connection;
  const model = new JobsModel(fake.api, new FakeEvents().open);
  await model.refresh();
  files = new FakeFiles();
  form = new SubmitForm(model, files, { directory: 'other', notebook: null, from: 'browser' });
  form.set('source', 'git');
  form.set('git', ADDRESS);
  form.set('command', 'python train.py');
}

test('a repository is submitted, its way is told, and nothing of the directory is', async () => {
  await opened();
  form.set('token', ' s3cret ');
  const told = new Set<string>();
  form.changed.connect(() => told.add(form.progress?.message ?? ''));
  const submitted: IJob[] = [];
  form.submitted.connect((_, one) => submitted.push(one));

  await form.submit();

  expect(form.errors).toEqual({});
  expect(connection.bodyOf('fetches')).toMatchObject({
    git: ADDRESS,
    token: 's3cret',
    job: { project: 'digits', command: 'python train.py' }
  });
  expect(told).toContain('Fetching main of github.com/ada/digits…');
  expect(submitted.map(one => one.source?.commit)).toEqual([SOURCE.commit]);
  expect(files.saved).toEqual([]);
  expect(connection.asked.map(one => one.path)).not.toContain('submit');
});

test('a token is gone once it was used, and is never kept with a draft', async () => {
  await opened();
  form.set('token', 's3cret');
  form.setTarget({ directory: 'elsewhere', notebook: null, from: 'browser' });
  form.setTarget({ directory: 'other', notebook: null, from: 'browser' });
  expect(form.fields).toMatchObject({ git: ADDRESS, token: '' });

  form.set('token', 's3cret');
  await form.submit();

  expect(form.fields.token).toBe('');
});

test('what is wrong with a repository is shown at its field', async () => {
  const error = { code: 'invalid', message: 'No.', fields: { git: 'It has no branch main.' } };
  await opened({ 'fetches/f': fetch({ state: 'failed', status: 422, sentence: 'No.', error }) });

  await form.submit();

  expect(form.errors).toEqual({ git: 'It has no branch main.' });
});

test('an address is asked for before anything is sent', async () => {
  await opened();
  form.set('git', ' ');

  await form.submit();

  expect(form.errors.git).toMatch(/Write the address/);
  expect(connection.asked.map(one => one.path)).not.toContain('fetches');
});

test('a fetch that ended with its service is begun anew under the same key', async () => {
  let times = 0;
  await opened({
    'fetches/f': () =>
      ++times > 1
        ? fetch({ state: 'done', job_id: job().id })
        : Response.json({ error: { code: 'not_found', message: '', fields: {} } }, { status: 404 })
  });

  await form.submit();

  const bodies = connection.asked.filter(one => one.path === 'fetches').map(one => one.init?.body);
  expect(bodies).toHaveLength(2);
  expect(bodies[0]).toBe(bodies[1]);
  expect(form.errors).toEqual({});
});

test('a fetch can be stopped while it is under way', async () => {
  const error = { code: 'cancelled', message: 'The fetch was stopped.', fields: {} };
  let stopped = false;
  await opened({
    'fetches/f': () =>
      stopped ? fetch({ state: 'failed', status: 503, sentence: '', error }) : fetch()
  });
  const sending = form.submit();
  await until(() => form.progress?.stage === 'fetching');

  expect(form.mayCancel).toBe(true);
  await form.cancel();
  stopped = true;
  await sending;

  const asked = connection.asked.map(one => `${one.init?.method ?? 'GET'} ${one.path}`);
  expect(asked).toContain('DELETE fetches/f');
  expect(form.errors).toEqual({});
});

test('the project is named after the repository until it is named by hand', async () => {
  await opened();
  expect(form.fields.project).toBe('digits');

  form.set('project', 'mine');
  form.set('git', 'https://github.com/ada/letters');

  expect(form.fields.project).toBe('mine');
});

test.each([
  ['https://github.com/ada/digits', 'digits'],
  ['https://github.com/ada/digits.git@v1', 'digits'],
  ['https://github.com/ada/digits/tree/main', 'digits'],
  ['https://gitlab.com/a/b/digits/-/tree/x/y', 'digits'],
  ['https://github.com', ''],
  ['', '']
])('a repository at %s is called %s', (address, name) => {
  expect(repositoryName(address)).toBe(name);
});

test('the line for a terminal names the commit that was fetched', () => {
  expect(cliLine(job({ source: SOURCE }))).toContain(
    `--git https://github.com/ada/digits@${SOURCE.commit} `
  );
});
