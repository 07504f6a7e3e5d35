import type { JSX } from 'react';

import type { SubmitForm } from '../submit/form';
import { Field } from './Field';

export interface IPairsFieldProps {
  form: SubmitForm;
  name: 'env' | 'parameters';
  label: string;
  placeholder: string;
  hint: string;
}

/** Pairs of the form, one on each line. */
export function PairsField({
  form,
  name,
  label,
  placeholder,
  hint
}: IPairsFieldProps): JSX.Element {
  const text = form.fields[name];
  return (
    <Field label={label} error={form.errors[name]} hint={hint}>
      {(id, describedBy) => (
        <textarea
          id={id}
          aria-describedby={describedBy}
          className="jp-mod-styled jp-himalia-Pairs"
          rows={Math.min(6, text.split('\n').length)}
          autoComplete="off"
          spellCheck={false}
          placeholder={placeholder}
          value={text}
          onChange={event => form.set(name, event.target.value)}
        />
      )}
    </Field>
  );
}
