import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';
import { useState } from 'react';

import type { IJob, IWaitingFor } from '../words';

/** More holders than these are asked one by one in a terminal. */
const SHOWN = 4;

export interface IAskHoldersProps {
  job: IJob;
  me: string;
  ask: (uuid: string) => void;
  trans: TranslationBundle;
}

/** Buttons that ask the holders of what a job waits for to give it back. */
export function AskHolders({ job, me, ask, trans }: IAskHoldersProps): JSX.Element | null {
  const [asked, setAsked] = useState<readonly string[]>([]);
  const others = holdersToAsk(job, me);
  if (others.length === 0) {
    return null;
  }
  return (
    <div className="jp-himalia-JobHeader-ask">
      {others.map(one => (
        <button
          key={one.uuid}
          className="jp-mod-styled"
          disabled={asked.includes(one.uuid)}
          title={one.holder}
          onClick={() => {
            setAsked([...asked, one.uuid]);
            ask(one.uuid);
          }}
        >
          {trans.__('Ask for GPU %1', one.index)}
        </button>
      ))}
    </div>
  );
}

/** Return whom a person may ask: other people who hold what their own job waits for. */
export function holdersToAsk(job: IJob, me: string): IWaitingFor[] {
  if (job.state !== 'queued' || job.user !== me) {
    return [];
  }
  return (job.waiting_for ?? []).filter(one => one.uuid && one.user !== me).slice(0, SHOWN);
}
