import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { StreamProtocolError } from '../protocol-error.ts';
import { WebSocketFrameReader, type WebSocketRole } from './frame-reader.ts';
import { WebSocketFrameWriter } from './frame-writer.ts';

interface Seen {
  messages: { binary: boolean; bytes: string }[];
  pings: string[];
  pongs: string[];
  closes: [number | undefined, string][];
  open: Buffer[] | undefined;
}

function reading(role: WebSocketRole, maxMessageBytes?: number) {
  const seen: Seen = { messages: [], pings: [], pongs: [], closes: [], open: undefined };
  const reader = new WebSocketFrameReader(
    role,
    {
      message(piece, first, last, binary) {
        assert.equal(first, seen.open === undefined, 'first exactly at the beginning of a message');
        (seen.open ??= []).push(Buffer.from(piece));
        if (!last) return;
        seen.messages.push({ binary, bytes: Buffer.concat(seen.open).toString('hex') });
        seen.open = undefined;
      },
      ping: (payload) => seen.pings.push(payload.toString('hex')),
      pong: (payload) => seen.pongs.push(payload.toString('hex')),
      close: (code, reason) => seen.closes.push([code, reason]),
    },
    maxMessageBytes === undefined ? {} : { maxMessageBytes },
  );
  return { reader, seen };
}

function feed(reader: WebSocketFrameReader, wire: Buffer, cuts: readonly number[]): void {
  let at = 0;
  let next = 0;
  while (at < wire.length) {
    const size = cuts.length === 0 ? wire.length : cuts[next++ % cuts.length]!;
    // A chunk of its own memory at an odd offset: unmasking happens in place and by words.
    const chunk = Buffer.alloc(Math.min(size, wire.length - at) + 3).subarray(at % 3);
    const bytes = chunk.subarray(0, Math.min(size, wire.length - at));
    wire.copy(bytes, 0, at, at + bytes.length);
    reader.receive(bytes);
    at += bytes.length;
  }
}

const frame = (first: number, payload: Buffer, key?: Buffer): Buffer => {
  const length =
    payload.length < 126
      ? Buffer.from([payload.length])
      : payload.length < 65536
        ? Buffer.from([126, payload.length >> 8, payload.length & 255])
        : Buffer.concat([Buffer.from([127, 0, 0, 0, 0]), Buffer.from(Uint32Array.of(payload.length).buffer).reverse()]);
  if (key === undefined) return Buffer.concat([Buffer.from([first]), length, payload]);
  length[0]! |= 0x80;
  return Buffer.concat([Buffer.from([first]), length, key, payload.map((byte, index) => byte ^ key[index & 3]!)]);
};

const payloads = fc.oneof(
  fc.uint8Array({ maxLength: 300 }),
  fc.constantFrom(125, 126, 127, 65535, 65536, 70001).map((size) => new Uint8Array(size).fill(size & 255)),
);
const cutting = fc.array(fc.integer({ min: 1, max: 5000 }), { maxLength: 8 });
const keys = fc.uint8Array({ minLength: 4, maxLength: 4 }).map((key) => Buffer.from(key));

test('any messages, fragmented and interleaved with control frames, arrive whole whatever the chunking', () => {
  const message = fc.record({
    binary: fc.boolean(),
    fragments: fc.array(fc.tuple(payloads, keys), { minLength: 1, maxLength: 4 }),
    control: fc.option(fc.tuple(fc.constantFrom(9, 10), fc.uint8Array({ maxLength: 125 }), keys)),
  });
  fc.assert(
    fc.property(
      fc.constantFrom<WebSocketRole>('server', 'client'),
      fc.array(message, { maxLength: 5 }),
      cutting,
      (role, list, cuts) => {
        const wire: Buffer[] = [];
        const key = (given: Buffer): Buffer | undefined => (role === 'server' ? given : undefined);
        const expected = { messages: [] as Seen['messages'], pings: [] as string[], pongs: [] as string[] };
        for (const { binary, fragments, control } of list) {
          fragments.forEach(([payload, mask], index) => {
            const last = index === fragments.length - 1;
            const opcode = (index === 0 ? (binary ? 2 : 1) : 0) | (last ? 0x80 : 0);
            wire.push(frame(opcode, Buffer.from(payload), key(mask)));
            if (control === null || last) return;
            wire.push(frame(0x80 | control[0], Buffer.from(control[1]), key(control[2])));
            (control[0] === 9 ? expected.pings : expected.pongs).push(Buffer.from(control[1]).toString('hex'));
          });
          expected.messages.push({
            binary,
            bytes: Buffer.concat(fragments.map(([payload]) => payload)).toString('hex'),
          });
        }
        const { reader, seen } = reading(role);
        feed(reader, Buffer.concat(wire), cuts);
        assert.deepEqual({ messages: seen.messages, pings: seen.pings, pongs: seen.pongs }, expected);
        assert.equal(reader.atBoundary, true);
      },
    ),
    { numRuns: 150 },
  );
});

