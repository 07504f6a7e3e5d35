import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import { formatSize } from '../format';
import type { IPreview } from '../words';

export interface IPreviewLineProps {
  preview: IPreview | null;
  error: string;
  trans: TranslationBundle;
}

/** What would be sent, what is left out, and what stands in the way. */
export function PreviewLine({ preview, error, trans }: IPreviewLineProps): JSX.Element {
  if (error) {
    return (
      <p className="jp-himalia-Error" role="alert">
        {error}
      </p>
    );
  }
  if (!preview) {
    return <p className="jp-himalia-Hint">{trans.__('Looking at the files…')}</p>;
  }
  const { problems } = preview;
  return (
    <div className="jp-himalia-Preview">
      <p className="jp-himalia-Preview-sent">{sentOf(preview, trans)}</p>
      {preview.left_out_count > 0 && <LeftOut preview={preview} trans={trans} />}
      {problems.map(problem => (
        <p key={problem} className="jp-himalia-Warning">
          {problem}
        </p>
      ))}
    </div>
  );
}

function sentOf(
  { file_count: count, size_bytes: size }: IPreview,
  trans: TranslationBundle
): string {
  if (count === 0) {
    return trans.__('There are no files to send in this directory.');
  }
  return trans._n(
    '%1 file, %2, will be sent',
    '%1 files, %2, will be sent',
    count,
    formatSize(size)
  );
}

/** A file of rules, or a reason of our own. */
function whyOf(rule: string, trans: TranslationBundle): string {
  return rule.endsWith('ignore') ? trans.__('by %1', rule) : `(${rule})`;
}

function LeftOut({ preview, trans }: { preview: IPreview; trans: TranslationBundle }): JSX.Element {
  const { left_out: entries, left_out_count: count, left_out_bytes: bytes } = preview;
  return (
    <details className="jp-himalia-LeftOut">
      <summary>
        {trans._n(
          '%1 entry, %2, will be left out',
          '%1 entries, %2, will be left out',
          count,
          formatSize(bytes)
        )}
      </summary>
      <ul>
        {entries.map(({ path, size_bytes, rule }) => (
          <li key={path}>
            <code>{path}</code> {formatSize(size_bytes)} <span>{whyOf(rule, trans)}</span>
          </li>
        ))}
        {count > entries.length && <li>{trans.__('and %1 more', count - entries.length)}</li>}
      </ul>
    </details>
  );
}
