import type { TranslationBundle } from '@jupyterlab/translation';
import type { FormEvent, JSX, KeyboardEvent } from 'react';

import type { SubmitForm } from '../submit/form';
import type { IProfile } from '../words';
import { Field } from './Field';
import { GpuField } from './GpuField';
import { MoreFields } from './MoreFields';
import { ProfileField } from './ProfileField';
import { SendButton } from './SendButton';
import { SourceField } from './SourceField';
import { WorkField } from './WorkField';

export interface ISubmitViewProps {
  form: SubmitForm;
  profiles: IProfile[];
  /** The teams of who submits. */
  teams: string[];
  trans: TranslationBundle;
}

/** The form that submits the directory in front of a person, or a repository. */
export function SubmitView({ form, profiles, teams, trans }: ISubmitViewProps): JSX.Element {
  const send = (event: FormEvent): void => {
    event.preventDefault();
    void form.submit();
  };
  const sendByKey = (event: KeyboardEvent): void => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) {
      send(event);
    }
  };
  const busy = form.progress !== null;
  return (
    <form className="jp-himalia-Submit" onSubmit={send} onKeyDown={sendByKey} aria-busy={busy}>
      <SourceField form={form} trans={trans} />
      <WorkField form={form} trans={trans} />
      <ProfileField form={form} profiles={profiles} trans={trans} />
      <GpuField form={form} trans={trans} />
      <Field label={trans.__('Project')} error={form.errors.project}>
        {(id, describedBy) => (
          <>
            <input
              id={id}
              aria-describedby={describedBy}
              className="jp-mod-styled"
              list={`${id}-known`}
              value={form.fields.project}
              spellCheck={false}
              onChange={event => form.set('project', event.target.value)}
            />
            <datalist id={`${id}-known`}>
              {form.projects.map(name => (
                <option key={name} value={name} />
              ))}
            </datalist>
          </>
        )}
      </Field>
      <MoreFields form={form} teams={teams} trans={trans} />
      <SendButton form={form} trans={trans} />
      {form.errors.form && (
        <p className="jp-himalia-Error" role="alert">
          {form.errors.form}
        </p>
      )}
    </form>
  );
}
