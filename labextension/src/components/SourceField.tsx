import type { TranslationBundle } from '@jupyterlab/translation';
import { folderIcon, refreshIcon } from '@jupyterlab/ui-components';
import type { JSX } from 'react';

import type { IFields } from '../submit/fields';
import type { SubmitForm } from '../submit/form';
import { Field } from './Field';
import { PreviewLine } from './PreviewLine';

export interface ISourceFieldProps {
  form: SubmitForm;
  trans: TranslationBundle;
}

/** Where the files come from: the directory in front of the person, or a repository that the platform fetches. */
export function SourceField({ form, trans }: ISourceFieldProps): JSX.Element {
  return (
    <>
      <div
        className="jp-himalia-Kinds"
        role="radiogroup"
        aria-label={trans.__('Where the files come from')}
      >
        <Source form={form} source="directory" label={trans.__('Directory')} />
        <Source form={form} source="git" label={trans.__('Git repository')} />
      </div>
      {form.fields.source === 'git' ? (
        <GitFields form={form} trans={trans} />
      ) : (
        <>
          <TargetLine form={form} trans={trans} />
          <PreviewLine
            preview={form.preview}
            error={form.errors.directory ?? form.previewError}
            trans={trans}
          />
        </>
      )}
    </>
  );
}

function Source(props: {
  form: SubmitForm;
  source: IFields['source'];
  label: string;
}): JSX.Element {
  const { form, source, label } = props;
  const chosen = form.fields.source === source;
  return (
    <label className="jp-himalia-Kind" data-chosen={chosen}>
      <input
        type="radio"
        name="jp-himalia-source"
        checked={chosen}
        onChange={() => form.set('source', source)}
      />
      {label}
    </label>
  );
}

function GitFields({ form, trans }: ISourceFieldProps): JSX.Element {
  return (
    <>
      <Field
        label={trans.__('Address')}
        error={form.errors.git}
        hint={trans.__('With @BRANCH, @TAG or @COMMIT behind it where another one is meant.')}
      >
        {(id, describedBy) => (
          <input
            id={id}
            aria-describedby={describedBy}
            className="jp-mod-styled"
            spellCheck={false}
            placeholder="https://github.com/OWNER/NAME"
            value={form.fields.git}
            onChange={event => form.set('git', event.target.value)}
          />
        )}
      </Field>
      <Field
        label={trans.__('Token')}
        error={form.errors.token}
        hint={trans.__('For a private repository: one that may read it. It is kept nowhere.')}
      >
        {(id, describedBy) => (
          <input
            id={id}
            aria-describedby={describedBy}
            className="jp-mod-styled"
            type="password"
            autoComplete="off"
            value={form.fields.token}
            onChange={event => form.set('token', event.target.value)}
          />
        )}
      </Field>
    </>
  );
}

function TargetLine({ form, trans }: ISourceFieldProps): JSX.Element {
  const { directory } = form.target;
  return (
    <div className="jp-himalia-Target">
      <folderIcon.react tag="span" width="16px" height="16px" />
      <span className="jp-himalia-Target-path" title={`~/${directory}`}>
        {`~/${directory}`}
      </span>
      <button
        type="button"
        className="jp-himalia-IconButton"
        title={trans.__('Look at the files again')}
        aria-label={trans.__('Look at the files again')}
        onClick={() => form.look()}
      >
        <refreshIcon.react tag="span" width="14px" height="14px" />
      </button>
    </div>
  );
}
