import type { CSSProperties, JSX } from 'react';

import type { ISpan } from '../log/line';
import type { ITextStyle } from '../log/style';

const COLOURS = ['black', 'red', 'green', 'yellow', 'blue', 'magenta', 'cyan', 'white'];

/** A run of text in the log, in its colours. */
export function LogSpan({ span }: { span: ISpan }): JSX.Element {
  const { className, style } = looksOf(span.style);
  if (!className && !style) {
    return <>{span.text}</>;
  }
  return (
    <span className={className} style={style}>
      {span.text}
    </span>
  );
}

/** Return Lab's own classes for the 16 colours, and the colour itself for others. */
function looksOf(look: ITextStyle): { className?: string; style?: CSSProperties } {
  const [foreground, background] = look.inverse
    ? [look.background ?? 'inverse', look.foreground ?? 'inverse']
    : [look.foreground, look.background];
  const classes = [
    look.bold && 'ansi-bold',
    look.underline && 'ansi-underline',
    look.dim && 'jp-himalia-dim',
    look.italic && 'jp-himalia-italic',
    classOf(foreground, 'fg'),
    classOf(background, 'bg')
  ].filter(Boolean);
  const style = {
    ...(typeof foreground === 'string' && foreground !== 'inverse' && { color: foreground }),
    ...(typeof background === 'string' &&
      background !== 'inverse' && { backgroundColor: background })
  };
  return {
    className: classes.length ? classes.join(' ') : undefined,
    style: Object.keys(style).length ? style : undefined
  };
}

function classOf(colour: number | string | undefined, place: 'fg' | 'bg'): string {
  if (colour === 'inverse') {
    return `ansi-default-inverse-${place}`;
  }
  if (typeof colour !== 'number') {
    return '';
  }
  const name = COLOURS[colour % 8];
  return `ansi-${name}${colour >= 8 ? '-intense' : ''}-${place}`;
}
