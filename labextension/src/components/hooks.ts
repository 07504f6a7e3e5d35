import type { ISignal } from '@lumino/signaling';
import { useCallback, useEffect, useReducer, useState, useSyncExternalStore } from 'react';

import { messageOf } from '../api';
import { saveAs } from '../job/download';

/** Render again whenever a signal is emitted. */
export function useSignal(signal: ISignal<unknown, unknown>): void {
  const [, render] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    signal.connect(render);
    // What was emitted between the first look and this moment was not heard.
    queueMicrotask(render);
    return () => {
      signal.disconnect(render);
    };
  }, [signal]);
}

/** Return a number that grows whenever a signal is emitted, at most once a frame. */
export function useFrames(signal: ISignal<unknown, unknown>): number {
  const [version, setVersion] = useState(0);
  useEffect(() => {
    let frame = 0;
    const onChange = (): void => {
      frame ||= requestAnimationFrame(() => {
        frame = 0;
        setVersion(current => current + 1);
      });
    };
    signal.connect(onChange);
    // What was emitted between the first look and this moment was not heard.
    onChange();
    return () => {
      cancelAnimationFrame(frame);
      signal.disconnect(onChange);
    };
  }, [signal]);
  return version;
}

/** Return the time to the second, and render again every second while `ticking`. */
export function useNow(ticking: boolean): number {
  const subscribe = useCallback(
    (render: () => void) => {
      const timer = ticking ? setInterval(render, 1000) : undefined;
      return () => clearInterval(timer);
    },
    [ticking]
  );
  return useSyncExternalStore(subscribe, thisSecond);
}

function thisSecond(): number {
  return Math.floor(Date.now() / 1000) * 1000;
}

/** What is fetched to be saved, and what went wrong with the last one. */
export interface ISaving {
  /** The names of the files that are on their way. */
  names: readonly string[];
  error: string;
  save(answer: Promise<Response>, name: string): void;
}

/** Save answers as files, and tell how that goes. */
export function useSaving(): ISaving {
  const [names, setNames] = useState<readonly string[]>([]);
  const [error, setError] = useState('');
  const save = (answer: Promise<Response>, name: string): void => {
    setError('');
    setNames(known => [...known, name]);
    answer
      .then(got => saveAs(got, name))
      .catch(reason => setError(messageOf(reason)))
      .finally(() => setNames(known => known.filter(one => one !== name)));
  };
  return { names, error, save };
}
