import assert from 'node:assert/strict';
import test from 'node:test';
import { constants, deflateRawSync, deflateSync } from 'node:zlib';
import fc from 'fast-check';
import { StreamProtocolError } from '../protocol-error.ts';
import { SPDY_DICTIONARY, SPDY_DICTIONARY_ID } from './dictionary.ts';
import { SpdyFrameReader } from './frame-reader.ts';
import { SpdyFrameWriter } from './frame-writer.ts';
import { HeaderBlockReader, HeaderBlockWriter } from './header-block.ts';

type Event = (string | number | boolean | object)[];

function reading() {
  const events: Event[] = [];
  const partial = new Map<number, Buffer[]>();
  const flush = (id: number, fin: boolean): void => {
    const bytes = Buffer.concat(partial.get(id) ?? []);
    partial.delete(id);
    if (bytes.length > 0 || fin) events.push(['data', id, bytes.toString('hex'), fin]);
  };
  const flushAll = (): void => {
    for (const id of [...partial.keys()]) flush(id, false);
  };
  const note = (...event: Event): void => {
    flushAll();
    events.push(event);
  };
  const plain = (headers: ReadonlyMap<string, readonly string[]>): object => Object.fromEntries(headers);
  const reader = new SpdyFrameReader({
    synStream: (id, headers, fin) => note('syn', id, plain(headers), fin),
    synReply: (id, headers, fin) => note('reply', id, plain(headers), fin),
    rstStream: (id, status) => note('rst', id, status),
    headers: (id, headers, fin) => note('headers', id, plain(headers), fin),
    data: (id, piece, fin) => {
      for (const other of [...partial.keys()]) if (other !== id) flush(other, false);
      partial.set(id, [...(partial.get(id) ?? []), Buffer.from(piece)]);
      if (fin) flush(id, true);
    },
    ping: (id) => note('ping', id),
    goAway: (last, status) => note('goaway', last, status),
  });
  return { reader, events, flushAll };
}

function feed(reader: SpdyFrameReader, wire: Buffer, cuts: readonly number[]): void {
  let at = 0;
  let next = 0;
  while (at < wire.length) {
    const size = cuts.length === 0 ? wire.length : cuts[next++ % cuts.length]!;
    reader.receive(Buffer.from(wire.subarray(at, at + size)));
    at += size;
  }
}

const ids = fc.integer({ min: 1, max: 0x7fffffff });
const headerLists = fc.uniqueArray(
  fc.tuple(
    fc.stringMatching(/^[a-z][a-z-]{0,20}$/),
    fc.array(fc.stringMatching(/^[\x20-\x7e]{0,40}$/), { minLength: 1, maxLength: 3 }),
  ),
  { selector: ([name]) => name, maxLength: 6 },
);
const frames = fc.oneof(
  fc.tuple(fc.constant('syn' as const), ids, headerLists, fc.boolean()),
  fc.tuple(fc.constant('reply' as const), ids, headerLists, fc.boolean()),
  fc.tuple(fc.constant('rst' as const), ids, fc.integer({ min: 1, max: 11 })),
  fc.tuple(fc.constant('data' as const), ids, fc.uint8Array({ maxLength: 5000 }), fc.boolean()),
  fc.tuple(fc.constant('ping' as const), fc.integer({ min: 1, max: 0xffffffff })),
  fc.tuple(fc.constant('goaway' as const), fc.integer({ min: 0, max: 0x7fffffff }), fc.integer({ min: 0, max: 2 })),
);

