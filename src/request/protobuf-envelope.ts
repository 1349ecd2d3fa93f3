import { SallyportError } from '../errors.ts';
import { ProtobufMessage, UnknownForm } from './protobuf-message.ts';

/** A field of a message and what it holds: text, or a message of fields. */
export type ProtobufField = readonly [number, string | readonly ProtobufField[]];

/**
 * A Kubernetes protobuf body (`k8s\0` and runtime.Unknown) with fields added to its object. Readers merge a message that
 * stands in another twice, and of a text that stands twice take the last (the encoding's own rule): what is added here
 * is in force, and the rest stays.
 *
 * @returns undefined where the object cannot be found in it for certain
 */
export function withProtobufFields(bytes: Uint8Array, added: readonly ProtobufField[]): Buffer | undefined {
  const envelope = readEnvelope(bytes);
  if (envelope === undefined) return undefined;
  const { type, raw, contentType } = envelope;
  return Buffer.concat([
    bytes.subarray(0, 4),
    field(1, type),
    field(2, Buffer.concat([raw, written(added)])),
    field(3, Buffer.alloc(0)),
    field(4, contentType),
  ]);
}

/** Whether the object in a body has a field of this number; undefined where that cannot be said. */
export function hasProtobufField(bytes: Uint8Array, number: number): boolean | undefined {
  const envelope = readEnvelope(bytes);
  return envelope && read(() => new ProtobufMessage(envelope.raw).has(number));
}

interface Envelope {
  readonly type: Uint8Array;
  readonly raw: Uint8Array;
  readonly contentType: Uint8Array;
}

function readEnvelope(bytes: Uint8Array): Envelope | undefined {
  return read(() => {
    const message = new ProtobufMessage(bytes.subarray(4));
    message.only(1, 2, 3, 4);
    const raw = message.bytes(2);
    // What is compressed or encoded otherwise has no end to which anything could be added.
    if (raw === undefined || (message.bytes(3)?.length ?? 0) > 0) return undefined;
    return { type: message.bytes(1) ?? NOTHING, raw, contentType: message.bytes(4) ?? NOTHING };
  });
}

const NOTHING = new Uint8Array(0);

function read<T>(from: () => T): T | undefined {
  try {
    return from();
  } catch (error) {
    if (error instanceof UnknownForm || error instanceof SallyportError) return undefined;
    throw error;
  }
}

function written(fields: readonly ProtobufField[]): Buffer {
  return Buffer.concat(
    fields.map(([number, value]) => field(number, typeof value === 'string' ? Buffer.from(value) : written(value))),
  );
}

function field(number: number, value: Uint8Array): Buffer {
  const head: number[] = [(number << 3) | 2];
  let rest = value.length;
  for (; rest > 0x7f; rest >>>= 7) head.push((rest & 0x7f) | 0x80);
  return Buffer.concat([Buffer.from([...head, rest]), value]);
}
