import { SallyportError } from '../errors.ts';
import { decodeUtf8, type Json, type JsonObject, parseJson } from './json.ts';
import { ProtobufMessage as Message, UnknownForm } from './protobuf-message.ts';

/**
 * Secrets and ConfigMaps in Kubernetes' protobuf (k8s.io/api/core/v1 and apimachinery's generated.proto), as the JSON that the
 * API server reads alike. Typed Go clients, helm and `kubectl create` among them, write these in no other form.
 *
 * @param bytes with their `k8s\0`
 * @returns undefined for other kinds, and where anything stands in it that is not known here: then nothing is guessed
 */
export function readProtobufObject(bytes: Uint8Array): JsonObject | undefined {
  try {
    const envelope = new Message(bytes.subarray(4));
    const type = new Message(envelope.bytes(1) ?? NOTHING);
    const raw = envelope.bytes(2);
    const encoding = envelope.text(3) ?? '';
    const [version, kind] = [type.text(1), type.text(2)];
    if (version !== 'v1' || raw === undefined || encoding !== '') return undefined;
    const read = kind === 'Secret' ? secret : kind === 'ConfigMap' ? configMap : undefined;
    if (read === undefined) return undefined;
    return new Map<string, Json>([['apiVersion', 'v1'], ['kind', kind!], ...read(new Message(raw))]);
  } catch (error) {
    if (error instanceof UnknownForm || error instanceof SallyportError) return undefined;
    throw error;
  }
}

const NOTHING = new Uint8Array(0);

function secret(message: Message): JsonObject {
  message.only(1, 2, 3, 4, 5);
  return object(
    ['metadata', metadata(message.bytes(1))],
    ['data', map(message.all(2), base64)],
    ['type', message.text(3) || undefined],
    ['stringData', map(message.all(4), decodeUtf8)],
    ['immutable', message.flag(5)],
  );
}

function configMap(message: Message): JsonObject {
  message.only(1, 2, 3, 4);
  return object(
    ['metadata', metadata(message.bytes(1))],
    ['data', map(message.all(2), decodeUtf8)],
    ['binaryData', map(message.all(3), base64)],
    ['immutable', message.flag(4)],
  );
}

function metadata(bytes: Uint8Array | undefined): JsonObject | undefined {
  if (bytes === undefined) return undefined;
  const message = new Message(bytes);
  message.only(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 17);
  return object(
    ['name', message.text(1) || undefined],
    ['generateName', message.text(2) || undefined],
    ['namespace', message.text(3) || undefined],
    ['uid', message.text(5) || undefined],
    ['resourceVersion', message.text(6) || undefined],
    ['generation', message.number(7)],
    ['creationTimestamp', time(message.bytes(8))],
    ['deletionTimestamp', time(message.bytes(9))],
    ['deletionGracePeriodSeconds', message.number(10)],
    ['labels', map(message.all(11), decodeUtf8)],
    ['annotations', map(message.all(12), decodeUtf8)],
    ['ownerReferences', list(message.all(13), ownerReference)],
    ['finalizers', list(message.all(14), decodeUtf8)],
    ['managedFields', list(message.all(17), managedFields)],
  );
}

function ownerReference(bytes: Uint8Array): JsonObject {
  const message = new Message(bytes);
  message.only(1, 3, 4, 5, 6, 7);
  return object(
    ['apiVersion', message.text(5)],
    ['kind', message.text(1)],
    ['name', message.text(3)],
    ['uid', message.text(4)],
    ['controller', message.flag(6)],
    ['blockOwnerDeletion', message.flag(7)],
  );
}

function managedFields(bytes: Uint8Array): JsonObject {
  const message = new Message(bytes);
  message.only(1, 2, 3, 4, 6, 7, 8);
  const fields = message.bytes(7);
  return object(
    ['manager', message.text(1) || undefined],
    ['operation', message.text(2) || undefined],
    ['apiVersion', message.text(3) || undefined],
    ['time', time(message.bytes(4))],
    ['fieldsType', message.text(6) || undefined],
    ['fieldsV1', fields === undefined ? undefined : parseJson(new Message(fields).text(1) ?? '')],
    ['subresource', message.text(8) || undefined],
  );
}

/** metav1.Time: whole seconds. */
function time(bytes: Uint8Array | undefined): string | undefined {
  if (bytes === undefined || bytes.length === 0) return undefined;
  const seconds = Number(new Message(bytes).number(1)?.text ?? 0);
  const date = new Date(seconds * 1000);
  if (Number.isNaN(date.getTime())) throw new UnknownForm();
  // The zero time of Go, before anything Kubernetes could have seen.
  return seconds < 0 ? undefined : `${date.toISOString().slice(0, 19)}Z`;
}

function object(...members: readonly (readonly [string, Json | undefined])[]): JsonObject {
  const result: JsonObject = new Map();
  for (const [name, value] of members) if (value !== undefined) result.set(name, value);
  return result;
}

function map(entries: readonly Uint8Array[], read: (value: Uint8Array) => string): JsonObject | undefined {
  if (entries.length === 0) return undefined;
  const result: JsonObject = new Map();
  for (const entry of entries) {
    const message = new Message(entry);
    message.only(1, 2);
    const name = message.text(1) ?? '';
    if (result.has(name)) throw new UnknownForm();
    result.set(name, read(message.bytes(2) ?? NOTHING));
  }
  return result;
}

function list(items: readonly Uint8Array[], read: (item: Uint8Array) => Json): Json[] | undefined {
  return items.length === 0 ? undefined : items.map(read);
}

function base64(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('base64');
}
