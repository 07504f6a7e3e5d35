import type { TranslationBundle } from '@jupyterlab/translation';
import { folderIcon, refreshIcon } from '@jupyterlab/ui-components';
import type { JSX } from 'react';

import type { IFields } from '../submit/fields';
import type { SubmitForm } from '../submit/form';
import { PreviewLine } from './PreviewLine';
import { TextField } from './TextField';

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
      <TextField
        form={form}
        name="git"
        label={trans.__('Address')}
        placeholder="https://github.com/OWNER/NAME"
        hint={trans.__('With @BRANCH, @TAG or @COMMIT behind it where another one is meant.')}
      />
      <TextField
        form={form}
        name="token"
        label={trans.__('Token')}
        hint={trans.__('For a private repository: one that may read it. It is kept nowhere.')}
        secret
      />
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
