import { afterEach, expect, test } from 'vitest';

import { JobPage } from '../src/job/page';
import { JobsModel } from '../src/model';
import { FakeEvents, answersWith, fakeApi, job, until } from './fakes';

const RUNNING = job({ state: 'running', attempt: 1, seq: 3 });

let page: JobPage;

afterEach(() => {
  page.dispose();
  page.model.dispose();
});

/** A log that never ends and, like one behind a proxy, says nothing when its service dies. */
class HangingLog {
  readonly queries: string[] = [];

  answer = (path: string): Response => {
    this.queries.push(path);
    const text = this.queries.length === 1 ? 'first\n' : 'second\n';
    return new Response(
      new ReadableStream<Uint8Array>({
        start: control => control.enqueue(new TextEncoder().encode(text))
      })
    );
  };
}

async function opened(log: HangingLog): Promise<FakeEvents> {
  const { api, connection } = fakeApi({
    ...answersWith([RUNNING]),
    [`jobs/${RUNNING.id}`]: RUNNING
  });
  const known = connection.service.bind(connection);
  connection.service = (path, init) =>
    path.includes('/logs?') ? Promise.resolve(log.answer(path)) : known(path, init);
  const events = new FakeEvents();
  const model = new JobsModel(api, events.open);
  await model.refresh();
  page = new JobPage(model, RUNNING.id);
  page.setVisible(true);
  await until(() => page.log?.screen.lines[0].text === 'first');
  return events;
}

test('a log that hangs goes on where it was once the service is reached again', async () => {
  const log = new HangingLog();
  const events = await opened(log);

  events.sink?.onState('live');
  events.sink?.onState('cut');
  events.sink?.onState('live');
  await until(() => page.log?.screen.lines[1]?.text === 'second');

  expect(log.queries.map(query => /offset=(\d+)/.exec(query)?.[1])).toEqual(['0', '6']);
});

test('a log is read only while somebody sees it', async () => {
  const log = new HangingLog();
  await opened(log);

  page.setTab('details');
  page.setTab('log');
  await until(() => log.queries.length === 2);
  page.setVisible(false);
  page.model.reconnected.emit();
  await page.load();

  expect(log.queries).toHaveLength(2);
});
