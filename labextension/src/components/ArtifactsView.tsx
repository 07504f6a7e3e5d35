import type { TranslationBundle } from '@jupyterlab/translation';
import { downloadIcon } from '@jupyterlab/ui-components';
import type { JSX } from 'react';
import { useState } from 'react';

import { formatMoment, formatSize, visible } from '../format';
import type { JobPage } from '../job/page';
import { nameOf } from '../submit/paths';
import type { IArtifact } from '../words';
import { ArtifactPreview } from './ArtifactPreview';
import { useNow, useSaving } from './hooks';
import { SavingLine } from './SavingLine';

export interface IArtifactsViewProps {
  page: JobPage;
  trans: TranslationBundle;
}

/** What the job left in /artifacts: a list, and the one that is opened. */
export function ArtifactsView({ page, trans }: IArtifactsViewProps): JSX.Element {
  const [opened, setOpened] = useState<string | null>(null);
  const saving = useSaving();
  const { artifacts: list } = page;
  if (!list) {
    return <p className="jp-himalia-Empty">{page.artifactsError || waitingText(page, trans)}</p>;
  }
  const shown = list.artifacts.filter(artifact => artifact.type !== 'dir');
  if (shown.length === 0) {
    return <p className="jp-himalia-Empty">{emptyText(list.live, trans)}</p>;
  }
  const { api } = page.model;
  const artifact = shown.find(({ path }) => path === opened);
  return (
    <div className="jp-himalia-Artifacts">
      <div className="jp-himalia-Artifacts-list">
        <div className="jp-himalia-Artifacts-bar">
          <span className="jp-himalia-Hint">
            {totalText(shown, list.live, list.truncated, trans)}
          </span>
          <button
            className="jp-mod-styled"
            onClick={() =>
              saving.save(api.artifactsZip(page.id, page.attempt), `${page.id}-artifacts.zip`)
            }
          >
            {trans.__('Download all')}
          </button>
        </div>
        <SavingLine saving={saving} trans={trans} />
        <ul>
          {shown.map(one => (
            <ArtifactRow
              key={one.path}
              artifact={one}
              opened={one.path === opened}
              onOpen={setOpened}
              onSave={path => saving.save(api.artifact(page.id, page.attempt, path), nameOf(path))}
              trans={trans}
            />
          ))}
        </ul>
      </div>
      <div className="jp-himalia-Artifacts-preview">
        {artifact ? (
          <ArtifactPreview key={artifact.path} page={page} artifact={artifact} trans={trans} />
        ) : (
          <p className="jp-himalia-Empty">{trans.__('Choose a file to look at it.')}</p>
        )}
      </div>
    </div>
  );
}

interface IArtifactRowProps {
  artifact: IArtifact;
  opened: boolean;
  onOpen: (path: string) => void;
  onSave: (path: string) => void;
  trans: TranslationBundle;
}

function ArtifactRow(props: IArtifactRowProps): JSX.Element {
  const { artifact, opened, onOpen, onSave, trans } = props;
  const now = useNow(false);
  const { path, type, size_bytes: size, modified_at: modified } = artifact;
  const isFile = type === 'file';
  return (
    <li className="jp-himalia-Artifact" data-path={path} data-opened={opened}>
      <button className="jp-himalia-Artifact-name" disabled={!isFile} onClick={() => onOpen(path)}>
        <span>{visible(path)}</span>
        <span className="jp-himalia-Hint">
          {isFile ? `${formatSize(size)} · ${formatMoment(modified, now)}` : type}
        </span>
      </button>
      {isFile && (
        <button
          className="jp-himalia-IconButton"
          title={trans.__('Download %1', visible(path))}
          aria-label={trans.__('Download %1', visible(path))}
          onClick={() => onSave(path)}
        >
          <downloadIcon.react tag="span" width="16px" height="16px" />
        </button>
      )}
    </li>
  );
}

function totalText(
  shown: IArtifact[],
  live: boolean,
  truncated: boolean,
  trans: TranslationBundle
): string {
  const size = formatSize(shown.reduce((sum, one) => sum + one.size_bytes, 0));
  const text = trans._n('%1 file, %2', '%1 files, %2', shown.length, size);
  const more = truncated ? trans.__('; there are more than a page can list') : '';
  return live ? trans.__('%1 so far%2', text, more) : text + more;
}

function emptyText(live: boolean, trans: TranslationBundle): string {
  return live
    ? trans.__('Nothing yet. What the job writes to /artifacts shows up here.')
    : trans.__('It left nothing. What a job writes to /artifacts is kept here.');
}

function waitingText(page: JobPage, trans: TranslationBundle): string {
  return page.attempt === 0
    ? trans.__('What the job writes to /artifacts shows up here once it has started.')
    : trans.__('Reading the list…');
}
