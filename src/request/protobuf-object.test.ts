import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { writeJson } from './json.ts';
import { readProtobufObject } from './protobuf-object.ts';

const field = (number: number, ...parts: readonly Uint8Array[]): Buffer => {
  const bytes = Buffer.concat(parts);
  const length: number[] = [];
  for (let rest = bytes.length; ; rest >>= 7) {
    length.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) break;
  }
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...length]), bytes]);
};
const text = (number: number, value: string): Buffer => field(number, Buffer.from(value));
const wrapped = (kind: string, ...fields: readonly Uint8Array[]): Buffer =>
  Buffer.concat([
    Buffer.from('k8s\0'),
    field(1, text(1, 'v1'), text(2, kind)),
    field(2, ...fields),
    text(3, ''),
    text(4, ''),
  ]);
const entry = (key: string, value: string): Buffer => Buffer.concat([text(1, key), text(2, value)]);

// What the API server itself makes of it is compared in test/masking/gateway/write-back.test.ts.
suite('protobuf of Secrets and ConfigMaps', () => {
  test('is read as the JSON that means the same', () => {
    const metadata = field(
      1,
      text(1, 'db'),
      text(2, ''),
      text(3, 'shop'),
      field(8),
      field(11, entry('a', 'b')),
      text(14, 'keep'),
    );
    const secret = wrapped(
      'Secret',
      metadata,
      field(2, entry('k', 'v\u0000')),
      text(3, 'Opaque'),
      field(4, entry('s', 't')),
      Buffer.from([5 << 3, 1]),
    );
    assert.equal(
      writeJson(readProtobufObject(secret)!),
      '{"apiVersion":"v1","kind":"Secret","metadata":{"name":"db","namespace":"shop","labels":{"a":"b"},"finalizers":["keep"]},' +
        '"data":{"k":"dgA="},"type":"Opaque","stringData":{"s":"t"},"immutable":true}',
    );
    const map = wrapped('ConfigMap', field(2, entry('k', 'é')), field(3, entry('b', 'x')));
    assert.equal(
      writeJson(readProtobufObject(map)!),
      '{"apiVersion":"v1","kind":"ConfigMap","data":{"k":"é"},"binaryData":{"b":"eA=="}}',
    );
  });

  test('what is not known, or has two readings, is not guessed', () => {
    for (const bytes of [
      wrapped('Pod'),
      wrapped('Secret', text(9, 'x')),
      wrapped('Secret', field(1, text(16, 'x'))),
      wrapped('Secret', text(3, 'a'), text(3, 'b')),
      wrapped('Secret', field(2, entry('k', 'v')), field(2, entry('k', 'w'))),
      wrapped('ConfigMap', field(2, Buffer.concat([text(1, 'k'), field(2, Buffer.from([0xff]))]))),
      wrapped('Secret', Buffer.from([0x0a, 0x7f])),
      wrapped('Secret', Buffer.from([0x09, 0, 0, 0, 0, 0, 0, 0, 0])),
      Buffer.concat([Buffer.from('k8s\0'), field(1, text(1, 'v1'), text(2, 'Secret')), field(2), text(3, 'gzip')]),
      Buffer.from('k8s\0'),
    ]) {
      assert.equal(readProtobufObject(bytes), undefined, bytes.toString('hex'));
    }
  });

  test('whatever the bytes, it ends, and throws nothing', () => {
    const whole = wrapped('Secret', field(1, text(1, 'db')), field(2, entry('k', 'v')));
    fc.assert(
      fc.property(fc.nat(whole.length - 1), fc.nat(255), fc.uint8Array({ maxLength: 40 }), (at, byte, rest) => {
        const bytes = Buffer.from(whole);
        bytes[at] = byte;
        readProtobufObject(Buffer.concat([bytes.subarray(0, at + 1), rest]));
        readProtobufObject(bytes);
      }),
      { numRuns: 2000 },
    );
  });
});
