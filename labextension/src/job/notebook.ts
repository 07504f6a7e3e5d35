/** A notebook file, reduced to what its preview shows. */
export interface ICell {
  kind: 'markdown' | 'code' | 'raw';
  source: string;
  count: number | null;
  outputs: IOutput[];
}

export type IOutput =
  { kind: 'text'; text: string } | { kind: 'error'; text: string } | { kind: 'image'; url: string };

type Multiline = string | string[];

interface IRawOutput {
  output_type?: string;
  text?: Multiline;
  traceback?: string[];
  data?: Record<string, Multiline>;
}

interface IRawCell {
  cell_type?: string;
  source?: Multiline;
  execution_count?: number | null;
  outputs?: IRawOutput[];
}

/** Read a notebook; throw with a sentence when it is none. */
export function readNotebook(text: string): ICell[] {
  let cells: unknown;
  try {
    cells = (JSON.parse(text) as { cells?: unknown }).cells;
  } catch {
    throw new Error('This notebook cannot be read. Download it to see what is in it.');
  }
  if (!Array.isArray(cells)) {
    throw new Error(
      'This notebook has no cells that can be shown. Download it to see what is in it.'
    );
  }
  return (cells as IRawCell[]).map(cell => ({
    kind: cell.cell_type === 'code' || cell.cell_type === 'raw' ? cell.cell_type : 'markdown',
    source: joined(cell.source),
    count: cell.execution_count ?? null,
    outputs: (cell.outputs ?? []).reduce(withOutput, [])
  }));
}

/** Add an output; what a cell printed in pieces is one text. */
function withOutput(outputs: IOutput[], raw: IRawOutput): IOutput[] {
  const next = readOutput(raw);
  const last = outputs.at(-1);
  if (raw.output_type === 'stream' && next.kind === 'text' && last?.kind === 'text') {
    return [...outputs.slice(0, -1), { kind: 'text', text: last.text + next.text }];
  }
  return [...outputs, next];
}

function readOutput(output: IRawOutput): IOutput {
  if (output.output_type === 'error') {
    return { kind: 'error', text: (output.traceback ?? []).join('\n') };
  }
  const data = output.data ?? {};
  for (const type of ['image/png', 'image/jpeg', 'image/gif']) {
    if (data[type]) {
      return { kind: 'image', url: `data:${type};base64,${joined(data[type]).replace(/\s/g, '')}` };
    }
  }
  return { kind: 'text', text: joined(output.text ?? data['text/plain']) };
}

function joined(text: Multiline | undefined): string {
  return Array.isArray(text) ? text.join('') : (text ?? '');
}
