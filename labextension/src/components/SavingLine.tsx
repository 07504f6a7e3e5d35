import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import type { ISaving } from './hooks';

/** Says what is being fetched to be saved, or why that failed; nothing else. */
export function SavingLine(props: {
  saving: ISaving;
  trans: TranslationBundle;
}): JSX.Element | null {
  const { saving, trans } = props;
  if (saving.error) {
    return (
      <p className="jp-himalia-Error" role="alert">
        {saving.error}
      </p>
    );
  }
  if (saving.names.length === 0) {
    return null;
  }
  return (
    <p className="jp-himalia-Hint" role="status">
      {trans.__('Fetching %1…', saving.names.join(', '))}
    </p>
  );
}
