import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';
import { useEffect, useState } from 'react';

import { messageOf } from '../api';
import type { ICell } from '../job/notebook';
import { readNotebook } from '../job/notebook';
import type { JobPage } from '../job/page';
import type { PreviewKind } from '../job/preview';
import { imageType, prettyJson, previewKind } from '../job/preview';
import type { IArtifact } from '../words';
import { NotebookPreview } from './NotebookPreview';

export interface IArtifactPreviewProps {
  page: JobPage;
  artifact: IArtifact;
  trans: TranslationBundle;
}

/** What was read of a file, ready to be shown. */
type Content =
  | { kind: 'image'; url: string }
  | { kind: 'text'; text: string }
  | { kind: 'html'; text: string }
  | { kind: 'notebook'; cells: ICell[] };

/** One artifact, shown so that nothing in it can run. */
export function ArtifactPreview({ page, artifact, trans }: IArtifactPreviewProps): JSX.Element {
  const { path, size_bytes: size, modified_at: modified } = artifact;
  const kind = previewKind(path, size);
  const [content, setContent] = useState<Content | null>(null);
  const [error, setError] = useState('');
  const { id, attempt, model } = page;
  useEffect(() => {
    let wanted = true;
    let url = '';
    const show = async (): Promise<void> => {
      const next = await read(await model.api.artifact(id, attempt, path), kind, path);
      url = next.kind === 'image' ? next.url : '';
      if (wanted) {
        setContent(next);
      } else {
        URL.revokeObjectURL(url);
      }
    };
    if (kind !== 'none') {
      show().catch(reason => setError(messageOf(reason)));
    }
    return () => {
      wanted = false;
      URL.revokeObjectURL(url);
    };
  }, [id, attempt, model, path, kind, size, modified]);
  if (kind === 'none') {
    return (
      <p className="jp-himalia-Empty">
        {trans.__('This kind of file is not shown here. Download it to open it.')}
      </p>
    );
  }
  if (error || !content) {
    return <p className="jp-himalia-Empty">{error || trans.__('Reading…')}</p>;
  }
  return <Shown content={content} path={path} trans={trans} />;
}

function Shown(props: { content: Content; path: string; trans: TranslationBundle }): JSX.Element {
  const { content, path, trans } = props;
  switch (content.kind) {
    case 'image':
      return <img className="jp-himalia-Image" src={content.url} alt={path} />;
    case 'notebook':
      return <NotebookPreview cells={content.cells} trans={trans} />;
    case 'html':
      // An empty sandbox: no scripts, no forms, and an origin of its own.
      return <iframe className="jp-himalia-Html" sandbox="" srcDoc={content.text} title={path} />;
    default:
      return <pre className="jp-himalia-Text">{content.text}</pre>;
  }
}

async function read(answer: Response, kind: PreviewKind, path: string): Promise<Content> {
  if (kind === 'image') {
    const blob = new Blob([await answer.arrayBuffer()], { type: imageType(path) });
    return { kind, url: URL.createObjectURL(blob) };
  }
  const text = await answer.text();
  if (kind === 'notebook') {
    return { kind, cells: readNotebook(text) };
  }
  if (kind === 'html') {
    return { kind, text };
  }
  return { kind: 'text', text: kind === 'json' ? prettyJson(text) : text };
}
