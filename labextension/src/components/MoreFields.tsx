import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';
import { useState } from 'react';

import type { FieldName } from '../submit/fields';
import type { SubmitForm } from '../submit/form';
import { Field } from './Field';
import { LIMITS, LimitFields } from './LimitFields';
import { PairsField } from './PairsField';
import { PreemptibleField } from './PreemptibleField';
import { TextField } from './TextField';

export interface IMoreFieldsProps {
  form: SubmitForm;
  /** The teams of who submits. */
  teams: string[];
  trans: TranslationBundle;
}

/** What can be refused here. */
const HERE: readonly FieldName[] = ['owner', 'name', 'experiment', 'env', 'workdir', ...LIMITS];

/** What most people leave as it is. */
export function MoreFields({ form, teams, trans }: IMoreFieldsProps): JSX.Element {
  // What was opened for a refusal stays open while it is put right.
  const [open, setOpen] = useState(false);
  const refused = HERE.some(name => form.errors[name] !== undefined);
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
        name="experiment"
        label={trans.__('Experiment')}
        placeholder={trans.__('none')}
        hint={trans.__('A group of jobs in the project, such as the runs of one sweep.')}
      />
      <LimitFields form={form} trans={trans} />
      <PairsField
        form={form}
        name="env"
        label={trans.__('Variables')}
        placeholder="WANDB_MODE=offline"
        hint={trans.__(
          'Of the environment, one on each line. Their values are read by you and administrators alone.'
        )}
      />
      <TextField
        form={form}
        name="workdir"
        label={trans.__('Working directory')}
        placeholder={trans.__('the submitted one')}
        hint={trans.__('Where in what is submitted the job runs, such as src.')}
      />
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
