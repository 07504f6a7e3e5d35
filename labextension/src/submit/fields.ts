import { UUID } from '@lumino/coreutils';

import { ApiError, messageOf } from '../api';
import type { IJobRequest, IPreview, IProfile } from '../words';
import { oddLine, pairsOf, valueOf } from './pairs';

/** What a person fills in. */
export interface IFields {
  /** Where the files come from: the directory in front, or a repository that the platform fetches. */
  source: 'directory' | 'git';
  /** The address of the repository, with `@` and a branch, a tag or a commit behind it. */
  git: string;
  /** Of a private repository; kept nowhere. */
  token: string;
  kind: 'command' | 'notebook';
  command: string;
  notebook: string;
  /** Of the notebook: `NAME=VALUE`, one on each line. */
  parameters: string;
  profile: string;
  /** The GPU request; empty for the profile's. */
  gpus: string;
  project: string;
  /** The owner of the project; empty for one's own. */
  owner: string;
  name: string;
  experiment: string;
  /** Variables of the environment: `NAME=VALUE`, one on each line. */
  env: string;
  /** Where in what is submitted it runs. */
  workdir: string;
  cpus: string;
  memory: string;
  /** What it may write to the data disk. */
  disk: string;
  timeout: string;
  warn: string;
  retries: string;
  retry_on: string;
  /** Whether it gives way when others need the GPU. */
  preemptible: boolean;
}

export type FieldName = keyof IFields | 'directory' | 'form';
export type Errors = Partial<Record<FieldName, string>>;

export const EMPTY: IFields = {
  source: 'directory',
  git: '',
  token: '',
  kind: 'command',
  command: '',
  notebook: '',
  parameters: '',
  profile: '',
  gpus: '',
  project: '',
  owner: '',
  name: '',
  experiment: '',
  env: '',
  workdir: '',
  cpus: '',
  memory: '',
  disk: '',
  timeout: '',
  warn: '',
  retries: '',
  retry_on: '',
  preemptible: false
};

/** Return what is missing before anything can be sent. */
export function missingIn(fields: IFields, preview: IPreview | null, previewError: string): Errors {
  const { source, git, kind, command, notebook, project, cpus, retries } = fields;
  const errors: Errors = {};
  if (source === 'git' && !git.trim()) {
    errors.git = 'Write the address, such as https://github.com/OWNER/NAME.';
  }
  if (kind === 'command' && !command.trim()) {
    errors.command = 'Write the command to run, such as python train.py.';
  }
  if (kind === 'notebook' && !notebook.trim()) {
    errors.notebook =
      source === 'git'
        ? 'Write the path of the notebook in the repository.'
        : 'Choose a notebook; this directory needs to have one.';
  }
  for (const pairs of kind === 'notebook' ? (['parameters', 'env'] as const) : (['env'] as const)) {
    const odd = oddLine(fields[pairs]);
    if (odd !== undefined) {
      errors[pairs] = `'${odd.trim()}' is no pair. Write NAME=VALUE, one on each line.`;
    }
  }
  if (!/^(\d+(\.\d*)?|\.\d+)?$/.test(cpus.trim())) {
    errors.cpus = 'Write how many, such as 2 or 0.5.';
  }
  if (!/^\d*$/.test(retries.trim())) {
    errors.retries = 'Write how often, such as 3.';
  }
  if (source === 'directory' && !project.trim() && !preview) {
    errors.directory = previewError;
  }
  return errors;
}

/** Return the job that the fields ask for. */
export function requestOf(
  fields: IFields,
  profile: IProfile | undefined,
  preview: IPreview | null
): IJobRequest {
  const { source, git, kind, command, notebook, project, owner, gpus, name, preemptible } = fields;
  const { cpus, memory, disk, timeout, warn, retries, retry_on: causes } = fields;
  const { experiment, env, workdir } = fields;
  const again = Number(retries.trim());
  const named = source === 'git' ? repositoryName(git) : (preview?.project ?? '');
  return {
    project: project.trim() || named,
    ...(owner && { owner }),
    ...(profile && { profile: profile.name }),
    ...(gpus.trim() && { gpus: gpus.trim() }),
    ...(preemptible && { preemptible }),
    ...(name.trim() && { name: name.trim() }),
    ...(experiment.trim() && { experiment: experiment.trim() }),
    ...(env.trim() && { env: Object.fromEntries(pairsOf(env)) }),
    ...(workdir.trim() && { workdir: workdir.trim() }),
    ...(cpus.trim() && { cpus: Number(cpus.trim()) }),
    ...(memory.trim() && { memory: memory.trim() }),
    ...(disk.trim() && { disk: disk.trim() }),
    ...(timeout.trim() && { timeout: timeout.trim() }),
    ...(warn.trim() && { warn: warn.trim() }),
    ...(again && { retries: again }),
    ...(again && causes.trim() && { retry_on: causes.trim() }),
    ...(kind === 'command'
      ? { command: command.trim() }
      : { notebook: { path: notebook.trim(), parameters: parametersOf(fields) } }),
    idempotency_key: UUID.uuid4()
  };
}

function parametersOf({ parameters }: IFields): Record<string, unknown> {
  return Object.fromEntries(pairsOf(parameters).map(([name, text]) => [name, valueOf(text)]));
}

/** Return what a project is called after a repository: the last part of its path. */
export function repositoryName(address: string): string {
  const path = address.trim().replace(/^https:\/\/[^/]*\/?/i, '');
  const plain = path
    .replace(/\/(-\/)?(tree|commit)\/.*$/, '')
    .replace(/@.*$/, '')
    .replace(/\/+$/, '');
  const name = plain.slice(plain.lastIndexOf('/') + 1).replace(/\.git$/, '');
  return name.replace(/[^A-Za-z0-9._-]+/g, '-').replace(/^[-._]+|[-._]+$/g, '');
}

const SHOWN: ReadonlySet<string> = new Set([...Object.keys(EMPTY), 'directory']);

/** Put what was refused at its fields; what has no field here goes below the form. */
export function errorsOf(error: unknown): Errors {
  if (error instanceof ApiError && error.code === 'cancelled') {
    return {};
  }
  const fields = error instanceof ApiError ? Object.entries(error.fields) : [];
  const known = fields.filter(([name]) => SHOWN.has(name));
  return known.length ? Object.fromEntries(known) : { form: messageOf(error) };
}