test('what the writer writes the reader reads, whatever the chunking', () => {
  fc.assert(
    fc.property(
      fc.array(frames, { maxLength: 12 }),
      fc.array(fc.integer({ min: 1, max: 600 }), { maxLength: 6 }),
      (list, cuts) => {
        const wire: Buffer[] = [];
        const writer = new SpdyFrameWriter((bytes) => wire.push(bytes));
        const plain = reading();
        for (const item of list) {
          if (item[0] === 'syn') writer.synStream(item[1], item[2], item[3]);
          else if (item[0] === 'reply') writer.synReply(item[1], item[2], item[3]);
          else if (item[0] === 'rst') writer.rstStream(item[1], item[2]);
          else if (item[0] === 'data') writer.data(item[1], Buffer.from(item[2]), item[3]);
          else if (item[0] === 'ping') writer.ping(item[1]);
          else writer.goAway(item[1], item[2]);
        }
        const all = Buffer.concat(wire);
        feed(plain.reader, all, []);
        plain.flushAll();
        const cut = reading();
        feed(cut.reader, all, cuts);
        cut.flushAll();
        assert.deepEqual(cut.events, plain.events);
        const expected: Event[] = [];
        for (const item of list) {
          if (item[0] === 'syn' || item[0] === 'reply') {
            expected.push([item[0], item[1], Object.fromEntries(item[2]), item[3]]);
          } else if (item[0] !== 'data') expected.push([...item]);
        }
        assert.deepEqual(
          plain.events.filter(([kind]) => kind !== 'data'),
          expected,
        );
        const sent = new Map<number, string>();
        for (const item of list) {
          if (item[0] === 'data')
            sent.set(item[1], (sent.get(item[1]) ?? '') + Buffer.from(item[2]).toString('hex') + (item[3] ? '|' : ''));
        }
        const got = new Map<number, string>();
        for (const [kind, id, bytes, fin] of plain.events) {
          if (kind === 'data') got.set(id as number, (got.get(id as number) ?? '') + bytes + (fin === true ? '|' : ''));
        }
        for (const [id, bytes] of sent) assert.equal(got.get(id) ?? '', bytes);
      },
    ),
    { numRuns: 200 },
  );
});

test('the dictionary is the one of the specification', () => {
  assert.equal(SPDY_DICTIONARY.length, 1423);
  // zlib writes the Adler-32 of its dictionary behind the two bytes of its header.
  assert.equal(deflateSync(Buffer.alloc(1), { dictionary: SPDY_DICTIONARY }).readUInt32BE(2), SPDY_DICTIONARY_ID);
});

test('header blocks of a real compressor, one context over many frames, beyond the window', () => {
  // A peer with a living zlib context, made of a full stream cut at its flushes.
  const reader = new HeaderBlockReader();
  const values = Array.from({ length: 40 }, (_, index) => `${index}-`.repeat(700));
  let window = SPDY_DICTIONARY;
  values.forEach((value, index) => {
    const plain = Buffer.concat([
      Buffer.from([0, 0, 0, 1, 0, 0, 0, 10]),
      Buffer.from('streamtype'),
      Buffer.from([0, 0, value.length >> 8, value.length & 255]),
      Buffer.from(value),
    ]);
    const deflated = deflateRawSync(plain, { dictionary: window, finishFlush: constants.Z_SYNC_FLUSH });
    window = Buffer.concat([window, plain]).subarray(-32768);
    const block = index === 0 ? Buffer.concat([Buffer.from('78bbe3c6a7c2', 'hex'), deflated]) : deflated;
    assert.deepEqual(reader.read(block).get('streamtype'), [value]);
  });
});

function block(...words: (number | string)[]): Buffer {
  const plain = Buffer.concat(
    words.map((word) =>
      typeof word === 'string' ? Buffer.from(word) : Buffer.from([word >>> 24, word >>> 16, word >>> 8, word]),
    ),
  );
  return Buffer.concat([Buffer.from('7801', 'hex'), deflateRawSync(plain, { finishFlush: constants.Z_SYNC_FLUSH })]);
}

test('a header bomb is stopped at the limit, though it is well-formed', () => {
  const value = 'x'.repeat(20_000);
  assert.equal(new HeaderBlockReader().read(block(1, 4, 'port', value.length, value)).get('port')![0]!.length, 20_000);
  const bomb = 'x'.repeat(20_000_000);
  const packed = block(1, 4, 'port', bomb.length, bomb);
  assert.ok(packed.length < 32 * 1024);
  assert.throws(() => new HeaderBlockReader().read(packed), /over the limit/);
});

