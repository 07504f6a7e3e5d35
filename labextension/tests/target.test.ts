import { Signal } from '@lumino/signaling';
import type { Widget } from '@lumino/widgets';
import { beforeEach, expect, test } from 'vitest';

import type { ITargetSources } from '../src/submit/target';
import { TargetTracker } from '../src/submit/target';

/** Lab, of which only what is in front and the file browser's directory are there. */
class FakeLab {
  readonly shell = {
    currentWidget: null as Widget | null,
    currentChanged: new Signal<object, void>({})
  };
  readonly browser = { model: { path: 'browsed', pathChanged: new Signal<object, void>({}) } };
  readonly sources = {
    shell: this.shell,
    browser: this.browser,
    docManager: {
      contextForWidget: ({ id }: Widget) =>
        id.startsWith('doc:') ? { path: id.slice('doc:'.length) } : undefined
    },
    contents: { localPath: (path: string) => path.replace(/^RTC:/, '') },
    notebooks: { has: ({ id }: Widget) => id.endsWith('.ipynb') }
  } as unknown as ITargetSources;

  bringToFront(id: string | null): void {
    this.shell.currentWidget = id === null ? null : ({ id } as Widget);
    this.shell.currentChanged.emit();
  }

  browse(path: string): void {
    this.browser.model.path = path;
    this.browser.model.pathChanged.emit();
  }
}

let lab: FakeLab;
let targets: TargetTracker;

beforeEach(() => {
  lab = new FakeLab();
  targets = new TargetTracker(lab.sources);
});

test("an open notebook's directory comes before the file browser's", () => {
  lab.bringToFront('doc:work/train.ipynb');

  expect(targets.target).toMatchObject({ directory: 'work', notebook: 'work/train.ipynb' });
});

test('another document gives its directory, and no notebook', () => {
  lab.bringToFront('doc:work/train.py');

  expect(targets.target).toMatchObject({ directory: 'work', notebook: null });
});

test('the prefix of a drive is no part of the directory', () => {
  lab.bringToFront('doc:RTC:work/train.ipynb');

  expect(targets.target.directory).toBe('work');
});

test('with no document in front it is where the file browser is', () => {
  lab.bringToFront('terminal');
  lab.browse('elsewhere');

  expect(targets.target).toMatchObject({ directory: 'elsewhere', notebook: null });
});

test("a job's page in front changes nothing, but walking on in the file browser does", () => {
  lab.bringToFront('doc:work/train.ipynb');
  lab.bringToFront('himalia-job-aaaaaaaaaaaa');
  expect(targets.target.directory).toBe('work');

  lab.browse('elsewhere');

  expect(targets.target.directory).toBe('elsewhere');
});

test('what is chosen by hand holds until something else comes to the front', () => {
  targets.choose({ directory: 'chosen', notebook: null });
  expect(targets.target.directory).toBe('chosen');

  lab.bringToFront('doc:work/train.py');

  expect(targets.target.directory).toBe('work');
});

test('nothing is heard any more after the end', () => {
  targets.dispose();

  lab.browse('elsewhere');

  expect(targets.target.directory).toBe('browsed');
});
