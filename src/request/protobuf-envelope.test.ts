import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasProtobufField, withProtobufFields } from './protobuf-envelope.ts';
import { ProtobufMessage } from './protobuf-message.ts';

const field = (number: number, ...parts: readonly Uint8Array[]): Buffer => {
  const bytes = Buffer.concat(parts);
  const head = bytes.length > 0x7f ? [(bytes.length & 0x7f) | 0x80, bytes.length >> 7] : [bytes.length];
  return Buffer.concat([Buffer.from([(number << 3) | 2, ...head]), bytes]);
};
const text = (number: number, value: string): Buffer => field(number, Buffer.from(value));
const body = (...rest: readonly Uint8Array[]): Buffer =>
  Buffer.concat([Buffer.from('k8s\0'), field(1, text(1, 'v1'), text(2, 'ConfigMap')), ...rest]);
const raw = field(1, text(1, 'settings'), text(6, '7'));

test('fields come behind what is there, in the object and nowhere else', () => {
  const long = 'x'.repeat(300);
  const written = withProtobufFields(body(field(2, raw), text(3, ''), text(4, 'a/b')), [
    [
      1,
      [
        [5, long],
        [6, '9'],
      ],
    ],
  ])!;
  const envelope = new ProtobufMessage(written.subarray(4));
  assert.equal(envelope.text(4), 'a/b');
  assert.deepEqual(envelope.bytes(1), field(1, text(1, 'v1'), text(2, 'ConfigMap')).subarray(2));
  const object = new ProtobufMessage(envelope.bytes(2)!);
  const [before, added] = object.all(1).map((bytes) => new ProtobufMessage(bytes));
  assert.deepEqual([before!.text(1), before!.text(6)], ['settings', '7']);
  assert.deepEqual([added!.text(5), added!.text(6)], [long, '9']);
});

test('says whether the object has a field', () => {
  assert.equal(hasProtobufField(body(field(2, raw)), 1), true);
  assert.equal(hasProtobufField(body(field(2, raw)), 2), false);
});

test('where the object cannot be found for certain nothing is written', () => {
  const bodies: Record<string, Buffer> = {
    'no object': body(),
    'two objects': body(field(2, raw), field(2, raw)),
    'another encoding': body(field(2, raw), text(3, 'gzip')),
    'an unknown field': body(field(2, raw), text(9, 'x')),
    'cut off': body(field(2, raw)).subarray(0, -1),
    'a length beyond the end': Buffer.concat([Buffer.from('k8s\0'), Buffer.from([0x12, 0xff, 0xff, 0xff, 0xff, 0x7f])]),
    'no length': Buffer.concat([Buffer.from('k8s\0'), Buffer.from([0x12])]),
  };
  for (const [what, bytes] of Object.entries(bodies)) {
    assert.equal(withProtobufFields(bytes, [[1, [[6, '9']]]]), undefined, what);
    assert.equal(hasProtobufField(bytes, 1), undefined, what);
  }
});
