import { afterEach, expect, test } from 'vitest';

import { JobsModel } from '../src/model';
import type { IAction, IBoard } from '../src/notices';
import { Notices } from '../src/notices';
import type { INotice } from '../src/words';
import type { FakeConnection } from './fakes';
import { FakeEvents, answersWith, fakeApi, until } from './fakes';

const KEEP: INotice = {
  id: 'nnnnnnnnnnnn',
  kind: 'idle',
  sentence: 'Your GPU is idle.',
  actions: { keep: 'Keep', stop: 'Stop now' },
  expires_at: null
};
const TOLD: INotice = { ...KEEP, id: 'tttttttttttt', sentence: 'It was stopped.', actions: {} };

/** A board that a test reads and presses buttons on. */
class FakeBoard implements IBoard {
  readonly shown = new Map<string, { actions: IAction[]; close: () => void }>();
  readonly failures: string[] = [];

  show(text: string, actions: IAction[], close: () => void): () => void {
    this.shown.set(text, { actions, close });
    return () => this.shown.delete(text);
  }

  fail(text: string): void {
    this.failures.push(text);
  }

  press(text: string, label: string): void {
    this.shown
      .get(text)
      ?.actions.find(action => action.label === label)
      ?.callback();
  }
}

let model: JobsModel;
let notices: Notices;

afterEach(() => {
  notices.dispose();
  model.dispose();
});

interface IScene {
  board: FakeBoard;
  connection: FakeConnection;
  events: FakeEvents;
  told: INotice[];
}

async function scene(...told: INotice[]): Promise<IScene> {
  const answers = { ...answersWith([]), notices: () => ({ notices: told }) };
  const { api, connection } = fakeApi(answers);
  const events = new FakeEvents();
  const board = new FakeBoard();
  model = new JobsModel(api, events.open);
  notices = new Notices(model, api, board);
  await model.refresh();
  await until(() => board.shown.size === told.length);
  return { board, connection, events, told };
}

function change(events: FakeEvents): void {
  events.sink?.onEvent({ seq: 2, at: '', kind: 'notice', job_id: null, job: null });
}

test('what is told is shown with its buttons, and what is told later with the event', async () => {
  const { board, events, told } = await scene(KEEP);

  expect(board.shown.get(KEEP.sentence)?.actions.map(action => action.label)).toEqual([
    'Keep',
    'Stop now'
  ]);

  told.push(TOLD);
  change(events);
  await until(() => board.shown.size === 2);
});

test('a button sends its answer, and takes the notice away at once', async () => {
  const { board, connection, told } = await scene(KEEP);
  connection.answers[`notices/${KEEP.id}/answer`] = () => {
    told.pop();
    return KEEP;
  };

  board.press(KEEP.sentence, 'Keep');

  expect(board.shown.size).toBe(0);
  await until(() => told.length === 0);
  expect(connection.bodyOf(`notices/${KEEP.id}/answer`)).toEqual({ answer: 'keep' });
  expect(board.failures).toEqual([]);
});

test('an answer that does not get through is told, and the question comes back', async () => {
  const { board, connection } = await scene(KEEP);
  connection.answers[`notices/${KEEP.id}/answer`] = () =>
    Response.json({ error: { code: 'busy', message: 'Too late.' } }, { status: 409 });

  board.press(KEEP.sentence, 'Keep');

  await until(() => board.failures.length === 1 && board.shown.size === 1);
  expect(board.failures).toEqual(['Too late.']);
});

test('what was answered elsewhere goes away here', async () => {
  const { board, events, told } = await scene(KEEP);

  told.pop();
  change(events);

  await until(() => board.shown.size === 0);
});

test('closing what only tells answers that it was seen; closing a question answers nothing', async () => {
  const { board, connection, told } = await scene(KEEP, TOLD);
  connection.answers[`notices/${TOLD.id}/answer`] = () => {
    told.pop();
    return TOLD;
  };

  board.shown.get(KEEP.sentence)?.close();
  board.shown.get(TOLD.sentence)?.close();

  await until(() => told.length === 1);
  expect(connection.bodyOf(`notices/${TOLD.id}/answer`)).toEqual({ answer: 'seen' });
  expect(connection.asked.filter(one => one.path.includes(KEEP.id))).toEqual([]);
});

test('a notice goes away when its time is over', async () => {
  const soon = { ...KEEP, expires_at: new Date(Date.now() + 30).toISOString() };

  const { board } = await scene(soon);

  await until(() => board.shown.size === 0);
});

test('a service that knows no notices is no error', async () => {
  const { api } = fakeApi(answersWith([]));
  const board = new FakeBoard();
  model = new JobsModel(api, new FakeEvents().open);
  notices = new Notices(model, api, board);

  await model.refresh();

  expect(model.error).toBe('');
  expect(board.failures).toEqual([]);
});
