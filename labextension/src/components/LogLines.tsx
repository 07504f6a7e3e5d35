import type { JSX } from 'react';
import { useEffect, useLayoutEffect, useRef, useState } from 'react';

import type { Line } from '../log/line';
import { LogSpan } from './LogSpan';

const OVERSCAN = 20;

export interface ILogLinesProps {
  /** What a screen reader calls the log. */
  label: string;
  lines: readonly Line[];
  /** The number of the first line. */
  first: number;
  /** Grows whenever the lines change. */
  version: number;
  following: boolean;
  onFollow: (following: boolean) => void;
  /** The number of the line that a search found. */
  found: number | null;
}

/** The lines of a log, of which only those on the screen are drawn. */
export function LogLines(props: ILogLinesProps): JSX.Element {
  const { lines, first, version, following, onFollow, found, label } = props;
  const box = useRef<HTMLDivElement>(null);
  const probe = useRef<HTMLSpanElement>(null);
  const [view, setView] = useState({ top: 0, height: 600, line: 17 });
  const measure = (): void => {
    const { scrollTop: top, clientHeight: height } = box.current!;
    const line = probe.current!.getBoundingClientRect().height || 17;
    setView(known =>
      known.top === top && known.height === height && known.line === line
        ? known
        : { top, height, line }
    );
  };
  useEffect(() => {
    const observer = new ResizeObserver(measure);
    observer.observe(box.current!);
    return () => observer.disconnect();
  }, []);
  useLayoutEffect(() => {
    if (following) {
      box.current!.scrollTop = box.current!.scrollHeight;
      measure();
    }
  }, [version, following, view.height]);
  useLayoutEffect(() => {
    if (found !== null) {
      box.current!.scrollTop = Math.max(0, (found - first) * view.line - view.height / 2);
    }
    // Only a new find moves the view; lines that arrive meanwhile do not.
    // eslint-disable-next-line react-hooks/exhaustive-deps -- see above
  }, [found]);
  const onScroll = (): void => {
    const { scrollTop, clientHeight, scrollHeight } = box.current!;
    const atEnd = scrollTop + clientHeight >= scrollHeight - view.line;
    // Scrolling down grows by itself while following; only a move upwards lets go.
    if (!atEnd && scrollTop < view.top) {
      onFollow(false);
    } else if (atEnd && !following) {
      onFollow(true);
    }
    measure();
  };
  const start = Math.max(0, Math.floor(view.top / view.line) - OVERSCAN);
  const end = Math.min(lines.length, Math.ceil((view.top + view.height) / view.line) + OVERSCAN);
  return (
    <div
      ref={box}
      className="jp-himalia-Log-lines jp-RenderedText"
      role="log"
      aria-label={label}
      // What scrolls by is not read out; who wants to hear it goes there.
      aria-live="off"
      tabIndex={0}
      onScroll={onScroll}
    >
      <span ref={probe} className="jp-himalia-Log-probe" aria-hidden>
        x
      </span>
      <pre
        style={{ paddingTop: start * view.line, paddingBottom: (lines.length - end) * view.line }}
      >
        {lines.slice(start, end).map((line, index) => (
          <div
            key={first + start + index}
            className="jp-himalia-Log-line"
            data-found={first + start + index === found || undefined}
          >
            {line.spans.map((span, at) => (
              <LogSpan key={at} span={span} />
            ))}
            {line.cut && (
              <span className="jp-himalia-Hint"> … (cut here; the download has all of it)</span>
            )}
          </div>
        ))}
      </pre>
    </div>
  );
}
