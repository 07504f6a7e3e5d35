import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';

import type { Api } from './api';
import { ApiError, messageOf } from './api';
import type { IEventSink, StreamState } from './events/stream';
import type { IEvent, IGpus, IJobSummary, IMe, IProfile } from './words';
import { hasEnded } from './words';

const RECENT = 50;
const LIVE_STATES = 'queued,starting,running,collecting';
const MOST_LIVE = 200;
const POLL_MILLISECONDS = 10_000;
/** Changes of the ledger come in bursts; one question answers them all, and the next one comes after a rest. */
const LEDGER_MILLISECONDS = 400;
const LEDGER_REST_MILLISECONDS = 2000;

/** Opens the stream of events for a person; injected, so that tests need no network. */
export type OpenEvents = (sink: IEventSink, person: string) => IDisposableOnly;
type IDisposableOnly = Pick<IDisposable, 'dispose'>;

/** What the interface knows of the job service, kept true by its events. */
export class JobsModel implements IDisposable {
  constructor(
    readonly api: Api,
    private readonly _openEvents: OpenEvents
  ) {}

  /** Anything changed. */
  readonly changed = new Signal<this, void>(this);
  /** One job changed, or is new. */
  readonly jobChanged = new Signal<this, IJobSummary>(this);
  /** A job of this person ended while the page looked. */
  readonly jobEnded = new Signal<this, IJobSummary>(this);
  readonly jobDeleted = new Signal<this, string>(this);
  /** What the platform tells this person may have changed. */
  readonly noticed = new Signal<this, void>(this);
  /** The service answers again after a cut: what else was read from it may hang. */
  readonly reconnected = new Signal<this, void>(this);

  me: IMe | null = null;
  gpus: IGpus | null = null;
  profiles: IProfile[] = [];
  /** Where the service's own pages are; empty until it is known. */
  pages = '';
  /** Whether the first answer is still awaited. */
  loading = true;
  /** What is wrong, in words; empty when nothing is. */
  error = '';

  /** Whether there are jobs that ended longer ago than those that are known. */
  get hasOlder(): boolean {
    return Boolean(this._cursor);
  }

  /** All jobs that are known, newest first. */
  get jobs(): IJobSummary[] {
    return [...this._jobs.values()].sort((a, b) => b.created_at.localeCompare(a.created_at));
  }

  job(id: string): IJobSummary | undefined {
    return this._jobs.get(id);
  }

  /** Load everything and follow the events from now on. */
  start(): void {
    void this.refresh();
  }

  /** Read everything anew; two calls at once are one, and a call meanwhile is made up for. */
  async refresh(): Promise<void> {
    if (this._refreshing) {
      this._refreshAgain = true;
      return;
    }
    this._refreshing = true;
    try {
      await this._load();
      this.error = '';
      this.noticed.emit();
    } catch (error) {
      this.error = messageOf(error);
      this._scheduleNext();
    }
    this.loading = false;
    this._refreshing = false;
    this._tell();
    if (this._refreshAgain && !this._disposed) {
      this._refreshAgain = false;
      await this.refresh();
    }
  }

  /** Tell whether somebody sees the page: until then nothing is asked that only the screen needs. */
  setVisible(visible: boolean): void {
    this._visible = visible;
    if (visible && this._ledgerStale) {
      this._askLedgerSoon();
    }
  }

  /** Read the next page of jobs that ended longer ago. */
  async loadOlder(): Promise<void> {
    if (!this._cursor) {
      return;
    }
    try {
      const page = await this.api.jobs({ limit: RECENT, cursor: this._cursor });
      this._cursor = page.cursor;
      page.jobs.forEach(job => this.take(job));
    } catch (error) {
      this.error = messageOf(error);
      this._scheduleNext();
    }
    this._tell();
  }

  /** Take the newest a request answered, so that the screen needs not wait for the event. */
  take(job: IJobSummary): void {
    const known = this._jobs.get(job.id);
    if (known && known.seq > job.seq) {
      return;
    }
    this._jobs.set(job.id, job);
    this.jobChanged.emit(job);
    if (known && !hasEnded(known) && hasEnded(job) && job.user === this.me?.name) {
      this.jobEnded.emit(job);
    }
    this._tell();
  }

