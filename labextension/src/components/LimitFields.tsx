import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import { formatDuration, formatSize } from '../format';
import type { SubmitForm } from '../submit/form';
import type { IProfile } from '../words';
import type { TextName } from './TextField';
import { TextField } from './TextField';

/** The fields below. */
export const LIMITS: readonly TextName[] = [
  'cpus',
  'memory',
  'disk',
  'timeout',
  'warn',
  'retries',
  'retry_on'
];

export interface ILimitFieldsProps {
  form: SubmitForm;
  trans: TranslationBundle;
}

/** How much the job gets, how long it may take, and how often it is tried; what the profile says until something is typed. */
export function LimitFields({ form, trans }: ILimitFieldsProps): JSX.Element {
  const { profile } = form;
  const ofProfile = (value: string | undefined): string | undefined =>
    value && trans.__('%1, as the profile says', value);
  const limit = profile && formatDuration(profile.time_limit_seconds);
  const most = profile && formatDuration(profile.max_time_limit_seconds);
  return (
    <>
      <TextField
        form={form}
        name="cpus"
        label={trans.__('CPUs')}
        placeholder={ofProfile(profile && String(profile.cpus))}
        hint={trans.__('Such as 2 or 0.5.')}
      />
      <TextField
        form={form}
        name="memory"
        label={trans.__('Memory')}
        placeholder={ofProfile(profile && formatSize(profile.memory_bytes))}
        hint={trans.__('Such as 8G; /dev/shm may take half of it.')}
      />
      <TextField
        form={form}
        name="disk"
        label={trans.__('Disk')}
        placeholder={ofProfile(diskOf(profile, trans))}
        hint={diskHint(profile, trans)}
      />
      <TextField
        form={form}
        name="timeout"
        label={trans.__('Time limit')}
        placeholder={ofProfile(limit)}
        hint={most && trans.__('Such as 30m or 2h; at most %1.', most)}
      />
      <TextField
        form={form}
        name="warn"
        label={trans.__('Warning before it')}
        placeholder={trans.__('none')}
        hint={trans.__('Such as 5m: processes with a handler for SIGUSR1 are sent that signal.')}
      />
      <TextField
        form={form}
        name="retries"
        label={trans.__('Retries')}
        placeholder="0"
        hint={trans.__('How often to try again after a failure; each attempt begins anew.')}
      />
      {form.fields.retries.trim() && (
        <TextField
          form={form}
          name="retry_on"
          label={trans.__('After')}
          placeholder="exit,signal,oom,lost"
          hint={trans.__('Such as oom,lost,exit:75.')}
        />
      )}
    </>
  );
}

function diskOf(profile: IProfile | undefined, trans: TranslationBundle): string | undefined {
  if (profile?.disk_bytes === undefined) {
    return undefined;
  }
  return profile.disk_bytes === null ? trans.__('no limit') : formatSize(profile.disk_bytes);
}

function diskHint(profile: IProfile | undefined, trans: TranslationBundle): string {
  const most = profile?.max_disk_bytes;
  return most
    ? trans.__('What it may write, /storage aside: such as 50G; at most %1.', formatSize(most))
    : trans.__('What it may write, /storage aside: such as 50G.');
}
