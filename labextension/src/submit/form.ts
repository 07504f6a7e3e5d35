import { UUID } from '@lumino/coreutils';
import type { IDisposable } from '@lumino/disposable';
import { Signal } from '@lumino/signaling';

import { ApiError, messageOf } from '../api';
import type { JobsModel } from '../model';
import type { IJob, IJobRequest, IPreview, IProfile, IProgress, IProject } from '../words';
import { commandLine } from './command';
import type { IFiles } from './files';
import { isBelow, nameOf } from './paths';
import { sendJob } from './send';
import type { ITarget } from './target';

const TYPING_MILLISECONDS = 250;
const SAVING_MILLISECONDS = 1500;

/** What a person fills in. */
export interface IFields {
  kind: 'command' | 'notebook';
  command: string;
  notebook: string;
  profile: string;
  /** The GPU request; empty for the profile's. */
  gpus: string;
  project: string;
  /** The owner of the project; empty for one's own. */
  owner: string;
  name: string;
  timeout: string;
  warn: string;
  retries: string;
  retry_on: string;
  /** Whether it gives way when others need the GPU. */
  preemptible: boolean;
}

type FieldName = keyof IFields | 'directory' | 'form';

const EMPTY: IFields = {
  kind: 'command',
  command: '',
  notebook: '',
  profile: '',
  gpus: '',
  project: '',
  owner: '',
  name: '',
  timeout: '',
  warn: '',
  retries: '',
  retry_on: '',
  preemptible: false
};

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
  errors: Partial<Record<FieldName, string>> = {};
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
    if (!this.preview && !this.fields.project.trim()) {
      // Whoever is faster than the look at the files waits for it: it names the project.
      await this._lookNow();
    }
    this.errors = this._missing();
    if (Object.keys(this.errors).length) {
      this._setProgress(null);
      return;
    }
    const { directory } = this.target;
    const request = this._request();
    this._key = request.idempotency_key;
    try {
      await this._files.saveBelow(directory);
      const report = (progress: IProgress): void => this._setProgress(progress);
      const job = await sendJob(this._model.api, directory, request, report);
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
      await this._model.api.cancelSubmission(this._key).catch(() => undefined);
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

  /** What was typed for a directory is there again when the directory is. */
  private _keepDraft(): void {
    if (this._touched.size) {
      this._drafts.set(this.target.directory, {
        fields: this.fields,
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

  private _missing(): Partial<Record<FieldName, string>> {
    const { kind, command, notebook, project, retries } = this.fields;
    const errors: Partial<Record<FieldName, string>> = {};
    if (kind === 'command' && !command.trim()) {
      errors.command = 'Write the command to run, such as python train.py.';
    }
    if (kind === 'notebook' && !notebook) {
      errors.notebook = 'Choose a notebook; this directory needs to have one.';
    }
    if (!/^\d*$/.test(retries.trim())) {
      errors.retries = 'Write how often, such as 3.';
    }
    if (!project.trim() && !this.preview) {
      errors.directory = this.previewError;
    }
    return errors;
  }

  private _request(): IJobRequest {
    const { kind, command, notebook, project, owner, gpus, name, preemptible } = this.fields;
    const { timeout, warn, retries, retry_on: causes } = this.fields;
    const again = Number(retries.trim());
    return {
      project: project.trim() || (this.preview?.project ?? ''),
      ...(owner && { owner }),
      ...(this.profile && { profile: this.profile.name }),
      ...(gpus.trim() && { gpus: gpus.trim() }),
      ...(preemptible && { preemptible }),
      ...(name.trim() && { name: name.trim() }),
      ...(timeout.trim() && { timeout: timeout.trim() }),
      ...(warn.trim() && { warn: warn.trim() }),
      ...(again && { retries: again }),
      ...(again && causes.trim() && { retry_on: causes.trim() }),
      ...(kind === 'command'
        ? { command: command.trim() }
        : { notebook: { path: notebook, parameters: {} } }),
      idempotency_key: UUID.uuid4()
    };
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
    if (!this._touched.has('project')) {
      this.fields = { ...this.fields, project: preview.project };
    }
    if (!notebooks.includes(this.fields.notebook)) {
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
  /** Of the submission that is on its way. */
  private _key = '';
  private _active = false;
  private _looking: AbortController | null = null;
  private _timer: ReturnType<typeof setTimeout> | undefined;
  private _disposed = false;
}

const SHOWN: ReadonlySet<string> = new Set([...Object.keys(EMPTY), 'directory']);

/** Put what was refused at its fields; what has no field here goes below the form. */
function errorsOf(error: unknown): Partial<Record<FieldName, string>> {
  if (error instanceof ApiError && error.code === 'cancelled') {
    return {};
  }
  const fields = error instanceof ApiError ? Object.entries(error.fields) : [];
  const known = fields.filter(([name]) => SHOWN.has(name));
  return known.length ? Object.fromEntries(known) : { form: messageOf(error) };
}
