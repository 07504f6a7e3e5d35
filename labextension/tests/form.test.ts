import { afterEach, expect, test } from 'vitest';

import { JobsModel } from '../src/model';
import { SubmitForm } from '../src/submit/form';
import type { IJob } from '../src/words';
import type { Answers, FakeConnection } from './fakes';
import { FakeEvents, FakeFiles, answersWith, fakeApi, job, until } from './fakes';

const PREVIEW = {
  directory: 'digits',
  project: 'digits',
  file_count: 2,
  size_bytes: 10,
  left_out: [],
  left_out_count: 0,
  left_out_bytes: 0,
  largest: [],
  problems: []
};

let form: SubmitForm;
let files: FakeFiles;
let connection: FakeConnection;

afterEach(() => form.dispose());

async function opened(answers: Answers = {}, jobs: IJob[] = []): Promise<void> {
  const fake = fakeApi({ ...answersWith(jobs), preview: PREVIEW, submit: job(), ...answers });
  connection = fake.connection;
  const model = new JobsModel(fake.api, new FakeEvents().open);
  await model.refresh();
  files = new FakeFiles();
  form = new SubmitForm(model, files, { directory: 'digits', notebook: null, from: 'browser' });
  form.setActive(true);
  await until(() => form.preview !== null || form.previewError !== '');
}

test('a command is submitted with what is seen, after open documents are saved', async () => {
  await opened();
  form.set('command', ' python train.py ');
  const submitted: IJob[] = [];
  form.submitted.connect((_, one) => submitted.push(one));

  await form.submit();

  expect(files.saved).toEqual(['digits']);
  expect(connection.bodyOf('submit')).toMatchObject({
    directory: 'digits',
    job: { project: 'digits', command: 'python train.py' }
  });
  expect(submitted).toHaveLength(1);
  expect(form.progress).toBeNull();
});

test('each submission has a key of its own', async () => {
  await opened();
  form.set('command', 'true');
  const keyOf = (): string =>
    (connection.bodyOf('submit') as { job: { idempotency_key: string } }).job.idempotency_key;

  await form.submit();
  const first = keyOf();
  await form.submit();

  expect(keyOf()).not.toBe(first);
});

test('an empty command is refused at its field, and nothing is sent', async () => {
  await opened();

  await form.submit();

  expect(form.errors.command).toMatch(/Write the command/);
  expect(connection.asked.map(one => one.path)).not.toContain('submit');
});

test('what is asked for beside the command is sent, and nothing that was left empty', async () => {
  await opened();
  form.set('command', 'true');
  form.set('retry_on', 'oom');
  await form.submit();
  const { job: plain } = connection.bodyOf('submit') as { job: object };

  form.set('retries', ' 3 ');
  form.set('warn', '5m');
  form.set('cpus', ' 0.5 ');
  form.set('memory', '8G');
  form.set('disk', ' 200G ');
  await form.submit();

  const limits = /^(warn|retr|cpus|memory|disk)/;
  expect(Object.keys(plain).filter(name => limits.test(name))).toEqual([]);
  const resources = { cpus: 0.5, memory: '8G', disk: '200G' };
  const asked = { retries: 3, retry_on: 'oom', warn: '5m', ...resources };
  expect(connection.bodyOf('submit')).toMatchObject({ job: asked });
});

test('a number of retries that is none is refused at its field', async () => {
  await opened();
  form.set('command', 'true');
  form.set('retries', 'many');

  await form.submit();

  expect(form.errors).toEqual({ retries: 'Write how often, such as 3.' });
});

test.each(['two', '1,5', '-1', '1e3', '.'])('%s is no number of CPUs', async typed => {
  await opened();
  form.set('command', 'true');
  form.set('cpus', typed);

  await form.submit();

  expect(form.errors).toEqual({ cpus: 'Write how many, such as 2 or 0.5.' });
});

test('a disk that the profile does not allow is refused at its field', async () => {
  const said = 'The profile cpu allows 100 GB at most. Ask for less, or choose another profile.';
  const error = { code: 'invalid', message: said, fields: { disk: said } };
  await opened({ submit: () => Response.json({ error }, { status: 422 }) });
  form.set('command', 'true');
  form.set('disk', '1T');

  await form.submit();

  expect(form.errors).toEqual({ disk: said });
});

