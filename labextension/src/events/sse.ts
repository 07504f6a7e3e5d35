/** One message of an event stream; a comment (such as a keep-alive) has no data. */
export interface IMessage {
  id: string | null;
  event: string;
  data: string;
}

/** Reads an event stream piece by piece, wherever the network cuts it. */
export class SseParser {
  private _rest = '';
  private _id: string | null = null;
  private _event = '';
  private _data: string[] = [];

  /** Take the next piece of text; return the messages that are complete now. */
  feed(text: string): IMessage[] {
    const lines = (this._rest + text).split('\n');
    this._rest = lines.pop() ?? '';
    const messages: IMessage[] = [];
    for (const line of lines) {
      const message = this._line(line.endsWith('\r') ? line.slice(0, -1) : line);
      if (message) {
        messages.push(message);
      }
    }
    return messages;
  }

  private _line(line: string): IMessage | null {
    if (line === '') {
      const message = {
        id: this._id,
        event: this._event || 'message',
        data: this._data.join('\n')
      };
      const complete = this._data.length > 0;
      this._event = '';
      this._data = [];
      return complete ? message : null;
    }
    const colon = line.indexOf(':');
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '');
    if (field === 'id') {
      this._id = value;
    } else if (field === 'event') {
      this._event = value;
    } else if (field === 'data') {
      this._data.push(value);
    }
    return null;
  }
}
