import { type KeyObject, sign, verify } from 'node:crypto';

/**
 * A signed document as DSSE v1 (github.com/secure-systems-lab/dsse): the payload's bytes stand in it untouched, and what is
 * signed names their type, so that no signature of one kind of document passes for one of another.
 */
export interface Envelope {
  readonly payloadType: string;
  /** Base64. */
  readonly payload: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

/** DSSE's pre-authentication encoding. */
export function preAuthentication(payloadType: string, payload: Buffer): Buffer {
  const head = `DSSEv1 ${Buffer.byteLength(payloadType)} ${payloadType} ${payload.length} `;
  return Buffer.concat([Buffer.from(head), payload]);
}

export function signEnvelope(
  payloadType: string,
  payload: Buffer,
  key: { id: string; privateKey: KeyObject },
): Envelope {
  const sig = sign(null, preAuthentication(payloadType, payload), key.privateKey).toString('base64');
  return { payloadType, payload: payload.toString('base64'), signatures: [{ keyid: key.id, sig }] };
}

/** The envelope's file: members in this order, no white space, one newline at the end. */
export function writeEnvelope(envelope: Envelope): Buffer {
  return Buffer.from(`${JSON.stringify(envelope)}\n`);
}

/** Why an envelope does not hold; its message says it in one line. */
export class EnvelopeError extends Error {}

/**
 * The payload, once a known key has signed it.
 * @throws EnvelopeError unreadable, of another type, signed by no known key, or changed
 */
export function openEnvelope(
  bytes: Buffer,
  payloadType: string,
  keyOf: (id: string) => KeyObject | undefined,
): { payload: Buffer; keyID: string } {
  const envelope = parseEnvelope(bytes);
  if (envelope.payloadType !== payloadType) throw new EnvelopeError(`is no ${payloadType}`);
  const payload = Buffer.from(envelope.payload, 'base64');
  const message = preAuthentication(payloadType, payload);
  const unknown: string[] = [];
  for (const { keyid, sig } of envelope.signatures) {
    const key = keyOf(keyid);
    if (key === undefined) unknown.push(keyid);
    else if (verify(null, message, key, Buffer.from(sig, 'base64'))) return { payload, keyID: keyid };
    else throw new EnvelopeError(`its signature by key ${keyid} does not hold: it was changed after it was signed`);
  }
  throw new EnvelopeError(
    unknown.length === 0
      ? 'is not signed'
      : `is signed by key ${unknown.join(', ')}, which is not among the keys given`,
  );
}

/** @throws EnvelopeError */
export function parseEnvelope(bytes: Buffer): Envelope {
  let value: unknown;
  try {
    value = JSON.parse(bytes.toString('utf8'));
  } catch {
    throw new EnvelopeError('is no JSON');
  }
  const { payloadType, payload, signatures } = (value ?? {}) as Partial<Envelope>;
  const sound =
    typeof payloadType === 'string' &&
    typeof payload === 'string' &&
    Array.isArray(signatures) &&
    signatures.length <= 8 &&
    signatures.every((one: unknown) => {
      const { keyid, sig } = (one ?? {}) as Record<string, unknown>;
      return typeof keyid === 'string' && /^[0-9a-f]{1,64}$/.test(keyid) && typeof sig === 'string';
    });
  if (!sound) throw new EnvelopeError('is no DSSE envelope');
  const envelope = { payloadType, payload, signatures: signatures.map(({ keyid, sig }) => ({ keyid, sig })) };
  const canonical = [payload, ...signatures.map(({ sig }) => sig)].every(
    (text) => Buffer.from(text, 'base64').toString('base64') === text,
  );
  // Not a byte of the file is without meaning: one more space, another spelling of base64, and it was changed.
  if (!canonical || !bytes.equals(writeEnvelope(envelope))) {
    throw new EnvelopeError('was changed: it does not stand there as it is written');
  }
  return envelope;
}