test('what the service refuses is shown at its field', async () => {
  const error = { code: 'invalid', message: 'No.', fields: { timeout: "'x' is no duration." } };
  await opened({ submit: () => Response.json({ error }, { status: 422 }) });
  form.set('command', 'true');

  await form.submit();

  expect(form.errors).toEqual({ timeout: "'x' is no duration." });
});

test('what has no field here is shown below the form', async () => {
  const error = { code: 'too_many', message: 'You have 1000 jobs.', fields: {} };
  await opened({ submit: () => Response.json({ error }, { status: 429 }) });
  form.set('command', 'true');

  await form.submit();

  expect(form.errors).toEqual({ form: 'You have 1000 jobs.' });
});

test('a job is not lost when the connection breaks while it is sent', async () => {
  await opened({
    submit: () => Promise.reject(new TypeError('network')),
    [`jobs/${job().id}`]: job()
  });
  form.set('command', 'true');
  const submitted: string[] = [];
  form.submitted.connect((_, one) => submitted.push(one.id));
  // Whatever the key: the record says that it arrived.
  const known = connection.extension.bind(connection);
  connection.extension = (path, init) =>
    path.startsWith('submissions/')
      ? Promise.resolve(Response.json({ stage: 'done', job_id: job().id }))
      : known(path, init);

  await form.submit();

  expect(submitted).toEqual([job().id]);
});

test('a notebook in front is chosen, and its name is sent relative to its directory', async () => {
  await opened();
  form.setTarget({ directory: 'digits', notebook: 'digits/train.ipynb', from: 'document' });

  await form.submit();

  expect(connection.bodyOf('submit')).toMatchObject({
    directory: 'digits',
    job: { notebook: { path: 'train.ipynb', parameters: {} } }
  });
});

test('another directory begins with an empty form, and its own project', async () => {
  await opened();
  form.set('command', 'python a.py');
  form.set('project', 'mine');

  connection.answers.preview = { ...PREVIEW, directory: 'other', project: 'other' };
  form.setTarget({ directory: 'other', notebook: null, from: 'browser' });
  await until(() => form.preview?.directory === 'other');

  expect(form.fields.command).toBe('');
  expect(form.fields.project).toBe('other');
});

test("the command of the project's last job is offered, but never over what was typed", async () => {
  const last = job({ command: ['sh', '-c', 'python train.py --lr 0.1'] });
  await opened({ [`jobs/${last.id}`]: last }, [last]);

  await until(() => form.fields.command !== '');

  expect(form.fields.command).toBe('python train.py --lr 0.1');
});

test('no command is put into a field that somebody is in', async () => {
  const last = job({ command: ['python', 'train.py'] });
  let answer: (late: IJob) => void = () => undefined;
  const late = new Promise<IJob>(resolve => (answer = resolve));
  await opened({ [`jobs/${last.id}`]: () => late }, [last]);
  await until(() => connection.asked.some(one => one.path === `jobs/${last.id}`));

  form.hold('command');
  answer(last);
  await new Promise(resolve => setTimeout(resolve));

  expect(form.fields.command).toBe('');
});

test('a directory that may not be submitted says so', async () => {
  const error = { code: 'invalid', message: 'It lies outside.', fields: { directory: '' } };
  await opened({ preview: () => Response.json({ error }, { status: 422 }) });

  expect(form.previewError).toBe('It lies outside.');
});

test('a submission that is stopped leaves neither a job nor an error', async () => {
  const error = { code: 'cancelled', message: 'The submission was cancelled.', fields: {} };
  let stop: (answer: Response) => void = () => undefined;
  await opened({ submit: () => new Promise<Response>(resolve => (stop = resolve)) });
  form.set('command', 'true');
  const ended: string[] = [];
  const known = connection.extension.bind(connection);
  connection.extension = (path, init) => {
    if (init?.method !== 'DELETE') {
      return known(path, init);
    }
    ended.push(path);
    stop(Response.json({ error }, { status: 409 }));
    return Promise.resolve(new Response(null, { status: 204 }));
  };

  const sending = form.submit();
  await until(() => connection.asked.some(one => one.path === 'submit'));
  expect(form.mayCancel).toBe(true);
  await form.cancel();
  await sending;

  const { job: sent } = connection.bodyOf('submit') as { job: { idempotency_key: string } };
  expect(ended).toEqual([`submissions/${sent.idempotency_key}`]);
  expect(form.errors).toEqual({});
  expect(form.progress).toBeNull();
});

