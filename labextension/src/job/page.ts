import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';

import { messageOf } from '../api';
import { LogTail } from '../log/tail';
import type { JobsModel } from '../model';
import { isGone } from '../model';
import { saveAs } from './download';
import type { IArtifactList, IAttempt, IJob, IJobSummary } from '../words';
import { hasEnded } from '../words';

export type Tab = 'log' | 'artifacts' | 'details';

/** While a job runs, what it has written so far is looked at this often. */
const ARTIFACTS_MILLISECONDS = 5000;

/** The state of one job's page; reads only what somebody sees. */
export class JobPage implements IDisposable {
  constructor(
    readonly model: JobsModel,
    readonly id: string
  ) {
    model.jobChanged.connect(this._onJobChanged, this);
    model.jobDeleted.connect(this._onJobDeleted, this);
    model.reconnected.connect(this._onReconnected, this);
    void this.load();
  }

  /** Anything but the log's text changed. */
  readonly changed = new Signal<this, void>(this);
  readonly logChanged = new Signal<this, void>(this);

  job: IJob | null = null;
  error = '';
  /** Whether the job is not there (any more). */
  gone = false;
  tab: Tab = 'log';
  log: LogTail | null = null;
  artifacts: IArtifactList | null = null;
  artifactsError = '';

  /** The number of the attempt that is shown; the last one until another is chosen; 0 before the first. */
  get attempt(): number {
    return this._chosenAttempt ?? this.job?.attempt ?? 0;
  }

  get attemptView(): IAttempt | undefined {
    return this.job?.attempts.find(attempt => attempt.number === this.attempt);
  }

  /** Read the job anew. */
  async load(): Promise<void> {
    const asked = ++this._asked;
    try {
      const job = await this.model.api.job(this.id);
      if (asked !== this._asked || this._disposed) {
        return;
      }
      this.job = job;
      this.error = '';
    } catch (error) {
      this.gone = isGone(error);
      this.error = messageOf(error);
    }
    this._update();
  }

  setTab(tab: Tab): void {
    this.tab = tab;
    this._update();
  }

  setVisible(visible: boolean): void {
    this._visible = visible;
    if (visible && this.error && !this.gone) {
      void this.load();
    }
    this._update();
  }

  chooseAttempt(attempt: number): void {
    this._chosenAttempt = attempt === this.job?.attempt ? null : attempt;
    this._forgetAttempt();
    this._update();
  }

  /** Read the log from its first byte, however long it is. */
  readFromStart(): void {
    this._stopLog();
    this.log = null;
    this._fromStart = true;
    this._update();
  }

  async loadArtifacts(): Promise<void> {
    const { attempt } = this;
    if (attempt === 0) {
      return;
    }
    try {
      const artifacts = await this.model.api.artifacts(this.id, attempt);
      if (attempt === this.attempt) {
        this.artifacts = artifacts;
        this.artifactsError = '';
      }
    } catch (error) {
      this.artifactsError = messageOf(error);
    }
    this._emit();
  }

  /** Save the list of the Python packages that an attempt could import. */
  async savePackages(attempt: number): Promise<void> {
    try {
      const answer = await this.model.api.packages(this.id, attempt);
      await saveAs(answer, `${this.id}.${attempt}-packages.txt`);
      this.error = '';
    } catch (error) {
      this.error = messageOf(error);
    }
    this._emit();
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  dispose(): void {
    this._disposed = true;
    this._stopLog();
    clearTimeout(this._artifactsTimer);
    this.model.jobChanged.disconnect(this._onJobChanged, this);
    this.model.jobDeleted.disconnect(this._onJobDeleted, this);
    this.model.reconnected.disconnect(this._onReconnected, this);
    Signal.clearData(this);
  }

  private _onJobChanged(_: JobsModel, summary: IJobSummary): void {
    if (summary.id !== this.id || (this.job && summary.seq < this.job.seq)) {
      return;
    }
    const before = this.job;
    if (before?.seq === summary.seq) {
      // Its place and its reason change without a change of its own, and with them whom it waits for.
      this.job = { ...before, ...summary };
      this._emit();
      if (before.sentence !== summary.sentence) {
        void this.load();
      }
      return;
    }
    if (before) {
      // Show what is known at once; the rest follows.
      this.job = { ...before, ...summary };
      if (summary.attempt !== before.attempt && this._chosenAttempt === null) {
        this._forgetAttempt();
      }
      this._emit();
    }
    if (!before || hasEnded(summary) !== hasEnded(before)) {
      this.artifacts = null;
    }
    void this.load();
  }

  private _onJobDeleted(_: JobsModel, id: string): void {
    if (id === this.id) {
      this.gone = true;
      this._update();
    }
  }

  private _onReconnected(): void {
    // A log says nothing while its job says nothing: whether its stream still lives is not seen from here.
    this._stopLog();
    void this.load();
  }

  private _forgetAttempt(): void {
    this._stopLog();
    this.log = null;
    this.artifacts = null;
    this.artifactsError = '';
    this._fromStart = false;
  }

  /** Follow the log and look at the artifacts exactly while they are seen. */
  private _update(): void {
    const watching = this._visible && !this.gone && !this._disposed && this.attempt > 0;
    if (watching && this.tab === 'log') {
      this._followLog();
    } else {
      this._stopLog();
    }
    clearTimeout(this._artifactsTimer);
    if (watching && this.tab === 'artifacts') {
      void this._watchArtifacts();
    }
    this._emit();
  }

  private _followLog(): void {
    this.log ??= new LogTail(
      this.model.api,
      {
        id: this.id,
        attempt: this.attempt,
        bytes: this.attemptView?.log_bytes ?? 0,
        fromStart: this._fromStart
      },
      () => this.logChanged.emit()
    );
    if (!this._following && !this.log.complete) {
      const following = (this._following = new AbortController());
      void this.log.follow(following.signal).then(() => {
        if (this._following === following) {
          this._following = null;
        }
      });
    }
  }

  private _stopLog(): void {
    this._following?.abort();
    this._following = null;
  }

  private async _watchArtifacts(): Promise<void> {
    if (!this.artifacts || this.artifacts.live) {
      await this.loadArtifacts();
    }
    clearTimeout(this._artifactsTimer);
    if (this.artifacts?.live && this.tab === 'artifacts' && this._visible && !this._disposed) {
      this._artifactsTimer = setTimeout(() => void this._watchArtifacts(), ARTIFACTS_MILLISECONDS);
    }
  }

  private _emit(): void {
    if (!this._disposed) {
      this.changed.emit();
    }
  }

  private _chosenAttempt: number | null = null;
  private _fromStart = false;
  private _visible = false;
  private _following: AbortController | null = null;
  private _artifactsTimer: ReturnType<typeof setTimeout> | undefined;
  private _asked = 0;
  private _disposed = false;
}
