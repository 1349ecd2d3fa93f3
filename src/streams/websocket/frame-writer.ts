import { Opcode, type WebSocketRole } from './frame-reader.ts';
import { freshMaskingKey, maskInPlace } from './mask.ts';

/** Below this many bytes one small copy is cheaper than handing the socket two buffers. */
const COPY_BELOW = 2048;

/**
 * A writer of WebSocket frames (RFC 6455, 5). Every message is one unfragmented frame: the servers that Kubernetes is
 * built on read a continuation frame as a message of its own, and would take its first byte for a channel. A server's
 * payload is passed on without a copy; a client's is copied once, because masking must not change the caller's bytes.
 */
export class WebSocketFrameWriter {
  readonly #role: WebSocketRole;
  readonly #output: (bytes: Buffer) => void;
  #closed = false;

  constructor(role: WebSocketRole, output: (bytes: Buffer) => void) {
    this.#role = role;
    this.#output = output;
  }

  /** One binary message; `channel` is the byte that stands before the payload, where the sub-protocol has channels. */
  message(payload: Uint8Array, channel?: number): void {
    this.#frame(Opcode.binary, payload, channel);
  }

  ping(payload: Uint8Array = Buffer.alloc(0)): void {
    this.#frame(Opcode.ping, payload, undefined);
  }

  pong(payload: Uint8Array): void {
    this.#frame(Opcode.pong, payload, undefined);
  }

  /** The close frame, once; nothing is written after it. The reason is cut at 123 bytes, at a character's end. */
  close(code?: number, reason = ''): void {
    if (this.#closed) return;
    let payload = Buffer.alloc(0);
    if (code !== undefined) {
      let text = Buffer.from(reason, 'utf8');
      if (text.length > 123) {
        let end = 123;
        while (end > 0 && (text[end]! & 0xc0) === 0x80) end--;
        text = text.subarray(0, end);
      }
      payload = Buffer.concat([Buffer.alloc(2), text]);
      payload.writeUInt16BE(code, 0);
    }
    this.#frame(Opcode.close, payload, undefined);
    this.#closed = true;
  }

  get closed(): boolean {
    return this.#closed;
  }

  #frame(opcode: number, payload: Uint8Array, channel: number | undefined): void {
    if (this.#closed) return;
    const prefix = channel === undefined ? 0 : 1;
    const length = payload.length + prefix;
    const masked = this.#role === 'client';
    const lengthBytes = length < 126 ? 0 : length < 0x1_0000 ? 2 : 8;
    const headerBytes = 2 + lengthBytes + (masked ? 4 : 0);
    const together = masked || length < COPY_BELOW;
    const frame = Buffer.allocUnsafe(headerBytes + (together ? length : prefix));
    frame[0] = 0x80 | opcode;
    frame[1] = (masked ? 0x80 : 0) | (lengthBytes === 0 ? length : lengthBytes === 2 ? 126 : 127);
    if (lengthBytes === 2) frame.writeUInt16BE(length, 2);
    else if (lengthBytes === 8) {
      frame.writeUInt32BE(Math.floor(length / 0x1_0000_0000), 2);
      frame.writeUInt32BE(length >>> 0, 6);
    }
    if (channel !== undefined) frame[headerBytes] = channel;
    if (!together) {
      this.#output(frame);
      this.#output(Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength));
      return;
    }
    frame.set(payload, headerBytes + prefix);
    if (masked) {
      const key = freshMaskingKey();
      key.copy(frame, headerBytes - 4);
      maskInPlace(frame.subarray(headerBytes), key, 0);
    }
    this.#output(frame);
  }
}
