import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import { localised } from '../format';
import type { IPlanned } from '../words';
import { useNow } from './hooks';

export interface IPlannedProps {
  planned: readonly IPlanned[];
  trans: TranslationBundle;
}

/** What everybody should know: maintenance and reservations, under way or soon. */
export function Planned({ planned, trans }: IPlannedProps): JSX.Element | null {
  const now = useNow(false);
  const told = ahead(planned, now);
  if (told.length === 0) {
    return null;
  }
  return (
    <ul className="jp-himalia-Planned" aria-label={trans.__('Planned')}>
      {told.map(one => (
        <li key={`${one.start} ${one.text}`} data-kind={one.kind}>
          {one.text}
        </li>
      ))}
    </ul>
  );
}

/** Return what is not over yet, with its times in the reader's zone. */
export function ahead(planned: readonly IPlanned[], now: number): IPlanned[] {
  return planned
    .filter(one => Date.parse(one.end) > now)
    .map(one => ({ ...one, text: localised(one.text, now) }));
}
