import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import type { IGpus, ISlotView } from '../words';
import { Planned } from './Planned';

export interface IGpuSummaryProps {
  gpus: IGpus;
  /** The address of the service's own page of all GPUs. */
  page: string;
  trans: TranslationBundle;
}

/** What is planned, and how many GPUs are free: as a sentence and as one small box for each. */
export function GpuSummary({ gpus, page, trans }: IGpuSummaryProps): JSX.Element {
  const { slots, free, note, notices } = gpus;
  // Seats and slices are slots of one GPU.
  const count = new Set(slots.map(slot => slot.gpu ?? slot.uuid)).size;
  const simulated = slots.some(slot => slot.simulated);
  return (
    <section className="jp-himalia-Gpus" aria-label={trans.__('GPUs')} title={note || undefined}>
      <Planned planned={notices ?? []} trans={trans} />
      <div className="jp-himalia-Gpus-line">
        <span>{sentence(count, free, trans)}</span>
        {simulated && <span className="jp-himalia-Tag">{trans.__('simulated')}</span>}
        <a className="jp-himalia-Gpus-all" href={page} target="_blank" rel="noreferrer">
          {trans.__('Who has which')}
        </a>
      </div>
      {slots.length > 0 && slots.length <= 64 && (
        <div className="jp-himalia-Gpus-slots">
          {slots.map(slot => (
            <span
              key={slot.uuid}
              className="jp-himalia-Gpus-slot"
              data-held={slot.holder !== null}
              title={slotTitle(slot, trans)}
            />
          ))}
        </div>
      )}
    </section>
  );
}

function sentence(count: number, free: number, trans: TranslationBundle): string {
  if (count === 0) {
    return trans.__('No GPUs on this platform');
  }
  return trans._n('%2 of %1 GPU free', '%2 of %1 GPUs free', count, free);
}

function slotTitle(slot: ISlotView, trans: TranslationBundle): string {
  const kept = slot.health !== undefined && slot.health !== 'ok';
  const holder = slot.holder ?? (kept ? undefined : trans.__('free'));
  const words = [holder, kept ? slot.health_detail || slot.health : undefined];
  return `${slot.index}: ${slot.model} · ${words.filter(Boolean).join(' · ')}`;
}
