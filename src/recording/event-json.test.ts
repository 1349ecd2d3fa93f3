import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { Chain, startOf } from './chain.ts';
import { writeEvent } from './event-json.ts';
import { putNumber, putText } from './json-bytes.ts';
import type { EventLine, RecordedBody } from './line.ts';

const RUNS = { numRuns: 500 };

/** Names, sentences, bodies; with all that JSON escapes, what has no UTF-8, and on both sides of where a string counts as long. */
const short = fc.oneof(
  fc.string({ unit: 'grapheme-ascii', maxLength: 80 }),
  fc.string({ unit: 'binary', maxLength: 80 }),
  fc.array(fc.integer({ min: 0, max: 0xffff }), { maxLength: 80 }).map((units) => String.fromCharCode(...units)),
  fc.integer({ min: 40, max: 60 }).map((length) => '"'.repeat(length)),
  fc.constantFrom(
    '\u0000',
    '\u001f',
    '\u007f',
    '\ufffd',
    '\ud800',
    '\udc00\ud800',
    '😀',
    '\u2028',
    '\\"\n\r\t\b\f',
    '',
  ),
);
const text = fc.oneof(
  short,
  short.map((string) => `${'x'.repeat(50)}${string}`),
);
const number = fc.oneof(
  fc.nat(),
  fc.nat().map((hundredths) => hundredths / 100),
  fc.double(),
  fc.constantFrom(-0, -1, 0.1, 0.07, 1.005, 10_737_418.23, 10_737_418.24, 2 ** 53, 1e21, Number.NaN),
);
const maybe = <Value>(value: fc.Arbitrary<Value>): fc.Arbitrary<Value | undefined> =>
  fc.option(value, { nil: undefined, freq: 3 });
const flag = maybe(fc.constant(true as const));
const body: fc.Arbitrary<RecordedBody> = fc.record({
  contentType: text,
  bytes: number,
  sha256: maybe(text),
  truncated: flag,
  data: maybe(text),
  encoding: maybe(fc.constant('base64' as const)),
});

/** Each member of an event: one that is added to it and not here does not compile, and one that is not written is found. */
const members: { readonly [Member in keyof Required<EventLine>]: fc.Arbitrary<EventLine[Member]> } = {
  kind: fc.constant('Event' as const),
  level: fc.constantFrom('Metadata', 'Request', 'RequestResponse'),
  auditID: text,
  stage: fc.constantFrom('RequestReceived', 'ResponseStarted', 'ResponseComplete'),
  stageTimestamp: text,
  requestReceivedTimestamp: text,
  requestURI: text,
  verb: text,
  user: fc.record({ username: text, uid: maybe(text), groups: fc.array(text, { maxLength: 3 }) }),
  impersonatedUser: maybe(fc.record({ username: text, groups: fc.array(text, { maxLength: 3 }) })),
  caller: fc.record({ method: text, issuer: text, agent: maybe(text), onBehalfOf: maybe(text), run: maybe(text) }),
  sourceIPs: fc.array(text, { maxLength: 3 }),
  userAgent: maybe(text),
  objectRef: maybe(
    fc.record({
      resource: text,
      subresource: maybe(text),
      namespace: maybe(text),
      name: maybe(text),
      apiGroup: maybe(text),
      apiVersion: text,
    }),
  ),
  dryRun: flag,
  exec: maybe(
    fc.record({
      command: fc.array(text, { maxLength: 3 }),
      container: text,
      stdin: fc.boolean(),
      stdout: fc.boolean(),
      stderr: fc.boolean(),
      tty: fc.boolean(),
    }),
  ),
  ports: maybe(fc.array(fc.nat(), { maxLength: 3 })),
  decision: maybe(
    fc.record({
      action: fc.constantFrom('Allow', 'RequireApproval', 'Deny'),
      policy: maybe(text),
      policyUID: maybe(text),
      policyGeneration: maybe(number),
      rule: maybe(text),
      reason: maybe(text),
      shadow: maybe(fc.array(fc.record({ policy: text, rule: text }), { maxLength: 2 })),
    }),
  ),
  approval: maybe(
    fc.record({
      namespace: text,
      name: text,
      decisions: fc.array(fc.record({ type: text, username: text, reason: maybe(text), time: maybe(text) }), {
        maxLength: 2,
      }),
    }),
  ),
  requestBody: maybe(body),
  responseStatus: maybe(fc.record({ code: number, status: maybe(text), reason: maybe(text), message: maybe(text) })),
  masked: maybe(fc.dictionary(text, fc.nat(), { maxKeys: 3, noNullPrototype: true })),
  bytes: maybe(fc.record({ request: number, response: number })),
  durations: maybe(
    fc.record({ total: number, decision: maybe(number), approval: maybe(number), upstream: maybe(number) }),
  ),
  outcome: maybe(fc.constantFrom('Complete', 'Refused', 'Failed', 'ClientLeft', 'Ended', 'Unknown')),
  responseBody: maybe(body),
  error: maybe(fc.record({ code: text, message: text })),
};
const event = fc.record(members) as fc.Arbitrary<EventLine>;

