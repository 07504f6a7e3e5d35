import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import type { SubmitForm } from '../submit/form';
import { Field } from './Field';

export interface IGpuFieldProps {
  form: SubmitForm;
  trans: TranslationBundle;
}

/** Which GPUs the job asks for; what the profile says until something else is typed. */
export function GpuField({ form, trans }: IGpuFieldProps): JSX.Element | null {
  const { errors, fields, profile } = form;
  if (!form.hasGpus && !fields.gpus && errors.gpus === undefined) {
    return null;
  }
  return (
    <Field
      label={trans.__('GPU request')}
      error={errors.gpus}
      hint={trans.__('Such as 2, A100,H100:1 or shared.')}
    >
      {(id, describedBy) => (
        <input
          id={id}
          aria-describedby={describedBy}
          className="jp-mod-styled"
          placeholder={profile && trans.__('%1, as the profile says', profile.gpus)}
          spellCheck={false}
          autoComplete="off"
          value={fields.gpus}
          onChange={event => form.set('gpus', event.target.value)}
        />
      )}
    </Field>
  );
}
