import type { JSX } from 'react';

import type { SubmitForm } from '../submit/form';
import { Field } from './Field';

/** The fields that are one line of text. */
export type TextName =
  | 'cpus'
  | 'disk'
  | 'experiment'
  | 'git'
  | 'gpus'
  | 'memory'
  | 'name'
  | 'notebook'
  | 'retries'
  | 'retry_on'
  | 'timeout'
  | 'token'
  | 'warn'
  | 'workdir';

export interface ITextFieldProps {
  form: SubmitForm;
  name: TextName;
  label: string;
  placeholder?: string;
  hint?: string;
  /** Whether it is hidden while it is typed, and remembered by no browser. */
  secret?: boolean;
}

/** One line of text of the form. */
export function TextField({
  form,
  name,
  label,
  placeholder,
  hint,
  secret
}: ITextFieldProps): JSX.Element {
  return (
    <Field label={label} error={form.errors[name]} hint={hint}>
      {(id, describedBy) => (
        <input
          id={id}
          aria-describedby={describedBy}
          className="jp-mod-styled"
          type={secret ? 'password' : 'text'}
          autoComplete="off"
          spellCheck={false}
          placeholder={placeholder}
          value={form.fields[name]}
          onChange={event => form.set(name, event.target.value)}
        />
      )}
    </Field>
  );
}