test('what the writer writes the other role reads', () => {
  const part = fc.record({
    payload: payloads,
    channel: fc.option(fc.integer({ min: 0, max: 255 }), { nil: undefined }),
  });
  fc.assert(
    fc.property(
      fc.constantFrom<WebSocketRole>('server', 'client'),
      fc.array(part, { maxLength: 5 }),
      cutting,
      (role, parts, cuts) => {
        const wire: Buffer[] = [];
        const writer = new WebSocketFrameWriter(role, (bytes) => wire.push(bytes));
        const before = parts.map(({ payload }) => Buffer.from(payload).toString('hex'));
        for (const { payload, channel } of parts) writer.message(payload, channel);
        writer.ping(Buffer.from('a'));
        writer.pong(Buffer.from('b'));
        writer.close(1000, 'é'.repeat(100));
        writer.message(Buffer.from('nothing after the farewell'));
        assert.deepEqual(
          parts.map(({ payload }) => Buffer.from(payload).toString('hex')),
          before,
          'masking leaves the caller’s bytes alone',
        );
        const { reader, seen } = reading(role === 'server' ? 'client' : 'server');
        feed(reader, Buffer.concat(wire), cuts);
        assert.deepEqual(
          seen.messages.map(({ bytes }) => bytes),
          parts.map(({ channel }, index) =>
            channel === undefined ? before[index] : Buffer.from([channel]).toString('hex') + before[index],
          ),
        );
        assert.deepEqual([seen.pings, seen.pongs], [['61'], ['62']]);
        assert.deepEqual(seen.closes, [[1000, 'é'.repeat(61)]]);
      },
    ),
    { numRuns: 100 },
  );
});

test('the examples of RFC 6455, 5.7', () => {
  const hello = Buffer.from('Hello').toString('hex');
  const unmasked = reading('client');
  unmasked.reader.receive(Buffer.from('810548656c6c6f', 'hex'));
  unmasked.reader.receive(Buffer.from('010348656c80026c6f', 'hex'));
  assert.deepEqual(unmasked.seen.messages, [
    { binary: false, bytes: hello },
    { binary: false, bytes: hello },
  ]);
  unmasked.reader.receive(Buffer.from('890548656c6c6f', 'hex'));
  assert.deepEqual(unmasked.seen.pings, [hello]);
  const masked = reading('server');
  masked.reader.receive(Buffer.from('818537fa213d7f9f4d5158', 'hex'));
  masked.reader.receive(Buffer.from('8a8537fa213d7f9f4d5158', 'hex'));
  assert.deepEqual(masked.seen.messages, [{ binary: false, bytes: hello }]);
  assert.deepEqual(masked.seen.pongs, [hello]);
});

const malformed: [string, WebSocketRole, string, number][] = [
  ['a reserved bit', 'client', 'c200', 1002],
  ['an unknown data opcode', 'client', '8300', 1002],
  ['an unknown control opcode', 'client', '8b00', 1002],
  ['a fragmented ping', 'client', '0900', 1002],
  ['a long ping', 'client', '897e007e', 1002],
  ['an unmasked frame from a client', 'server', '8200', 1002],
  ['a masked frame from a server', 'client', '828000000000', 1002],
  ['a continuation of nothing', 'client', '8000', 1002],
  ['a message inside a message', 'client', '020161820161', 1002],
  ['a 16-bit length that fits 7 bits', 'client', '827e007d', 1002],
  ['a 64-bit length that fits 16 bits', 'client', '827f000000000000ffff', 1002],
  ['a length over 2^53', 'client', '827fffffffffffffffff', 1009],
  ['a frame over the limit', 'client', '827f0000000100000000', 1009],
  ['a close of one byte', 'client', '880103', 1002],
  ['a close code that is never sent', 'client', '880203ed', 1002],
  ['a close code below 1000', 'client', '880203e7', 1002],
  ['a close reason that is not UTF-8', 'client', '880403e8c328', 1007],
];

for (const [name, role, wire, code] of malformed) {
  test(`refused: ${name}`, () => {
    for (const cuts of [[], [1]]) {
      const { reader } = reading(role);
      assert.throws(
        () => feed(reader, Buffer.from(wire, 'hex'), cuts),
        (error) => error instanceof StreamProtocolError && error.closeCode === code,
      );
      // Nothing is read after the error.
      reader.receive(Buffer.from('8200', 'hex'));
    }
  });
}

test('fragments count together against the limit of a message', () => {
  const { reader, seen } = reading('client', 10);
  reader.receive(frame(0x02, Buffer.alloc(6)));
  assert.throws(() => reader.receive(frame(0x80, Buffer.alloc(5))), /over the limit/);
  assert.equal(seen.messages.length, 0);
  const next = reading('client', 10);
  next.reader.receive(frame(0x82, Buffer.alloc(10)));
  next.reader.receive(frame(0x82, Buffer.alloc(10)));
  assert.equal(next.seen.messages.length, 2);
});

test('a large message is handed on as it arrives, not held', () => {
  const { reader, seen } = reading('client');
  const head = Buffer.from('827f0000000001000000', 'hex');
  reader.receive(head);
  for (let index = 0; index < 255; index++) reader.receive(Buffer.alloc(65536));
  assert.equal(seen.open?.length, 255);
  assert.equal(reader.atBoundary, false);
  reader.receive(Buffer.alloc(65536));
  assert.equal(seen.messages.length, 1);
});

test('nothing is read after a close frame', () => {
  const { reader, seen } = reading('client');
  reader.receive(Buffer.from('8800820161', 'hex'));
  assert.deepEqual(seen.closes, [[undefined, '']]);
  assert.equal(seen.messages.length, 0);
});

test('random bytes end in messages or in a protocol error, never in another one', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom<WebSocketRole>('server', 'client'),
      (bytes, role) => {
        const { reader } = reading(role);
        try {
          reader.receive(Buffer.from(bytes));
        } catch (error) {
          assert.ok(error instanceof StreamProtocolError);
        }
      },
    ),
    { numRuns: 1000 },
  );
});
