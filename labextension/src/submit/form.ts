import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';

import { ApiError, messageOf } from '../api';
import type { JobsModel } from '../model';
import type { IJob, IPreview, IProfile, IProgress, IProject } from '../words';
import { commandLine } from './command';
import type { Errors, FieldName, IFields } from './fields';
import { EMPTY, errorsOf, missingIn, repositoryName, requestOf } from './fields';
import type { IFiles } from './files';
import { isBelow, nameOf } from './paths';
import { sendRepository } from './repository';
import { sendJob } from './send';
import type { ITarget } from './target';

const TYPING_MILLISECONDS = 250;
const SAVING_MILLISECONDS = 1500;

const BEGINNING: IProgress = {
  stage: 'waiting',
  done_bytes: 0,
  total_bytes: 0,
  job_id: null,
  message: ''
};

/** The state of the form *Submit*: what is filled in, what would be sent, what was refused. */
export class SubmitForm implements IDisposable {
  constructor(
    private readonly _model: JobsModel,
    private readonly _files: IFiles,
    target: ITarget
  ) {
    this.target = target;
    _files.changed.connect(this._onFileChanged, this);
    _model.changed.connect(this._onModelChanged, this);
  }

  readonly changed = new Signal<this, void>(this);
  readonly submitted = new Signal<this, IJob>(this);

  target: ITarget;
  fields: IFields = EMPTY;
  errors: Errors = {};
  preview: IPreview | null = null;
  previewError = '';
  notebooks: string[] = [];
  /** Set while a submission is on its way. */
  progress: IProgress | null = null;

  /** The chosen profile; the first one offered until one is chosen. */
  get profile(): IProfile | undefined {
    const { profiles } = this._model;
    return profiles.find(profile => profile.name === this.fields.profile) ?? profiles[0];
  }

  /** Whether there are GPUs to ask for, as far as it is known. */
  get hasGpus(): boolean {
    const { gpus, profiles } = this._model;
    return Boolean(gpus?.slots.length) || profiles.some(profile => profile.gpus !== '0');
  }

  /** The names of the owner's projects, to choose from. */
  get projects(): string[] {
    const owner = this.fields.owner || `user:${this._model.me?.name}`;
    return this._projects.filter(project => project.owner === owner).map(project => project.name);
  }

  /** Look at the files only while somebody sees the form. */
  setActive(active: boolean): void {
    this._active = active;
    if (active) {
      void this._readProjects();
    }
    if (active && !this.preview) {
      this._lookSoon(0);
    }
  }

  /** Turn to another directory or notebook. */
  setTarget(target: ITarget): void {
    const moved = target.directory !== this.target.directory;
    if (moved) {
      this._keepDraft();
    }
    this.target = target;
    if (moved) {
      this._suggestedFrom = '';
      this.preview = null;
      this.previewError = '';
      this.notebooks = [];
      this.errors = {};
      this._takeDraft();
      this._lookSoon(TYPING_MILLISECONDS);
    }
    const notebook = target.notebook === null ? '' : nameOf(target.notebook);
    this.fields = {
      ...this.fields,
      kind: notebook ? 'notebook' : this.fields.kind,
      notebook: notebook || this.fields.notebook
    };
    this.changed.emit();
  }

  /** Take what was typed or chosen. */
  set<K extends keyof IFields>(name: K, value: IFields[K]): void {
    this._touched.add(name);
    this.fields = { ...this.fields, [name]: value };
    this.errors = { ...this.errors, [name]: undefined, form: undefined };
    if (name === 'git' || name === 'source') {
      this._nameProject();
    }
    this.changed.emit();
  }

  /** Leave a field to who is in it: nothing is suggested there any more. */
  hold(name: FieldName): void {
    this._touched.add(name);
  }

  /** Look at the directory anew. */
  look(): void {
    this._lookSoon(0);
  }

  /** Save, send and submit; errors end up at their fields. */
  async submit(): Promise<void> {
    if (this.progress) {
      return;
    }
    this._setProgress(BEGINNING);
    const fetched = this.fields.source === 'git';
    if (!fetched && !this.preview && !this.fields.project.trim()) {
      // Whoever is faster than the look at the files waits for it: it names the project.
      await this._lookNow();
    }
    this.errors = missingIn(this.fields, this.preview, this.previewError);
    if (Object.keys(this.errors).length) {
      this._setProgress(null);
      return;
    }
    try {
      const job = await (fetched ? this._sendRepository() : this._sendDirectory());
      this._model.take(job);
      this.submitted.emit(job);
    } catch (error) {
      this.errors = errorsOf(error);
      if (error instanceof ApiError && error.status >= 500) {
        // The service may be away: then that is told at once, and when it is back.
        void this._model.refresh();
      }
    }
    this._setProgress(null);
  }

  /** Whether the submission that is on its way can still be ended. */
  get mayCancel(): boolean {
    const stage = this.progress?.stage;
    return stage !== undefined && !['submitting', 'done', 'failed'].includes(stage);
  }

  /** End the submission that is on its way; once there is a job, that one is cancelled instead. */
  async cancel(): Promise<void> {
    if (this.progress) {
      // Too late, or not known yet: what comes of it is shown as ever.
      await this._stop().catch(() => undefined);
    }
  }

  get isDisposed(): boolean {
    return this._disposed;
  }

