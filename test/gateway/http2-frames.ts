/** The few frames of RFC 9113 that a hostile client is made of. */

export const PREFACE = Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n');
export const END_STREAM = 0x1;
export const END_HEADERS = 0x4;

const TYPES = { data: 0, headers: 1, reset: 3, settings: 4, ping: 6, goaway: 7, windowUpdate: 8, continuation: 9 };

export function frame(
  type: keyof typeof TYPES,
  flags: number,
  stream: number,
  payload: Buffer = Buffer.alloc(0),
): Buffer {
  const head = Buffer.alloc(9);
  head.writeUIntBE(payload.length, 0, 3);
  head[3] = TYPES[type];
  head[4] = flags;
  head.writeUInt32BE(stream, 5);
  return Buffer.concat([head, payload]);
}

/** SETTINGS with (identifier, value) pairs. */
export function settings(...pairs: readonly (readonly [number, number])[]): Buffer {
  const payload = Buffer.alloc(pairs.length * 6);
  for (const [index, [identifier, value]] of pairs.entries()) {
    payload.writeUInt16BE(identifier, index * 6);
    payload.writeUInt32BE(value, index * 6 + 2);
  }
  return frame('settings', 0, 0, payload);
}

export function reset(stream: number): Buffer {
  return frame('reset', 0, stream, Buffer.from([0, 0, 0, 8]));
}

/** A header block of literals without indexing (RFC 7541 6.2.2); `indexed` ones enter the dynamic table (6.2.1). */
export function block(fields: readonly (readonly [string, string])[], indexed = false): Buffer {
  const parts: Buffer[] = [];
  for (const [name, value] of fields) parts.push(Buffer.from([indexed ? 0x40 : 0]), text(name), text(value));
  return Buffer.concat(parts);
}

export function requestBlock(path: string, token: string, method = 'GET'): Buffer {
  return block([
    [':method', method],
    [':scheme', 'https'],
    [':path', path],
    [':authority', 'x'],
    ['authorization', `Bearer ${token}`],
  ]);
}

function text(value: string): Buffer {
  const bytes = Buffer.from(value, 'latin1');
  return Buffer.concat([integer(bytes.length), bytes]);
}

/** With a prefix of seven bits, no Huffman coding. */
function integer(value: number): Buffer {
  if (value < 127) return Buffer.from([value]);
  const bytes = [127];
  for (value -= 127; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  bytes.push(value);
  return Buffer.from(bytes);
}
