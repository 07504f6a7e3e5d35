/** How a piece of text looks; the numbers of the 16 colours are those of the terminal. */
export interface ITextStyle {
  readonly foreground?: number | string;
  readonly background?: number | string;
  readonly bold?: boolean;
  readonly dim?: boolean;
  readonly italic?: boolean;
  readonly underline?: boolean;
  readonly inverse?: boolean;
}

export const PLAIN: ITextStyle = Object.freeze({});

/** Return the style after a "select graphic rendition" sequence. */
export function styleAfter(style: ITextStyle, parameters: number[]): ITextStyle {
  let next: ITextStyle = style;
  const codes = parameters.length ? [...parameters] : [0];
  while (codes.length) {
    next = afterCode(next, codes.shift() ?? 0, codes);
  }
  return next;
}

function afterCode(style: ITextStyle, code: number, rest: number[]): ITextStyle {
  if (code === 0) {
    return PLAIN;
  }
  if (code === 38 || code === 48) {
    const colour = extendedColour(rest);
    return code === 38 ? { ...style, foreground: colour } : { ...style, background: colour };
  }
  if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) {
    return { ...style, foreground: code < 90 ? code - 30 : code - 82 };
  }
  if ((code >= 40 && code <= 47) || (code >= 100 && code <= 107)) {
    return { ...style, background: code < 100 ? code - 40 : code - 92 };
  }
  return { ...style, ...SWITCHES[code] };
}

const SWITCHES: Readonly<Record<number, ITextStyle>> = {
  1: { bold: true },
  2: { dim: true },
  3: { italic: true },
  4: { underline: true },
  7: { inverse: true },
  22: { bold: false, dim: false },
  23: { italic: false },
  24: { underline: false },
  27: { inverse: false },
  39: { foreground: undefined },
  49: { background: undefined }
};

/** Read `5;N` (256 colours) or `2;R;G;B` from the front of the codes. */
function extendedColour(rest: number[]): number | string | undefined {
  const kind = rest.shift();
  if (kind === 2) {
    const [red = 0, green = 0, blue = 0] = rest.splice(0, 3).map(part => Math.min(255, part));
    return `rgb(${red}, ${green}, ${blue})`;
  }
  const number = kind === 5 ? rest.shift() : undefined;
  if (number === undefined || number > 255) {
    return undefined;
  }
  if (number < 16) {
    return number;
  }
  if (number >= 232) {
    const grey = 8 + (number - 232) * 10;
    return `rgb(${grey}, ${grey}, ${grey})`;
  }
  const level = (step: number): number => (step ? 55 + step * 40 : 0);
  const cube = number - 16;
  const parts = [Math.floor(cube / 36), Math.floor(cube / 6) % 6, cube % 6].map(level);
  return `rgb(${parts.join(', ')})`;
}