  dispose(): void {
    this._disposed = true;
    clearTimeout(this._timer);
    this._looking?.abort();
    this._files.changed.disconnect(this._onFileChanged, this);
    this._model.changed.disconnect(this._onModelChanged, this);
    Signal.clearData(this);
  }

  private async _sendDirectory(): Promise<IJob> {
    const { directory } = this.target;
    const request = requestOf(this.fields, this.profile, this.preview);
    this._stop = () => this._model.api.cancelSubmission(request.idempotency_key);
    await this._files.saveBelow(directory);
    return sendJob(this._model.api, directory, request, progress => this._setProgress(progress));
  }

  private async _sendRepository(): Promise<IJob> {
    const { git, token } = this.fields;
    const job = requestOf(this.fields, this.profile, this.preview);
    const wish = { git: git.trim(), ...(token.trim() && { token: token.trim() }), job };
    this._stop = () => Promise.resolve();
    const begun = (id: string): void => {
      this._stop = () => this._model.api.stopFetch(id);
    };
    const report = (progress: IProgress): void => this._setProgress(progress);
    const submitted = await sendRepository(this._model.api, wish, begun, report);
    this.fields = { ...this.fields, token: '' };
    return submitted;
  }

  /** Name the project after what is submitted, until it is named by hand. */
  private _nameProject(): void {
    if (!this._touched.has('project')) {
      const { source, git } = this.fields;
      const project = source === 'git' ? repositoryName(git) : (this.preview?.project ?? '');
      this.fields = { ...this.fields, project };
    }
  }

  /** What was typed for a directory is there again when the directory is; never a token. */
  private _keepDraft(): void {
    if (this._touched.size) {
      this._drafts.set(this.target.directory, {
        fields: { ...this.fields, token: '' },
        touched: [...this._touched]
      });
    }
  }

  private _takeDraft(): void {
    const { profile, owner } = this.fields;
    const draft = this._drafts.get(this.target.directory);
    this._touched.clear();
    draft?.touched.forEach(name => this._touched.add(name));
    this.fields = { ...(draft?.fields ?? EMPTY), profile, owner };
  }

  private _setProgress(progress: IProgress | null): void {
    this.progress = progress;
    if (!this._disposed) {
      this.changed.emit();
    }
  }

  private _onFileChanged(_: unknown, path: string): void {
    if (isBelow(path, this.target.directory)) {
      this._lookSoon(SAVING_MILLISECONDS);
    }
  }

  private _onModelChanged(): void {
    void this._suggestCommand();
    this.changed.emit();
  }

  private _lookSoon(milliseconds: number): void {
    clearTimeout(this._timer);
    if (!this._active) {
      this.preview = null;
      return;
    }
    this._timer = setTimeout(() => void this._look(), milliseconds);
  }

  private async _lookNow(): Promise<void> {
    clearTimeout(this._timer);
    await this._look();
  }

  private async _look(): Promise<void> {
    this._looking?.abort();
    const looking = (this._looking = new AbortController());
    const { directory } = this.target;
    try {
      const [preview, notebooks] = await Promise.all([
        this._model.api.preview(directory, looking.signal),
        this._files.notebooks(directory)
      ]);
      if (looking.signal.aborted) {
        return;
      }
      this._seen(preview, notebooks);
    } catch (error) {
      if (looking.signal.aborted) {
        return;
      }
      this.preview = null;
      this.previewError = messageOf(error);
    }
    this.changed.emit();
  }

  private _seen(preview: IPreview, notebooks: string[]): void {
    this.preview = preview;
    this.previewError = '';
    this.notebooks = notebooks;
    this._nameProject();
    if (this.fields.source === 'directory' && !notebooks.includes(this.fields.notebook)) {
      this.fields = { ...this.fields, notebook: notebooks[0] ?? '' };
    }
    void this._suggestCommand();
  }

  /** Offer the command of this project's last job, so that running again is one click. */
  private async _suggestCommand(): Promise<void> {
    const { directory } = this.target;
    if (!this.preview || this._touched.has('command') || this.fields.command) {
      return;
    }
    const mine = this._model.jobs.filter(job => job.user === this._model.me?.name);
    const last = mine.find(job => job.project === this.preview?.project);
    if (!last || this._suggestedFrom === last.id) {
      return;
    }
    this._suggestedFrom = last.id;
    const job = await this._model.api.job(last.id).catch(() => null);
    const stillAsked = !this._touched.has('command') && this.target.directory === directory;
    if (job && !job.notebook && stillAsked && !this._disposed) {
      this.fields = { ...this.fields, command: commandLine(job.command) };
      this.changed.emit();
    }
  }

  private async _readProjects(): Promise<void> {
    // Only suggestions: without them any name can still be typed.
    this._projects = await this._model.api.projects().catch(() => this._projects);
    if (!this._disposed) {
      this.changed.emit();
    }
  }

  private _projects: IProject[] = [];
  private readonly _drafts = new Map<string, { fields: IFields; touched: FieldName[] }>();
  private readonly _touched = new Set<FieldName>();
  private _suggestedFrom = '';
  /** Ends the submission that is on its way. */
  private _stop: () => Promise<void> = () => Promise.resolve();
  private _active = false;
  private _looking: AbortController | null = null;
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _disposed = false;
}
