import { ControlType, FLAG_FIN } from './frame-reader.ts';
import { HeaderBlockWriter } from './header-block.ts';

/** GOAWAY status codes (SPDY/3, 2.6.6). */
export const GoAwayStatus = { ok: 0, protocolError: 1, internalError: 2 } as const;

/** Most payload in one DATA frame: a peer that reads frames whole holds no more than this for us. */
const MAX_DATA_BYTES = 0x10_0000;
const COPY_BELOW = 2048;

type HeaderList = Iterable<readonly [string, string | readonly string[]]>;

/** A writer of SPDY/3.1 frames; one for each direction of a connection, because header blocks share a compression context. */
export class SpdyFrameWriter {
  readonly #output: (bytes: Buffer) => void;
  readonly #blocks = new HeaderBlockWriter();

  constructor(output: (bytes: Buffer) => void) {
    this.#output = output;
  }

  synStream(id: number, headers: HeaderList, fin = false): void {
    const fixed = Buffer.alloc(10);
    fixed.writeUInt32BE(id, 0);
    this.#control(ControlType.synStream, fin ? FLAG_FIN : 0, fixed, this.#blocks.write(headers));
  }

  synReply(id: number, headers: HeaderList = [], fin = false): void {
    this.#control(ControlType.synReply, fin ? FLAG_FIN : 0, word(id), this.#blocks.write(headers));
  }

  rstStream(id: number, status: number): void {
    this.#control(ControlType.rstStream, 0, word(id), word(status));
  }

  ping(id: number): void {
    this.#control(ControlType.ping, 0, word(id));
  }

  goAway(lastGoodStream: number, status: number): void {
    this.#control(ControlType.goAway, 0, word(lastGoodStream), word(status));
  }

  /** Payload of a stream, in one DATA frame or, above 1 MiB, several; `fin` ends this side of the stream. */
  data(id: number, payload: Buffer, fin = false): void {
    let at = 0;
    do {
      const piece = payload.subarray(at, at + MAX_DATA_BYTES);
      at += piece.length;
      const together = piece.length < COPY_BELOW;
      const frame = Buffer.allocUnsafe(together ? 8 + piece.length : 8);
      frame.writeUInt32BE(id, 0);
      frame[4] = fin && at === payload.length ? FLAG_FIN : 0;
      frame.writeUIntBE(piece.length, 5, 3);
      if (together) piece.copy(frame, 8);
      this.#output(frame);
      if (!together) this.#output(piece);
    } while (at < payload.length);
  }

  #control(type: number, flags: number, ...body: Buffer[]): void {
    const head = Buffer.alloc(8);
    head.writeUInt16BE(0x8003, 0);
    head.writeUInt16BE(type, 2);
    head[4] = flags;
    head.writeUIntBE(
      body.reduce((sum, part) => sum + part.length, 0),
      5,
      3,
    );
    this.#output(Buffer.concat([head, ...body]));
  }
}

function word(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