for (const [name, bytes] of [
  ['more headers than there are bytes', block(5, 4, 'port', 2, '80')],
  ['a name over the end', block(1, 0x7fffffff, 'port', 2, '80')],
  ['an upper-case name', block(1, 4, 'Port', 2, '80')],
  ['a name twice', block(2, 4, 'port', 2, '80', 4, 'port', 2, '22')],
  ['an empty name', block(1, 0, 2, '80')],
  ['bytes behind the headers', block(1, 4, 'port', 2, '80', 'x')],
  ['too many headers', block(100000)],
  ['another dictionary', Buffer.from('78bb00000001', 'hex')],
  ['no zlib header', Buffer.from('0000000000', 'hex')],
  ['garbage', Buffer.from('7801ffffffffff', 'hex')],
  ['nothing', Buffer.alloc(0)],
] as const) {
  test(`refused header block: ${name}`, () => {
    assert.throws(() => new HeaderBlockReader().read(bytes), StreamProtocolError);
  });
}

const control = (type: number, body: Buffer, flags = 0, version = 3): Buffer =>
  Buffer.concat([
    Buffer.from([0x80, version, 0, type, flags, body.length >> 16, body.length >> 8, body.length & 255]),
    body,
  ]);

for (const [name, wire] of [
  ['data on stream zero', Buffer.from('0000000000000000', 'hex')],
  ['another version', control(6, Buffer.from('00000001', 'hex'), 0, 2)],
  ['an unknown control frame', control(10, Buffer.alloc(4))],
  ['a control frame over the limit', Buffer.from('8003000100ffffff', 'hex')],
  ['a short SYN_STREAM', control(1, Buffer.alloc(9))],
  ['a SYN_STREAM for stream zero', control(1, Buffer.concat([Buffer.alloc(10), new HeaderBlockWriter().write([])]))],
  ['a reset without a status', control(3, Buffer.from('0000000100000000', 'hex'))],
  ['a long reset', control(3, Buffer.alloc(9, 1))],
  ['a ping of zero', control(6, Buffer.alloc(4))],
  ['a ping with flags', control(6, Buffer.from('00000001', 'hex'), 1)],
  ['settings whose count lies', control(4, Buffer.from('7fffffff', 'hex'))],
  ['a short GOAWAY', control(7, Buffer.alloc(4))],
] as const) {
  test(`refused frame: ${name}`, () => {
    for (const cuts of [[], [1]]) {
      const { reader, events } = reading();
      assert.throws(() => feed(reader, wire, cuts), StreamProtocolError);
      reader.receive(control(6, Buffer.from('00000001', 'hex')));
      assert.deepEqual(events, [], 'nothing is read after an error');
    }
  });
}

test('SETTINGS and WINDOW_UPDATE are passed over', () => {
  const { reader, events } = reading();
  reader.receive(control(4, Buffer.from('00000001000000040000ffff', 'hex')));
  reader.receive(control(9, Buffer.from('0000000100000400', 'hex')));
  reader.receive(control(6, Buffer.from('00000007', 'hex')));
  assert.deepEqual(events, [['ping', 7]]);
});

test('a DATA frame of 16 MiB is handed on in pieces', () => {
  let pieces = 0;
  let largest = 0;
  let ended = false;
  const ignore = (): void => {};
  const reader = new SpdyFrameReader({
    synStream: ignore,
    synReply: ignore,
    rstStream: ignore,
    headers: ignore,
    ping: ignore,
    goAway: ignore,
    data: (_id, piece, fin) => {
      pieces += 1;
      largest = Math.max(largest, piece.length);
      ended ||= fin;
    },
  });
  reader.receive(Buffer.from('0000000101ffffff', 'hex'));
  for (let sent = 0; sent < 0xffffff; sent += 65536) reader.receive(Buffer.alloc(Math.min(65536, 0xffffff - sent)));
  assert.deepEqual([pieces, largest, ended], [256, 65536, true]);
});

test('random bytes end in frames or in a protocol error, never in another one', () => {
  fc.assert(
    fc.property(fc.uint8Array({ maxLength: 120 }), fc.boolean(), (bytes, asControl) => {
      const wire = Buffer.from(bytes);
      if (asControl && wire.length > 8) {
        wire[0] = 0x80;
        wire[1] = 3;
        wire[2] = 0;
        wire[3]! %= 10;
        wire[5] = 0;
        wire[6] = 0;
        wire[7]! %= 40;
      }
      try {
        reading().reader.receive(wire);
      } catch (error) {
        assert.ok(error instanceof StreamProtocolError, String(error));
      }
    }),
    { numRuns: 2000 },
  );
});
