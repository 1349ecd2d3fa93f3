import { STATUS_CODES } from 'node:http';
import type { Duplex } from 'node:stream';
import { type SallyportError, toStatus } from '../../errors.ts';

/** How long a client may take to read a refusal, in milliseconds. */
const LINGER = 5_000;

/** Changes the connection over. Only after the API server's own 101 was validated: CVE-2018-1002105. */
export function switchProtocols(socket: Duplex, upgrade: string, headers: readonly string[]): void {
  socket.write(head(101, ['Connection', 'Upgrade', 'Upgrade', upgrade, ...headers]));
}

/** Answers an upgrade request with an ordinary response and ends the connection; nothing behind it is ever piped. */
export function answerOrdinary(socket: Duplex, status: number, headers: readonly string[], body: Buffer): void {
  if (!socket.writable) {
    socket.destroy();
    return;
  }
  const lines = head(status, [...headers, 'Content-Length', String(body.length), 'Connection', 'close']);
  socket.on('error', () => socket.destroy());
  socket.end(Buffer.concat([lines, body]));
  // What the client still sends is read and dropped: unread bytes would turn the close into a reset that eats the answer.
  socket.resume();
  const timer = setTimeout(() => socket.destroy(), LINGER);
  socket.once('end', () => socket.destroy());
  socket.once('close', () => clearTimeout(timer));
}

/**
 * Refuses an upgrade with the Status of an error. kubectl shows its message, and answers a refused WebSocket by trying SPDY
 * at once: the same request is then refused with the same words.
 */
export function refuseUpgrade(
  socket: Duplex,
  error: SallyportError,
  requestID: string,
  headers: readonly string[] = [],
): void {
  const body = Buffer.from(JSON.stringify(toStatus(error, requestID)));
  const more = error.retryAfter === undefined ? [] : ['Retry-After', String(Math.ceil(error.retryAfter))];
  answerOrdinary(socket, error.status, ['Content-Type', 'application/json', ...more, ...headers], body);
}

function head(status: number, headers: readonly string[]): Buffer {
  let text = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}\r\n`;
  for (let index = 0; index + 1 < headers.length; index += 2) {
    // Values of the API server are passed on: a line break in one would begin a header of its choice.
    text += `${headers[index]}: ${headers[index + 1]!.replace(/[^\t\x20-\x7e\x80-\xff]/g, ' ')}\r\n`;
  }
  return Buffer.from(`${text}\r\n`, 'latin1');
}