  /** Forget a job that is deleted. */
  forget(id: string): void {
    if (this._jobs.delete(id)) {
      this.jobDeleted.emit(id);
      this._tell();
    }
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  dispose(): void {
    if (this._disposed) {
      return;
    }
    this._disposed = true;
    this._events?.dispose();
    clearTimeout(this._ledgerTimer);
    clearTimeout(this._pollTimer);
    Signal.clearData(this);
  }

  private async _load(): Promise<void> {
    // Who asks comes first: it is the cheapest question, and its answer names the stream.
    this.me ??= await this.api.me();
    this.pages ||= await this.api.pages();
    if (!this._events && !this._disposed) {
      // Follow before reading: nothing that changes meanwhile is missed.
      const sink = {
        onEvent: (event: IEvent) => this._onEvent(event),
        onState: (state: StreamState) => this._onState(state)
      };
      this._events = this._openEvents(sink, this.me.name);
    }
    const [recent, live] = await Promise.all([
      this.api.jobs({ limit: RECENT }),
      this.api.jobs({ state: LIVE_STATES, limit: MOST_LIVE }),
      this._loadLedger()
    ]);
    if (this._cursor === undefined) {
      this._cursor = recent.cursor;
    }
    this._replace([...recent.jobs, ...live.jobs]);
  }

  private _replace(jobs: IJobSummary[]): void {
    const found = new Set(jobs.map(job => job.id));
    for (const [id, known] of this._jobs) {
      // An old job that has scrolled out of the list stays known; a live one that is gone was deleted.
      if (!found.has(id) && !hasEnded(known)) {
        this._jobs.delete(id);
      }
    }
    jobs.forEach(job => this.take(job));
  }

  private async _loadLedger(): Promise<void> {
    [this.gpus, this.profiles] = await Promise.all([this.api.gpus(), this.api.profiles()]);
  }

  private _onEvent(event: IEvent): void {
    if (event.kind === 'resync') {
      void this.refresh();
    } else if (event.kind === 'job' && event.job) {
      this.take(event.job);
    } else if (event.kind === 'job_deleted' && event.job_id) {
      this.forget(event.job_id);
    } else if (event.kind === 'ledger') {
      this._askLedgerSoon();
    } else if (event.kind === 'notice') {
      this.noticed.emit();
    }
  }

  private _askLedgerSoon(): void {
    const rest = this._ledgerAskedAt + LEDGER_REST_MILLISECONDS - Date.now();
    this._ledgerTimer ??= setTimeout(
      () => {
        this._ledgerTimer = undefined;
        this._ledgerStale = !this._visible;
        if (!this._visible) {
          return;
        }
        this._ledgerAskedAt = Date.now();
        // When it fails the stream breaks as well, and polling shows why.
        Promise.all([this._loadLedger(), this._loadLine()]).then(
          () => this._tell(),
          () => undefined
        );
      },
      Math.max(LEDGER_MILLISECONDS, rest)
    );
  }

  /** Read the places in line anew: other people's moves change them, and no event of one's own jobs tells. */
  private async _loadLine(): Promise<void> {
    if (![...this._jobs.values()].some(job => job.state === 'queued')) {
      return;
    }
    const { jobs } = await this.api.jobs({ state: 'queued', limit: MOST_LIVE });
    jobs.filter(job => this._differs(job)).forEach(job => this.take(job));
  }

  private _differs(job: IJobSummary): boolean {
    const known = this._jobs.get(job.id);
    return (
      known?.seq !== job.seq || known.position !== job.position || known.sentence !== job.sentence
    );
  }

  private _onState(state: StreamState): void {
    const before = this._streamState;
    this._streamState = state;
    if (state === 'broken' && before !== 'broken') {
      // At once, so that what is wrong is told; then from time to time.
      void this.refresh().then(() => this._scheduleNext());
    } else if (state === 'live' && before === 'broken') {
      clearTimeout(this._pollTimer);
      void this.refresh();
    }
    if (state === 'live' && (before === 'cut' || before === 'broken')) {
      this.reconnected.emit();
    }
  }

  /** Ask again after a while, as long as changes do not arrive by themselves. */
  private _scheduleNext(): void {
    clearTimeout(this._pollTimer);
    if (this._disposed) {
      return;
    }
    this._pollTimer = setTimeout(() => {
      void this.refresh().then(() => {
        if (this._streamState === 'broken') {
          this._scheduleNext();
        }
      });
    }, POLL_MILLISECONDS);
  }

  private _tell(): void {
    if (!this._disposed) {
      this.changed.emit();
    }
  }

  /** Where the next older page begins; null after the last one. */
  private _cursor: string | null | undefined;
  private readonly _jobs = new Map<string, IJobSummary>();
  private _events: IDisposableOnly | null = null;
  private _streamState: StreamState | null = null;
  private _visible = true;
  private _ledgerTimer: ReturnType<typeof setTimeout> | undefined;
  private _ledgerAskedAt = 0;
  private _ledgerStale = false;
  private _pollTimer: ReturnType<typeof setTimeout> | undefined;
  private _refreshing = false;
  private _refreshAgain = false;
  private _disposed = false;
}

/** Tell whether an error says that the thing is not there (any more). */
export function isGone(error: unknown): boolean {
  return error instanceof ApiError && error.status === 404;
}
