import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';
import { useState } from 'react';

import { formatSize } from '../format';
import type { JobPage } from '../job/page';
import type { LogTail } from '../log/tail';
import { findLines } from '../log/find';
import { hasEnded } from '../words';
import { useFrames, useSaving } from './hooks';
import { LogLines } from './LogLines';
import { SavingLine } from './SavingLine';

export interface ILogViewProps {
  page: JobPage;
  trans: TranslationBundle;
}

/** The log: follows its end until somebody scrolls up. */
export function LogView({ page, trans }: ILogViewProps): JSX.Element {
  const version = useFrames(page.logChanged);
  const [following, setFollowing] = useState(true);
  const [query, setQuery] = useState('');
  const [found, setFound] = useState<number | null>(null);
  const saving = useSaving();
  const { job, log } = page;
  if (!job || !log) {
    return <p className="jp-himalia-Empty">{beforeText(page, trans)}</p>;
  }
  const download = (): void => {
    const bytes = page.model.api.log(page.id, page.attempt, 0, false);
    saving.save(bytes, `${job.name}-${page.id}.log`);
  };
  const findNext = (): void => {
    const line = findLines(log.screen, query, (found ?? -1) + 1);
    setFound(line);
    setFollowing(line === null && following);
  };
  return (
    <div className="jp-himalia-Log">
      <div className="jp-himalia-Log-bar">
        <input
          type="search"
          className="jp-mod-styled"
          placeholder={trans.__('Find in the log')}
          aria-label={trans.__('Find in the log')}
          value={query}
          onChange={event => {
            setQuery(event.target.value);
            setFound(null);
          }}
          onKeyDown={event => event.key === 'Enter' && findNext()}
        />
        <span className="jp-himalia-Hint">{statusText(log, query, found, trans)}</span>
        <label>
          <input
            type="checkbox"
            checked={following}
            onChange={event => setFollowing(event.target.checked)}
          />
          {trans.__('Follow')}
        </label>
        <button className="jp-mod-styled" onClick={download}>
          {trans.__('Download')}
        </button>
      </div>
      <SavingLine saving={saving} trans={trans} />
      {(log.skipped > 0 || log.screen.dropped > 0) && (
        <Skipped page={page} log={log} trans={trans} />
      )}
      {log.error && (
        <p className="jp-himalia-Warning" role="alert">
          {log.error}
        </p>
      )}
      <LogLines
        label={trans.__('Log')}
        lines={log.screen.lines}
        first={log.screen.dropped}
        version={version}
        following={following}
        onFollow={setFollowing}
        found={found}
      />
    </div>
  );
}

function Skipped(props: { page: JobPage; log: LogTail; trans: TranslationBundle }): JSX.Element {
  const { page, log, trans } = props;
  const text =
    log.screen.dropped > 0
      ? trans.__('The first %1 lines are not shown.', log.screen.dropped)
      : trans.__('The first %1 are not shown.', formatSize(log.skipped));
  return (
    <p className="jp-himalia-Hint">
      {text}{' '}
      {log.skipped > 0 && (
        <button className="jp-himalia-Link" onClick={() => page.readFromStart()}>
          {trans.__('Read from the start')}
        </button>
      )}
    </p>
  );
}

function beforeText(page: JobPage, trans: TranslationBundle): string {
  const { job } = page;
  if (!job || page.attempt > 0) {
    return trans.__('Reading the log…');
  }
  return hasEnded(job)
    ? trans.__('It never started, so there is no log.')
    : trans.__('The log begins when the job starts.');
}

function statusText(
  log: LogTail,
  query: string,
  found: number | null,
  trans: TranslationBundle
): string {
  if (query) {
    return found === null ? trans.__('Enter finds the next line') : trans.__('line %1', found + 1);
  }
  const { lines } = log.screen;
  if (log.complete && lines.length === 1 && lines[0].length === 0) {
    return trans.__('It wrote nothing.');
  }
  return log.complete ? trans.__('complete') : '';
}
