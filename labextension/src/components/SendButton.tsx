import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import { formatSize } from '../format';
import type { SubmitForm } from '../submit/form';
import type { IProgress } from '../words';

export interface ISendButtonProps {
  form: SubmitForm;
  trans: TranslationBundle;
}

/** The button *Submit*; while files are sent, how far it is and a way to end it. */
export function SendButton({ form, trans }: ISendButtonProps): JSX.Element {
  const { progress } = form;
  if (!progress) {
    return (
      <button className="jp-mod-styled jp-mod-accept jp-himalia-Submit-button">
        {trans.__('Submit')}
      </button>
    );
  }
  const { done_bytes: done, total_bytes: total } = progress;
  return (
    <div className="jp-himalia-Sending">
      <div className="jp-himalia-Sending-line">
        <span role="status">{progressText(progress, trans)}</span>
        {form.mayCancel && (
          <button type="button" className="jp-himalia-Link" onClick={() => void form.cancel()}>
            {trans.__('Stop')}
          </button>
        )}
      </div>
      <progress max={total || undefined} value={total ? done : undefined} />
    </div>
  );
}

function progressText(progress: IProgress, trans: TranslationBundle): string {
  const [done, total] = [progress.done_bytes, progress.total_bytes].map(formatSize);
  if (progress.stage === 'sending' && progress.total_bytes > 0) {
    return trans.__('Sending %1 of %2…', done, total);
  }
  if (progress.stage === 'reading' && progress.total_bytes > 0) {
    return trans.__('Reading %1 of %2…', done, total);
  }
  if (progress.stage === 'fetching') {
    return progress.message;
  }
  return progress.stage === 'submitting' ? trans.__('Submitting…') : trans.__('Reading the files…');
}
