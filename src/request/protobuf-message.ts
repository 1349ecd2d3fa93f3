import { decodeUtf8, JsonNumber } from './json.ts';

/** What stands in a message is not what is known here. */
export class UnknownForm extends Error {}

const MAX_FIELDS = 100_000;

/** One message on the wire: varints and what has a length; nothing else is used in these kinds. */
export class ProtobufMessage {
  readonly #fields = new Map<number, (Uint8Array | bigint)[]>();
  readonly #bytes: Uint8Array;
  #at = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    for (let count = 0; this.#at < bytes.length; count++) {
      if (count >= MAX_FIELDS) throw new UnknownForm();
      const tag = this.#varint();
      const field = Number(tag >> 3n);
      const values = this.#fields.get(field) ?? [];
      this.#fields.set(field, values);
      values.push(this.#value(Number(tag & 7n)));
    }
  }

  /** @throws UnknownForm where it has another field */
  only(...known: readonly number[]): void {
    for (const field of this.#fields.keys()) if (!known.includes(field)) throw new UnknownForm();
  }

  has(field: number): boolean {
    return this.#fields.has(field);
  }

  all(field: number): Uint8Array[] {
    return (this.#fields.get(field) ?? []).map((value) => {
      if (typeof value === 'bigint') throw new UnknownForm();
      return value;
    });
  }

  /** Of two, readers take the last one or merge them: there must be one. */
  bytes(field: number): Uint8Array | undefined {
    const values = this.all(field);
    if (values.length > 1) throw new UnknownForm();
    return values[0];
  }

  text(field: number): string | undefined {
    const bytes = this.bytes(field);
    return bytes === undefined ? undefined : decodeUtf8(bytes);
  }

  number(field: number): JsonNumber | undefined {
    const value = this.#single(field);
    return value === undefined || value === 0n ? undefined : new JsonNumber(BigInt.asIntN(64, value).toString());
  }

  flag(field: number): boolean | undefined {
    const value = this.#single(field);
    return value === undefined ? undefined : value !== 0n;
  }

  #single(field: number): bigint | undefined {
    const values = this.#fields.get(field) ?? [];
    const [value] = values;
    if (values.length > 1 || value instanceof Uint8Array) throw new UnknownForm();
    return value;
  }

  #value(type: number): Uint8Array | bigint {
    if (type === 0) return this.#varint();
    if (type !== 2) throw new UnknownForm();
    const length = this.#varint();
    const end = BigInt(this.#at) + length;
    if (end > BigInt(this.#bytes.length)) throw new UnknownForm();
    const value = this.#bytes.subarray(this.#at, Number(end));
    this.#at = Number(end);
    return value;
  }

  #varint(): bigint {
    let value = 0n;
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#bytes[this.#at++];
      if (byte === undefined) throw new UnknownForm();
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return value;
    }
    throw new UnknownForm();
  }
}
