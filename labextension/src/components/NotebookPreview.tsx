import type { TranslationBundle } from '@jupyterlab/translation';
import type { JSX } from 'react';

import type { ICell, IOutput } from '../job/notebook';
import { Screen } from '../log/screen';

export interface INotebookPreviewProps {
  cells: ICell[];
  trans: TranslationBundle;
}

/** A notebook's cells and what they showed, as text and pictures. */
export function NotebookPreview({ cells, trans }: INotebookPreviewProps): JSX.Element {
  if (cells.length === 0) {
    return <p className="jp-himalia-Empty">{trans.__('This notebook has no cells.')}</p>;
  }
  return (
    <div className="jp-himalia-Notebook">
      {cells.map((cell, index) => (
        <div key={index} className="jp-himalia-Cell" data-kind={cell.kind}>
          <pre className="jp-himalia-Cell-source">{cell.source}</pre>
          {cell.outputs.map((output, at) => (
            <Output key={at} output={output} trans={trans} />
          ))}
        </div>
      ))}
    </div>
  );
}

function Output({ output, trans }: { output: IOutput; trans: TranslationBundle }): JSX.Element {
  if (output.kind === 'image') {
    return (
      <img className="jp-himalia-Image" src={output.url} alt={trans.__('Picture of a cell')} />
    );
  }
  return (
    <pre className="jp-himalia-Cell-output" data-kind={output.kind}>
      {withoutColours(output.text)}
    </pre>
  );
}

/** Return text as a terminal shows it at the end, in one colour. */
function withoutColours(text: string): string {
  const screen = new Screen();
  screen.write(text.replace(/\n$/, ''));
  return screen.lines.map(line => line.text).join('\n');
}
