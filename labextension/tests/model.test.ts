import { afterEach, describe, expect, test, vi } from 'vitest';

import { JobsModel } from '../src/model';
import type { IEvent, IJobSummary } from '../src/words';
import { FakeEvents, answersWith, fakeApi, job, until } from './fakes';

let model: JobsModel;

afterEach(() => model.dispose());

async function started(jobs: IJobSummary[]): Promise<FakeEvents> {
  const events = new FakeEvents();
  model = new JobsModel(fakeApi(answersWith(jobs)).api, events.open);
  await model.refresh();
  return events;
}

function event(change: Partial<IEvent>): IEvent {
  return { seq: 2, at: '', kind: 'job', job_id: null, job: null, ...change };
}

test('a job changes when its event arrives', async () => {
  const events = await started([job()]);

  events.sink?.onEvent(event({ job: job({ seq: 2, state: 'running' }) }));

  expect(model.jobs.map(known => known.state)).toEqual(['running']);
});

test('an older event never undoes a newer answer', async () => {
  const events = await started([job({ seq: 5, state: 'running' })]);

  events.sink?.onEvent(event({ job: job({ seq: 4, state: 'starting' }) }));

  expect(model.jobs[0].state).toBe('running');
});

test("only the end of one's own job is told, and once", async () => {
  const mine = job({ state: 'running' });
  const bobs = job({ id: 'bbbbbbbbbbbb', state: 'running', user: 'bob' });
  const events = await started([mine, bobs]);
  const ended: string[] = [];
  model.jobEnded.connect((_, one) => ended.push(one.id));

  for (const one of [mine, bobs, mine]) {
    events.sink?.onEvent(event({ job: { ...one, seq: 9, state: 'succeeded' } }));
  }

  expect(ended).toEqual([mine.id]);
});

test('a deleted job leaves the list', async () => {
  const events = await started([job()]);

  events.sink?.onEvent(event({ kind: 'job_deleted', job_id: job().id }));

  expect(model.jobs).toEqual([]);
});

test('a service that does not answer is told in words, and asked again on demand', async () => {
  const { api, connection } = fakeApi({
    me: () => Response.json({ error: { code: 'unavailable', message: 'No hub.' } }, { status: 503 })
  });
  model = new JobsModel(api, new FakeEvents().open);

  await model.refresh();
  expect(model.error).toBe('No hub.');
  expect(model.loading).toBe(false);

  Object.assign(connection.answers, answersWith([job()]));
  await model.refresh();
  expect(model.error).toBe('');
  expect(model.jobs).toHaveLength(1);
});

test('a live job that the service does not know any more leaves the list', async () => {
  const { api, connection } = fakeApi(answersWith([job()]));
  model = new JobsModel(api, new FakeEvents().open);
  await model.refresh();

  Object.assign(connection.answers, answersWith([]));
  await model.refresh();

  expect(model.jobs).toEqual([]);
});

test("where the service's own pages are comes from where its API is", async () => {
  await started([]);

  expect(model.pages).toBe('/hub/services/jobs/');
});

test('the stream ends with the model', async () => {
  const events = await started([]);

  model.dispose();

  expect(events.disposed).toBe(true);
});

test('older jobs are read page by page, and stay when the list is read anew', async () => {
  const ids = ['aaaaaaaaaaaa', 'bbbbbbbbbbbb', 'cccccccccccc'];
  const ended = ids.map((id, age) =>
    job({ id, state: 'succeeded', created_at: `2026-01-0${9 - age}T00:00:00Z` })
  );
  const { api, connection } = fakeApi(answersWith([]));
  Object.assign(connection.answers, {
    'jobs?limit=50': { jobs: [ended[0]], cursor: 'one' },
    'jobs?limit=50&cursor=one': { jobs: [ended[1]], cursor: 'two' },
    'jobs?limit=50&cursor=two': { jobs: [ended[2]], cursor: null }
  });
  model = new JobsModel(api, new FakeEvents().open);
  await model.refresh();
  expect(model.hasOlder).toBe(true);

  await model.loadOlder();
  await model.refresh();
  await model.loadOlder();

  expect(model.jobs.map(known => known.id)).toEqual(ids);
  expect(model.hasOlder).toBe(false);
});

