import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';
import { useState } from 'react';

import { formatDuration } from '../format';
import type { SubmitForm } from '../submit/form';
import { Field } from './Field';
import { PreemptibleField } from './PreemptibleField';
import { TextField } from './TextField';

export interface IMoreFieldsProps {
  form: SubmitForm;
  /** The teams of who submits. */
  teams: string[];
  trans: TranslationBundle;
}

/** What most people leave as it is. */
export function MoreFields({ form, teams, trans }: IMoreFieldsProps): JSX.Element {
  const { profile, errors } = form;
  // What was opened for a refusal stays open while it is put right.
  const [open, setOpen] = useState(false);
  const limit = profile && formatDuration(profile.time_limit_seconds);
  const most = profile && formatDuration(profile.max_time_limit_seconds);
  const { name, timeout, warn, retries, retry_on: causes, owner } = errors;
  const refused = [name, timeout, warn, retries, causes, owner].some(error => error !== undefined);
  return (
    <details
      className="jp-himalia-More"
      open={open || refused}
      onToggle={event => setOpen(event.currentTarget.open)}
    >
      <summary>{trans.__('More')}</summary>
      {teams.length > 0 && <OwnerField form={form} teams={teams} trans={trans} />}
      <TextField
        form={form}
        name="name"
        label={trans.__('Name')}
        placeholder={trans.__('made from the command')}
      />
      <TextField
        form={form}
        name="timeout"
        label={trans.__('Time limit')}
        placeholder={limit}
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
      <PreemptibleField form={form} trans={trans} />
    </details>
  );
}

/** Whether the job is one's own, or belongs to a team that sees it too. */
function OwnerField({ form, teams, trans }: IMoreFieldsProps): JSX.Element {
  const { owner } = form.fields;
  const hint = owner
    ? trans.__('Everybody in the team sees it, its log and its artifacts, and may cancel it.')
    : undefined;
  return (
    <Field label={trans.__('Shared with')} error={form.errors.owner} hint={hint}>
      {(id, describedBy) => (
        <div className="jp-himalia-Select">
          <select
            id={id}
            aria-describedby={describedBy}
            className="jp-mod-styled"
            value={owner}
            onChange={event => form.set('owner', event.target.value)}
          >
            <option value="">{trans.__('nobody')}</option>
            {teams.map(team => (
              <option key={team} value={`team:${team}`}>
                {trans.__('team %1', team)}
              </option>
            ))}
          </select>
        </div>
      )}
    </Field>
  );
}
