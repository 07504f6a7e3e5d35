import type { ITextStyle } from './style';
import { PLAIN } from './style';

/** A run of text in one style. */
export interface ISpan {
  readonly text: string;
  readonly style: ITextStyle;
}

/** Longer lines are cut: a page could not show them anyway, and the file has all of it. */
export const MOST_COLUMNS = 10_000;

/** One line of a terminal: text that a carriage return may have written over. */
export class Line {
  private _spans: ISpan[] = [];
  private _length = 0;
  /** Whether text beyond the last column was left out. */
  cut = false;

  get spans(): readonly ISpan[] {
    return this._spans;
  }

  get length(): number {
    return this._length;
  }

  get text(): string {
    return this._spans.map(span => span.text).join('');
  }

  /** Write text at a column over what is there. */
  write(column: number, text: string, style: ITextStyle): void {
    if (column + text.length > MOST_COLUMNS) {
      this.cut = true;
      text = text.slice(0, Math.max(0, MOST_COLUMNS - column));
    }
    if (!text) {
      return;
    }
    const gap = ' '.repeat(Math.max(0, column - this._length));
    const before = gap ? [...this._spans, { text: gap, style: PLAIN }] : this._part(0, column);
    const after = this._part(column + text.length, this._length);
    this._set([...before, { text, style }, ...after]);
  }

  /** Remove what lies between two columns; up to the end by default. */
  erase(from: number, to = this._length): void {
    const blank =
      to < this._length ? [{ text: ' '.repeat(Math.max(0, to - from)), style: PLAIN }] : [];
    this._set([...this._part(0, from), ...blank, ...this._part(to, this._length)]);
  }

  private _part(from: number, to: number): ISpan[] {
    if (from <= 0 && to >= this._length) {
      return this._spans;
    }
    const part: ISpan[] = [];
    let start = 0;
    for (const span of this._spans) {
      const text = span.text.slice(Math.max(0, from - start), Math.max(0, to - start));
      if (text) {
        part.push({ text, style: span.style });
      }
      start += span.text.length;
    }
    return part;
  }

  private _set(spans: ISpan[]): void {
    const merged: ISpan[] = [];
    for (const span of spans) {
      const last = merged[merged.length - 1];
      if (last && last.style === span.style) {
        merged[merged.length - 1] = { text: last.text + span.text, style: last.style };
      } else {
        merged.push(span);
      }
    }
    this._spans = merged;
    this._length = merged.reduce((sum, span) => sum + span.text.length, 0);
  }
}