test('a service that hangs is told in words too', async () => {
  const late = new DOMException('signal timed out', 'TimeoutError');
  model = new JobsModel(fakeApi({ me: () => Promise.reject(late) }).api, new FakeEvents().open);

  await model.refresh();

  expect(model.error).toMatch(/does not answer in time/);
});

test('what hangs may start again once the service answers after a cut, and only then', async () => {
  const events = await started([]);
  let times = 0;
  model.reconnected.connect(() => (times += 1));

  events.sink?.onState('live');
  events.sink?.onState('live');
  expect(times).toBe(0);
  events.sink?.onState('cut');
  events.sink?.onState('live');

  expect(times).toBe(1);
});

test('a broken stream is told as soon as a question fails, not a while after', async () => {
  const { api, connection } = fakeApi(answersWith([job()]));
  const events = new FakeEvents();
  model = new JobsModel(api, events.open);
  await model.refresh();
  connection.answers.jobs = () => Promise.reject(new TypeError('network'));

  events.sink?.onState('broken');
  await until(() => model.error !== '');

  expect(model.error).toMatch(/Jobs go on/);
  expect(model.jobs).toHaveLength(1);
});

describe('the line', () => {
  const waits = job({ position: 3, sentence: '3rd in line.' });
  const QUEUED = 'jobs?state=queued&limit=200';

  async function following(known: IJobSummary[]) {
    vi.useFakeTimers();
    const { api, connection } = fakeApi(answersWith(known));
    const events = new FakeEvents();
    model = new JobsModel(api, events.open);
    await model.refresh();
    connection.asked.length = 0;
    const asked = () => connection.asked.filter(one => one.path === QUEUED).length;
    const ledger = () => events.sink?.onEvent(event({ kind: 'ledger' }));
    return { connection, asked, ledger };
  }

  afterEach(() => {
    vi.useRealTimers();
  });

  test('moves with other people, and one question asks for all who wait', async () => {
    const other = job({ id: 'bbbbbbbbbbbb', position: 4 });
    const { connection, asked, ledger } = await following([waits, other]);
    const moved = [
      { ...waits, position: 1, sentence: '1st in line.' },
      { ...other, position: 2 }
    ];
    connection.answers[QUEUED] = { jobs: moved, cursor: null };
    const changed: string[] = [];
    model.jobChanged.connect((_, one) => changed.push(one.id));

    ledger();
    ledger();
    await vi.advanceTimersByTimeAsync(500);

    expect(asked()).toBe(1);
    expect(model.job(waits.id)?.sentence).toBe('1st in line.');
    expect(changed).toEqual([waits.id, other.id]);
  });

  test('that moves all the time is asked for with rests between', async () => {
    const { asked, ledger } = await following([waits]);

    for (let moves = 0; moves < 100; moves += 1) {
      ledger();
      await vi.advanceTimersByTimeAsync(100);
    }

    expect(asked()).toBeGreaterThanOrEqual(4);
    expect(asked()).toBeLessThanOrEqual(6);
  });

  test('is not asked for when none of the jobs waits', async () => {
    const { asked, ledger } = await following([job({ state: 'running' })]);

    ledger();
    await vi.advanceTimersByTimeAsync(500);

    expect(asked()).toBe(0);
  });

  test('is not asked for while nobody sees the page, and is when somebody does again', async () => {
    const { connection, asked, ledger } = await following([waits]);

    model.setVisible(false);
    ledger();
    await vi.advanceTimersByTimeAsync(10_000);
    expect(connection.asked).toEqual([]);

    model.setVisible(true);
    await vi.advanceTimersByTimeAsync(500);
    expect(asked()).toBe(1);
  });
});
