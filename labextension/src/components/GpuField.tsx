import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import type { SubmitForm } from '../submit/form';
import { TextField } from './TextField';

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
    <TextField
      form={form}
      name="gpus"
      label={trans.__('GPU request')}
      placeholder={profile && trans.__('%1, as the profile says', profile.gpus)}
      hint={trans.__('Such as 2, A100,H100:1 or shared.')}
    />
  );
}
