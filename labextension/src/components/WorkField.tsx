import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import type { IFields } from '../submit/fields';
import type { SubmitForm } from '../submit/form';
import { Field } from './Field';
import { PairsField } from './PairsField';
import { TextField } from './TextField';

export interface IWorkFieldProps {
  form: SubmitForm;
  trans: TranslationBundle;
}

/** What to run: a command, or a notebook of the directory. */
export function WorkField({ form, trans }: IWorkFieldProps): JSX.Element {
  return (
    <>
      <div className="jp-himalia-Kinds" role="radiogroup" aria-label={trans.__('What to run')}>
        <Kind form={form} kind="command" label={trans.__('Command')} />
        <Kind form={form} kind="notebook" label={trans.__('Notebook')} />
      </div>
      {form.fields.kind === 'command' ? (
        <CommandField form={form} trans={trans} />
      ) : form.fields.source === 'git' ? (
        <NotebookPath form={form} trans={trans} />
      ) : (
        <NotebookField form={form} trans={trans} />
      )}
      {form.fields.kind === 'notebook' && (
        <PairsField
          form={form}
          name="parameters"
          label={trans.__('Parameters')}
          placeholder="learning_rate=0.1"
          hint={trans.__(
            'One on each line; they take the place of those in the cell that has the tag parameters.'
          )}
        />
      )}
    </>
  );
}

function Kind(props: { form: SubmitForm; kind: IFields['kind']; label: string }): JSX.Element {
  const { form, kind, label } = props;
  const chosen = form.fields.kind === kind;
  return (
    <label className="jp-himalia-Kind" data-chosen={chosen}>
      <input
        type="radio"
        name="jp-himalia-kind"
        checked={chosen}
        onChange={() => form.set('kind', kind)}
      />
      {label}
    </label>
  );
}

function CommandField({ form, trans }: IWorkFieldProps): JSX.Element {
  const lines = form.fields.command.split('\n').length;
  return (
    <Field label={trans.__('Command')} error={form.errors.command}>
      {(id, describedBy) => (
        <textarea
          id={id}
          aria-describedby={describedBy}
          className="jp-mod-styled jp-himalia-Command"
          rows={Math.min(8, Math.max(2, lines))}
          spellCheck={false}
          placeholder="python train.py"
          value={form.fields.command}
          onFocus={() => form.hold('command')}
          onChange={event => form.set('command', event.target.value)}
        />
      )}
    </Field>
  );
}

function NotebookPath({ form, trans }: IWorkFieldProps): JSX.Element {
  return (
    <TextField
      form={form}
      name="notebook"
      label={trans.__('Notebook')}
      placeholder="train.ipynb"
      hint={trans.__('Its path in the repository.')}
    />
  );
}

function NotebookField({ form, trans }: IWorkFieldProps): JSX.Element {
  const { notebook } = form.fields;
  const names =
    form.notebooks.includes(notebook) || !notebook ? form.notebooks : [notebook, ...form.notebooks];
  const hint = names.length
    ? trans.__('Its cells run from top to bottom; what they showed is kept as an artifact.')
    : trans.__('There is no notebook in this directory.');
  return (
    <Field label={trans.__('Notebook')} error={form.errors.notebook} hint={hint}>
      {(id, describedBy) => (
        <div className="jp-himalia-Select">
          <select
            id={id}
            aria-describedby={describedBy}
            className="jp-mod-styled"
            value={notebook}
            disabled={names.length === 0}
            onChange={event => form.set('notebook', event.target.value)}
          >
            {names.map(name => (
              <option key={name}>{name}</option>
            ))}
          </select>
        </div>
      )}
    </Field>
  );
}