test('an event is written as JSON.stringify writes it, to the byte', () => {
  const out = Buffer.alloc(64 << 10);
  fc.assert(
    fc.property(event, fc.nat(100), (line, at) => {
      const end = writeEvent(out, at, line);
      assert.equal(out.toString('utf8', at, end), JSON.stringify(line).slice(1, -1));
    }),
    RUNS,
  );
});

test('a string and a number are written as JSON.stringify writes them', () => {
  const out = Buffer.alloc(64 << 10);
  fc.assert(
    fc.property(text, number, (string, value) => {
      assert.equal(out.toString('utf8', 0, putText(out, 0, string)), JSON.stringify(string));
      assert.equal(out.toString('utf8', 0, putNumber(out, 0, value)), JSON.stringify(value));
    }),
    { numRuns: 5_000 },
  );
  for (const long of [
    'a'.repeat(9_000),
    '"'.repeat(9_000),
    '\u0001'.repeat(1_000),
    'ä'.repeat(5_000),
    `${'a'.repeat(99)}\ud800`,
  ]) {
    assert.equal(out.toString('utf8', 0, putText(out, 0, long)), JSON.stringify(long));
  }
});

test('where there is too little room nothing is written beyond it, and it is said', () => {
  const memory = Buffer.alloc(64 << 10);
  fc.assert(
    fc.property(event, fc.double({ min: 0, max: 1.2, noNaN: true }), (line, share) => {
      const wanted = Buffer.byteLength(JSON.stringify(line)) - 2;
      const room = Math.floor(wanted * share);
      memory.fill(0x7e);
      const end = writeEvent(memory.subarray(0, room), 0, line);
      if (room < wanted) assert.equal(end, undefined);
      else if (end !== undefined) assert.equal(end, wanted);
      assert.ok(memory.subarray(room, room + 4_096).every((byte) => byte === 0x7e));
    }),
    RUNS,
  );
});

test('an event is chained like any other line; one that is too long for its buffer is left to the other way', () => {
  const one = new Chain(7, startOf('a'));
  const other = new Chain(7, startOf('a'));
  let short = 0;
  fc.assert(
    fc.property(event, (line) => {
      const { seq, head } = one;
      const bytes = one.extendBy(line);
      if (bytes === undefined) {
        assert.deepEqual([one.seq, one.head], [seq, head]);
        one.extend([line]);
      }
      const kept = bytes && Buffer.from(bytes);
      const same = other.extend([line]);
      if (kept !== undefined) {
        short += 1;
        assert.deepEqual(kept, same);
      }
      assert.deepEqual([one.seq, one.head], [other.seq, other.head]);
    }),
    RUNS,
  );
  assert.ok(short > RUNS.numRuns / 2);
  const [sample] = fc.sample(event, 1);
  for (const length of [
    1_000,
    12_000,
    16_383,
    16_385,
    31_000,
    32_000,
    ...Array.from({ length: 99 }, (_, n) => 32_100 + 7 * n),
  ]) {
    const line: EventLine = { ...sample!, responseBody: { contentType: 'a', bytes: 1, data: 'x'.repeat(length) } };
    const bytes = one.extendBy(line);
    const kept = bytes === undefined ? one.extend([line]) : Buffer.from(bytes);
    assert.deepEqual(kept, other.extend([line]));
  }
});
