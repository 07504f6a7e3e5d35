import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import { formatDuration } from '../format';
import type { SubmitForm } from '../submit/form';
import { Field } from './Field';
import { PreemptibleField } from './PreemptibleField';

export interface IMoreFieldsProps {
  form: SubmitForm;
  /** The teams of who submits. */
  teams: string[];
  trans: TranslationBundle;
}

/** What most people leave as it is. */
export function MoreFields({ form, teams, trans }: IMoreFieldsProps): JSX.Element {
  const { profile, errors } = form;
  const limit = profile && formatDuration(profile.time_limit_seconds);
  const most = profile && formatDuration(profile.max_time_limit_seconds);
  const refused = [errors.name, errors.timeout, errors.owner].some(error => error !== undefined);
  return (
    <details className="jp-himalia-More" open={refused || undefined}>
      <summary>{trans.__('More')}</summary>
      {teams.length > 0 && <OwnerField form={form} teams={teams} trans={trans} />}
      <Field label={trans.__('Name')} error={errors.name}>
        {(id, describedBy) => (
          <input
            id={id}
            aria-describedby={describedBy}
            className="jp-mod-styled"
            placeholder={trans.__('made from the command')}
            value={form.fields.name}
            onChange={event => form.set('name', event.target.value)}
          />
        )}
      </Field>
      <Field
        label={trans.__('Time limit')}
        error={errors.timeout}
        hint={most && trans.__('Such as 30m or 2h; at most %1.', most)}
      >
        {(id, describedBy) => (
          <input
            id={id}
            aria-describedby={describedBy}
            className="jp-mod-styled"
            placeholder={limit}
            value={form.fields.timeout}
            onChange={event => form.set('timeout', event.target.value)}
          />
        )}
      </Field>
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
