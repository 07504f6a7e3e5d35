import { expect, test } from 'vitest';

import { SseParser } from '../src/events/sse';

const STREAM = 'id: 7\nevent: job\ndata: {"a":\ndata: 1}\n\n: keep-alive\n\nid: 8\ndata: x\r\n\r\n';

test('messages are the same wherever the network cuts the stream', () => {
  const whole = new SseParser().feed(STREAM);

  for (let cut = 0; cut <= STREAM.length; cut += 1) {
    const parser = new SseParser();
    const pieces = [...parser.feed(STREAM.slice(0, cut)), ...parser.feed(STREAM.slice(cut))];
    expect(pieces).toEqual(whole);
  }
  expect(whole).toEqual([
    { id: '7', event: 'job', data: '{"a":\n1}' },
    { id: '8', event: 'message', data: 'x' }
  ]);
});

test('a keep-alive is no message', () => {
  expect(new SseParser().feed(': keep-alive\n\n')).toEqual([]);
});