test("a job can be a team's, and the team's projects are offered", async () => {
  const projects = [
    { owner: 'user:alice', name: 'mine', description: '' },
    { owner: 'team:nlp', name: 'ours', description: '' }
  ];
  await opened({ projects: { projects } });
  await until(() => form.projects.length > 0);
  expect(form.projects).toEqual(['mine']);
  form.set('command', 'true');

  form.set('owner', 'team:nlp');
  await form.submit();

  expect(form.projects).toEqual(['ours']);
  expect(connection.bodyOf('submit')).toMatchObject({ job: { owner: 'team:nlp' } });
});

test('whoever submits before the files were looked at waits for the look, and gets the project', async () => {
  await opened();
  connection.answers.preview = { ...PREVIEW, directory: 'other', project: 'other' };
  form.setTarget({ directory: 'other', notebook: null, from: 'browser' });
  form.set('command', 'true');

  await form.submit();

  expect(connection.bodyOf('submit')).toMatchObject({
    directory: 'other',
    job: { project: 'other' }
  });
});

test('a directory that cannot be looked at is not submitted, and says why', async () => {
  const error = { code: 'invalid', message: 'It lies outside.', fields: { directory: '' } };
  await opened({ preview: () => Response.json({ error }, { status: 422 }) });
  form.set('command', 'true');

  await form.submit();

  expect(form.errors).toEqual({ directory: 'It lies outside.' });
  expect(form.progress).toBeNull();
  expect(connection.asked.map(one => one.path)).not.toContain('submit');
});

test('what was typed for a directory is there again when the directory is', async () => {
  await opened();
  form.set('command', 'python a.py --long');
  form.setTarget({ directory: 'other', notebook: null, from: 'browser' });
  expect(form.fields.command).toBe('');

  form.setTarget({ directory: 'digits', notebook: null, from: 'browser' });

  expect(form.fields.command).toBe('python a.py --long');
});

const GPU_PROFILE = {
  name: 'gpu',
  title: 'One GPU',
  description: '',
  image: '',
  cpus: 1,
  memory_bytes: 2 ** 30,
  gpus: '1',
  time_limit_seconds: 3600,
  max_time_limit_seconds: 7200,
  servers: true,
  jobs: true,
  free_now: true,
  sentence: ''
};

test('the GPUs are those of the profile until others are asked for', async () => {
  await opened({ profiles: { profiles: [GPU_PROFILE] } });
  form.set('command', 'true');
  expect(form.hasGpus).toBe(true);

  await form.submit();
  expect(connection.bodyOf('submit')).not.toHaveProperty('job.gpus');

  form.set('gpus', ' A100,H100:1 ');
  await form.submit();
  expect(connection.bodyOf('submit')).toHaveProperty('job.gpus', 'A100,H100:1');
});

test('where there is no GPU to ask for, none is asked about', async () => {
  await opened({ profiles: { profiles: [{ ...GPU_PROFILE, gpus: '0' }] } });

  expect(form.hasGpus).toBe(false);
});

test('a GPU request that cannot be read is refused at its field, until it is changed', async () => {
  const error = { code: 'invalid', message: 'No.', fields: { gpus: "'x!' is no GPU request." } };
  await opened({ submit: () => Response.json({ error }, { status: 422 }) });
  form.set('command', 'true');
  form.set('gpus', 'x!');

  await form.submit();
  expect(form.errors).toEqual({ gpus: "'x!' is no GPU request." });

  form.set('gpus', '1');
  expect(form.errors.gpus).toBeUndefined();
});

test('a job gives way only where that is asked for', async () => {
  await opened();
  form.set('command', 'true');

  await form.submit();
  expect(connection.bodyOf('submit')).not.toHaveProperty('job.preemptible');

  form.set('preemptible', true);
  await form.submit();
  expect(connection.bodyOf('submit')).toHaveProperty('job.preemptible', true);
});
