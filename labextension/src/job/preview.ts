/** What can be shown of an artifact, told by its name. */
export type PreviewKind = 'image' | 'text' | 'json' | 'notebook' | 'html' | 'none';

const IMAGES: Readonly<Record<string, string>> = {
  bmp: 'image/bmp',
  gif: 'image/gif',
  jpeg: 'image/jpeg',
  jpg: 'image/jpeg',
  png: 'image/png',
  svg: 'image/svg+xml',
  webp: 'image/webp'
};

const TEXTS = new Set(
  'c cfg conf cpp css csv env err h ini jl jsonl log lock md ndjson out py r rst sh sql tex toml tsv txt xml yaml yml'.split(
    ' '
  )
);

const MOST_BYTES: Readonly<Record<PreviewKind, number>> = {
  image: 50 * 1024 * 1024,
  text: 2 * 1024 * 1024,
  json: 2 * 1024 * 1024,
  notebook: 50 * 1024 * 1024,
  html: 20 * 1024 * 1024,
  none: 0
};

function extensionOf(path: string): string {
  return /\.([^./]+)$/.exec(path)?.[1].toLowerCase() ?? '';
}

/** Return how a file of that name and size can be shown. */
export function previewKind(path: string, sizeBytes: number): PreviewKind {
  const kind = kindOf(extensionOf(path));
  return sizeBytes > MOST_BYTES[kind] ? 'none' : kind;
}

function kindOf(extension: string): PreviewKind {
  if (extension in IMAGES) {
    return 'image';
  }
  if (extension === 'ipynb') {
    return 'notebook';
  }
  if (extension === 'json') {
    return 'json';
  }
  if (extension === 'html' || extension === 'htm') {
    return 'html';
  }
  return TEXTS.has(extension) ? 'text' : 'none';
}

/** Return the type an image is shown with: from its name, never from what a job's file claims. */
export function imageType(path: string): string {
  return IMAGES[extensionOf(path)] ?? 'application/octet-stream';
}

/** Return JSON with indents, or the text as it is when it is no JSON. */
export function prettyJson(text: string): string {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
}
