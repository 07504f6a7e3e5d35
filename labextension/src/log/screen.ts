import { Line } from './line';
import type { ITextStyle } from './style';
import { PLAIN, styleAfter } from './style';

/** How many lines are kept; older ones are dropped, and the file has all of them. */
export const MOST_LINES = 20_000;

/** How far a program may go back to write over its last lines, as nested progress bars do. */
const MOST_UP = 200;

/** Ways to end a sequence: CSI, OSC (titles, links), or a two-letter escape. */
const SEQUENCE =
  /^\x1b(?:\[([0-9;:?<=>!]*)[ -/]*([@-~])|\][^\x07\x1b]*(?:\x07|\x1b\\)|[ -/]*[0-Z\\^-~])/;
const CONTROL = /[\x00-\x1f\x7f]/;
/** An unfinished sequence that is longer than this is no sequence. */
const MOST_SEQUENCE = 4096;

/** The lines of a log as a terminal would show them: colours, carriage returns, cursor moves. */
export class Screen {
  readonly lines: Line[] = [new Line()];
  /** Lines that were dropped from the front. */
  dropped = 0;

  /** Write the next piece of the log. */
  write(piece: string): void {
    let text = this._rest + piece;
    this._rest = '';
    while (text) {
      const at = text.search(CONTROL);
      const plain = at < 0 ? text : text.slice(0, at);
      if (plain) {
        this._put(plain);
      }
      if (at < 0) {
        break;
      }
      const taken = this._control(text.slice(at));
      if (taken === 0) {
        this._rest = text.slice(at);
        break;
      }
      text = text.slice(at + taken);
    }
    this._drop();
  }

  private _put(text: string): void {
    this._current().write(this._column, text, this._style);
    this._column += text.length;
  }

  /** Obey the control character in front; return how much was taken, 0 when more is needed. */
  private _control(text: string): number {
    switch (text[0]) {
      case '\n':
        this._newLine();
        return 1;
      case '\r':
        this._column = 0;
        return 1;
      case '\b':
        this._column = Math.max(0, this._column - 1);
        return 1;
      case '\t':
        this._put(' '.repeat(8 - (this._column % 8)));
        return 1;
      case '\x1b':
        return this._sequence(text);
      default:
        return 1;
    }
  }

  private _sequence(text: string): number {
    const match = SEQUENCE.exec(text.slice(0, MOST_SEQUENCE));
    if (!match) {
      return text.length < MOST_SEQUENCE && !text.includes('\n') ? 0 : 1;
    }
    const numbers = (match[1] ?? '').split(/[;:]/).map(part => Number(part) || 0);
    this._obey(match[2] ?? '', match[1] ? numbers : []);
    return match[0].length;
  }

  private _obey(letter: string, numbers: number[]): void {
    const count = Math.max(1, numbers[0] ?? 1);
    if (letter === 'm') {
      this._style = styleAfter(this._style, numbers);
    } else if (letter === 'K') {
      this._eraseLine(numbers[0] ?? 0);
    } else if (letter === 'A' || letter === 'F') {
      this._up = Math.min(this._up + count, MOST_UP, this.lines.length - 1);
      this._column = letter === 'F' ? 0 : this._column;
    } else if (letter === 'B' || letter === 'E') {
      this._up = Math.max(0, this._up - count);
      this._column = letter === 'E' ? 0 : this._column;
    } else if (letter === 'C') {
      this._column += Math.min(count, 1000);
    } else if (letter === 'D') {
      this._column = Math.max(0, this._column - count);
    } else if (letter === 'G') {
      this._column = count - 1;
    }
  }

  private _eraseLine(kind: number): void {
    if (kind === 0) {
      this._current().erase(this._column);
    } else if (kind === 1) {
      this._current().erase(0, this._column);
    } else {
      this._current().erase(0);
    }
  }

  private _newLine(): void {
    if (this._up > 0) {
      this._up -= 1;
    } else {
      this.lines.push(new Line());
    }
    this._column = 0;
  }

  private _current(): Line {
    return this.lines[this.lines.length - 1 - this._up];
  }

  private _drop(): void {
    // Only when it is well over: moving the whole list for each line would be slow.
    if (this.lines.length > MOST_LINES + 1000) {
      this.dropped += this.lines.length - MOST_LINES;
      this.lines.splice(0, this.lines.length - MOST_LINES);
    }
  }

  private _style: ITextStyle = PLAIN;
  private _column = 0;
  private _up = 0;
  private _rest = '';
}
