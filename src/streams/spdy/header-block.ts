import { constants, inflateRawSync } from 'node:zlib';
import { StreamProtocolError } from '../protocol-error.ts';
import { SPDY_DICTIONARY, SPDY_DICTIONARY_ID } from './dictionary.ts';

/** Names in lower case; a name may carry several values (separated by NUL on the wire). */
export type SpdyHeaders = ReadonlyMap<string, readonly string[]>;

export interface HeaderBlockLimits {
  /** Of one block after inflation, in bytes: what a bomb may reach. */
  readonly maxInflatedBytes: number;
  readonly maxHeaders: number;
}

const DEFAULT_LIMITS: HeaderBlockLimits = { maxInflatedBytes: 32 * 1024, maxHeaders: 64 };
const WINDOW_BYTES = 32 * 1024;

/**
 * Reads the header blocks of one direction of a SPDY/3 connection: one zlib stream with the SPDY dictionary over all of
 * them, flushed at the end of each. Behind a flush only the last 32 KiB of output matter to what follows, so each block is
 * inflated on its own with that window as its dictionary: in order, at once, bounded, and no context is kept alive.
 */
export class HeaderBlockReader {
  readonly #limits: HeaderBlockLimits;
  #window: Buffer = SPDY_DICTIONARY;
  #started = false;

  constructor(limits: Partial<HeaderBlockLimits> = {}) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
  }

  /** The headers of the next block. Throws StreamProtocolError; the connection is lost then, its context is unknown. */
  read(block: Buffer): SpdyHeaders {
    let deflated = block;
    if (!this.#started) {
      deflated = block.subarray(checkZlibHeader(block));
      this.#started = true;
    }
    let inflated: Buffer;
    try {
      inflated = inflateRawSync(deflated, {
        dictionary: this.#window,
        finishFlush: constants.Z_SYNC_FLUSH,
        maxOutputLength: this.#limits.maxInflatedBytes,
      });
    } catch {
      throw new StreamProtocolError('a header block that cannot be inflated, or is over the limit');
    }
    this.#window =
      inflated.length >= WINDOW_BYTES
        ? inflated.subarray(inflated.length - WINDOW_BYTES)
        : Buffer.concat([this.#window.subarray(-(WINDOW_BYTES - inflated.length)), inflated]);
    return parseHeaders(inflated, this.#limits.maxHeaders);
  }
}

/** Checks the zlib header of the first block (RFC 1950, 2.2); gives its length. */
function checkZlibHeader(block: Buffer): number {
  if (block.length < 2 || (block[0]! & 0x0f) !== 8 || block[0]! >> 4 > 7 || block.readUInt16BE(0) % 31 !== 0) {
    throw new StreamProtocolError('a header block without a zlib header');
  }
  if ((block[1]! & 0x20) === 0) return 2;
  if (block.length < 6 || block.readUInt32BE(2) !== SPDY_DICTIONARY_ID) {
    throw new StreamProtocolError('a header block with another dictionary');
  }
  return 6;
}

function parseHeaders(bytes: Buffer, maxHeaders: number): SpdyHeaders {
  let at = 0;
  const number = (): number => {
    if (at + 4 > bytes.length) throw new StreamProtocolError('a header block that is cut short');
    at += 4;
    return bytes.readUInt32BE(at - 4);
  };
  const text = (): string => {
    const length = number();
    if (length > bytes.length - at) throw new StreamProtocolError('a header block that is cut short');
    at += length;
    return bytes.toString('latin1', at - length, at);
  };
  const count = number();
  if (count > maxHeaders) throw new StreamProtocolError('too many headers');
  const headers = new Map<string, readonly string[]>();
  for (let index = 0; index < count; index++) {
    const name = text();
    // Two spellings of one name could be read one way here and another way behind.
    if (!/^[!#$%&'*+\-.:^_`|~0-9a-z]+$/.test(name))
      throw new StreamProtocolError('a header name that is not lower-case');
    if (headers.has(name)) throw new StreamProtocolError('a header that comes twice');
    headers.set(name, text().split('\0'));
  }
  if (at !== bytes.length) throw new StreamProtocolError('bytes behind the headers of a block');
  return headers;
}

const EMPTY_STORED_BLOCK = Buffer.from([0x00, 0x00, 0x00, 0xff, 0xff]);
const MAX_STORED = 0xffff;

/**
 * Writes header blocks as stored (uncompressed) deflate blocks, each followed by the empty one that marks a flush: Go's
 * reader hands out what it has at that mark. Some hundred bytes per stream are not worth a compressor of 256 KiB per connection.
 */
export class HeaderBlockWriter {
  #started = false;

  write(headers: Iterable<readonly [string, string | readonly string[]]>): Buffer {
    const pairs = [...headers];
    const parts: Buffer[] = [uint32(pairs.length)];
    for (const [name, value] of pairs) {
      const key = Buffer.from(name.toLowerCase(), 'latin1');
      const text = Buffer.from(typeof value === 'string' ? value : value.join('\0'), 'latin1');
      parts.push(uint32(key.length), key, uint32(text.length), text);
    }
    const plain = Buffer.concat(parts);
    const blocks: Buffer[] = [];
    if (!this.#started) {
      blocks.push(ZLIB_HEADER);
      this.#started = true;
    }
    for (let at = 0; at < plain.length; at += MAX_STORED) {
      const stored = plain.subarray(at, at + MAX_STORED);
      const head = Buffer.alloc(5);
      head.writeUInt16LE(stored.length, 1);
      head.writeUInt16LE(~stored.length & 0xffff, 3);
      blocks.push(head, stored);
    }
    blocks.push(EMPTY_STORED_BLOCK);
    return Buffer.concat(blocks);
  }
}

/** Deflate with a 32 KiB window, preset dictionary (RFC 1950): 0x78, then flags that make the pair divisible by 31, then its id. */
const ZLIB_HEADER = ((): Buffer => {
  const header = Buffer.alloc(6);
  header[0] = 0x78;
  header[1] = 0x20;
  header[1] += 31 - (header.readUInt16BE(0) % 31);
  header.writeUInt32BE(SPDY_DICTIONARY_ID, 2);
  return header;
})();

function uint32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
