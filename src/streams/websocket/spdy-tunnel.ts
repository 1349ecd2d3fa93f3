import { CloseCode, type StreamProtocolError } from '../protocol-error.ts';
import { WebSocketFrameReader } from './frame-reader.ts';
import { WebSocketFrameWriter } from './frame-writer.ts';

/** SPDY inside WebSocket messages, as kubectl forwards ports: message borders mean nothing, the payloads are the bytes. */
export const PORT_FORWARD_TUNNEL = 'SPDY/3.1+portforward.k8s.io';

export interface TunnelHandler {
  /** The next bytes of the tunnelled connection, a view of the chunk. */
  bytes(piece: Buffer): void;
  closed(clean: boolean): void;
}

/** The server's end of such a tunnel. */
export class WebSocketTunnel {
  readonly #reader: WebSocketFrameReader;
  readonly #writer: WebSocketFrameWriter;

  constructor(handler: TunnelHandler, output: { write(bytes: Buffer): void; congested(): boolean }) {
    this.#writer = new WebSocketFrameWriter('server', (bytes) => output.write(bytes));
    this.#reader = new WebSocketFrameReader(
      'server',
      {
        message: (piece) => {
          if (piece.length > 0) handler.bytes(piece);
        },
        ping: (payload) => {
          if (!output.congested()) this.#writer.pong(payload);
        },
        pong: () => {},
        close: (code) =>
          handler.closed(code === undefined || code === CloseCode.normal || code === CloseCode.goingAway),
      },
      // SPDY frames reach 16 MiB, and a tunnel may put several into one message.
      { maxMessageBytes: 256 * 1024 * 1024 },
    );
  }

  receive(chunk: Buffer): void {
    this.#reader.receive(chunk);
  }

  write(bytes: Buffer): void {
    if (bytes.length > 0) this.#writer.message(bytes);
  }

  ping(): void {
    this.#writer.ping();
  }

  close(): void {
    this.#writer.close(CloseCode.normal);
  }

  fail(error: StreamProtocolError): void {
    this.#writer.close(error.closeCode, error.message);
  }
}
