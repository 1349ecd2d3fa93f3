import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { AnswerReader } from './answer-reader.ts';

/** What was told of one answer; chunks are copied, since they are valid for the call only. */
function told(method: string, pieces: readonly Buffer[], closes = false) {
  const seen = { status: 0, headers: [] as string[], body: '', ends: 0, error: undefined as string | undefined };
  const reader = new AnswerReader(method, {
    head(status, headers) {
      assert.equal(seen.status, 0, 'one head');
      Object.assign(seen, { status, headers });
    },
    data(chunk) {
      assert.equal(seen.ends, 0, 'nothing behind the end');
      seen.body += chunk.toString('latin1');
    },
    end() {
      seen.ends += 1;
    },
  });
  try {
    for (const piece of pieces) reader.read(piece);
    if (closes) reader.closed();
  } catch (error) {
    seen.error = (error as Error).message;
  }
  return { ...seen, reusable: reader.reusable };
}

const read = (text: string, { method = 'GET', closes = false } = {}) =>
  told(method, [Buffer.from(text, 'latin1')], closes);

describe('an answer of HTTP/1.1', () => {
  test('with a length', () => {
    const answer = read('HTTP/1.1 200 OK\r\nContent-Length: 5\r\nWarning: a\r\nWarning:  b \r\n\r\nhello');
    assert.deepEqual(answer.headers, ['Content-Length', '5', 'Warning', 'a', 'Warning', 'b']);
    assert.deepEqual([answer.status, answer.body, answer.ends, answer.reusable], [200, 'hello', 1, true]);
  });

  test('in chunks, with extensions and trailers', () => {
    const answer = read(
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n00A;name=value\r\n, world!!!\r\n0\r\nDigest: x\r\n\r\n',
    );
    assert.deepEqual([answer.body, answer.ends, answer.reusable], ['hello, world!!!', 1, true]);
  });

  test('until the connection is closed', () => {
    const text = 'HTTP/1.1 200 OK\r\n\r\nall that comes';
    assert.deepEqual([read(text).body, read(text).ends], ['all that comes', 0]);
    const closed = read(text, { closes: true });
    assert.deepEqual([closed.body, closed.ends, closed.reusable], ['all that comes', 1, false]);
  });

  test('without a body: HEAD, 204, 304, whatever their headers say', () => {
    for (const [method, status] of [
      ['HEAD', '200 OK'],
      ['GET', '204 No Content'],
      ['GET', '304 Not Modified'],
    ] as const) {
      const answer = read(`HTTP/1.1 ${status}\r\nContent-Length: 5\r\n\r\n`, { method });
      assert.deepEqual([answer.ends, answer.reusable], [1, true], status);
    }
  });

  test('behind interim ones', () => {
    const answer = read(
      'HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n',
    );
    assert.deepEqual([answer.status, answer.headers, answer.ends], [200, ['Content-Length', '0'], 1]);
  });

  test('whose connection is not to be used again', () => {
    const body = 'Content-Length: 1\r\n\r\nx';
    for (const text of [
      `HTTP/1.0 200 OK\r\n${body}`,
      `HTTP/1.1 200 OK\r\nConnection: keep-alive, Close\r\n${body}`,
      `HTTP/1.1 200 OK\r\n${body}HTTP/1.1 200 OK\r\n`,
    ]) {
      const answer = read(text);
      assert.deepEqual([answer.body, answer.ends, answer.reusable], ['x', 1, false], text);
    }
  });

  test('that breaks off is no whole one', () => {
    for (const text of [
      '',
      'HTTP/1.1 200 OK\r\nContent-Le',
      'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhell',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n',
      'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n',
    ]) {
      const answer = read(text, { closes: true });
      assert.equal(answer.ends, 0, text);
      assert.match(answer.error!, /was closed before the answer ended/);
    }
  });

  test('what could be read in two ways is none', () => {
    const head = (lines: string) => `HTTP/1.1 200 OK\r\n${lines}\r\n\r\n`;
    const chunked = head('Transfer-Encoding: chunked');
    for (const text of [
      'HTTP/2 200 OK\r\n\r\n',
      'HTTP/1.1 99 No\r\n\r\n',
      'HTTP/1.1  200 OK\r\n\r\n',
      'ICY 200 OK\r\n\r\n',
      'HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n',
      head('Content-Length: 1\r\nContent-Length: 1'),
      head('Content-Length: 1, 1'),
      head('Content-Length: -1'),
      head('Content-Length: 0x10'),
      head('Content-Length: '),
      head('Content-Length: 1\r\nTransfer-Encoding: chunked'),
      head('Transfer-Encoding: gzip, chunked'),
      head('Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked'),
      head('Transfer-Encoding: identity'),
      head('Content-Length : 1'),
      head(' folded: 1'),
      head('A: 1\r\n folded'),
      head('no colon'),
      head(': no name'),
      head('A: b\0c'),
      head('A: b\nContent-Length: 5'),
      `${chunked}x\r\n`,
      `${chunked}5\nhello\r\n`,
      `${chunked}-5\r\nhello\r\n`,
      `${chunked} 5\r\nhello\r\n`,
      `${chunked}5\r\nhelloo\r\n`,
      `${chunked}1234567890123\r\n`,
      `${chunked}0\r\nno trailer\r\n\r\n`,
    ]) {
      const answer = read(text);
      assert.ok(answer.error !== undefined, JSON.stringify(text));
      assert.deepEqual([answer.ends, answer.reusable], [0, false], JSON.stringify(text));
    }
  });

  test('without an end to its head, a line or its interim answers is refused, and no more is held than the limit', () => {
    const long = 'x'.repeat(200_000);
    assert.match(read(`HTTP/1.1 200 OK\r\nA: ${long}`).error!, /its head has more than 131072 bytes/);
    assert.match(read(`HTTP/1.1 200 OK\r\nA: ${long}\r\n\r\n`).error!, /its head has more than/);
    const chunked = 'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n';
    assert.match(read(`${chunked}5;${long}`).error!, /a line of more than 4096 bytes/);
    assert.match(read(`${chunked}0\r\n${'A: b\r\n'.repeat(100_000)}`).error!, /its trailers have more than/);
    assert.match(read('HTTP/1.1 102 Processing\r\n\r\n'.repeat(17)).error!, /more than 16 answers of 1xx/);
  });

  test('however the bytes are cut, the same is told', () => {
    const bodies = fc.array(fc.string({ unit: 'binary-ascii', minLength: 1, maxLength: 60 }), { maxLength: 8 });
    const cuts = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 12 });
    fc.assert(
      fc.property(bodies, cuts, fc.constantFrom('length', 'chunks', 'closed'), (parts, places, framing) => {
        const body = parts.join('');
        const text = {
          length: `HTTP/1.1 200 OK\r\nA: b\r\nContent-Length: ${body.length}\r\n\r\n${body}`,
          chunks: `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n${parts
            .map((part) => `${part.length.toString(16)};x\r\n${part}\r\n`)
            .join('')}0\r\nT: u\r\n\r\n`,
          closed: `HTTP/1.1 200 OK\r\nA: b\r\n\r\n${body}`,
        }[framing];
        const bytes = Buffer.from(text, 'latin1');
        const at = [0, ...places.map((place) => Math.floor(place * bytes.length)).sort((a, b) => a - b), bytes.length];
        const pieces = at.slice(1).map((end, index) => bytes.subarray(at[index], end));
        const cut = told('GET', pieces, framing === 'closed');
        assert.deepEqual(cut, told('GET', [bytes], framing === 'closed'));
        assert.deepEqual([cut.body, cut.ends, cut.error], [body, 1, undefined]);
        assert.equal(cut.reusable, framing !== 'closed');
      }),
    );
  });
});
