import type { TranslationBundle } from '@jupyterlab/translation';

import { formatDeadline, formatDuration } from './format';
import type { IServer } from './words';

/** Idleness that is worth showing. */
const SHOWN_SECONDS = 300;

/** Return what the status bar says of a server: how long its GPU has been idle, and when it ends. */
export function timeLeft(server: IServer, now: number, trans: TranslationBundle): string {
  const parts: string[] = [];
  if (server.gpus > 0 && server.idle_seconds >= SHOWN_SECONDS) {
    parts.push(trans.__('GPU idle for %1', formatDuration(server.idle_seconds)));
  }
  if (server.ends_at) {
    parts.push(trans.__('Server ends %1', formatDeadline(server.ends_at, now)));
  }
  return parts.join(' · ');
}
