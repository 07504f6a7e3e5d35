import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import { formatSize } from '../format';
import type { SubmitForm } from '../submit/form';
import type { IProfile } from '../words';
import { Field } from './Field';

export interface IProfileFieldProps {
  form: SubmitForm;
  profiles: IProfile[];
  trans: TranslationBundle;
}

/** What the job gets: the profiles, each with whether it could start now. */
export function ProfileField({ form, profiles, trans }: IProfileFieldProps): JSX.Element {
  return (
    <Field
      label={trans.__('Profile')}
      error={form.errors.profile}
      hint={form.profile && profileHint(form.profile, trans)}
    >
      {(id, describedBy) => (
        <div className="jp-himalia-Select">
          <select
            id={id}
            aria-describedby={describedBy}
            className="jp-mod-styled"
            value={form.profile?.name ?? ''}
            onChange={event => form.set('profile', event.target.value)}
          >
            {profiles.map(profile => (
              <option key={profile.name} value={profile.name}>
                {profileText(profile, trans)}
              </option>
            ))}
          </select>
        </div>
      )}
    </Field>
  );
}

function profileText(profile: IProfile, trans: TranslationBundle): string {
  const state = profile.free_now ? trans.__('free now') : trans.__('waits');
  return `${profile.title || profile.name} — ${state}`;
}

/** Say what the profile gives, and what is free or who is before. */
function profileHint(profile: IProfile, trans: TranslationBundle): string {
  const cpus = trans._n('%1 CPU', '%1 CPUs', profile.cpus);
  const gpus = profile.gpus === '0' ? trans.__('no GPU') : trans.__('GPU: %1', profile.gpus);
  return `${cpus}, ${formatSize(profile.memory_bytes)}, ${gpus}. ${profile.sentence}`.trim();
}
