import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';
import { useId } from 'react';

import type { SubmitForm } from '../submit/form';

export interface IPreemptibleFieldProps {
  form: SubmitForm;
  trans: TranslationBundle;
}

/** Whether the job uses what is free and gives way when others need it. */
export function PreemptibleField({ form, trans }: IPreemptibleFieldProps): JSX.Element {
  const id = useId();
  return (
    <div className="jp-himalia-Check">
      <input
        id={id}
        type="checkbox"
        aria-describedby={`${id}-said`}
        checked={form.fields.preemptible}
        onChange={event => form.set('preemptible', event.target.checked)}
      />
      <label htmlFor={id}>{trans.__('Gives way when others need the GPU (preemptible)')}</label>
      <p id={`${id}-said`} className="jp-himalia-Hint">
        {trans.__(
          'It takes what is free, is stopped when somebody before it needs that, and is run again by itself: keep checkpoints in /storage.'
        )}
      </p>
    </div>
  );
}
