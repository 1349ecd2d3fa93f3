import { once } from 'node:events';
import { connect, type TLSSocket } from 'node:tls';
import type { GatewayProcess } from './gateway-process.ts';

export interface RawAnswer {
  readonly status: number;
  /** Lower-case names; several lines of one name are joined by a comma. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

export interface RawOptions {
  readonly alpn?: string[];
  /** Milliseconds to wait for an answer; 5,000 when left out. */
  readonly patience?: number;
}

/** A TLS connection to the gateway on which a test writes the very bytes it means. */
export class RawConnection {
  readonly socket: TLSSocket;
  readonly #patience: number;
  #received = Buffer.alloc(0);
  #ended = false;

  private constructor(socket: TLSSocket, patience: number) {
    this.socket = socket;
    this.#patience = patience;
    socket.on('data', (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
    });
    // A reset is an end too; which of the two it was, `closed` does not tell.
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#ended = true;
    });
    socket.on('end', () => {
      this.#ended = true;
    });
  }

  static async open(gateway: Pick<GatewayProcess, 'port' | 'caPem'>, options: RawOptions = {}): Promise<RawConnection> {
    const socket = connect({
      host: '127.0.0.1',
      port: gateway.port,
      ca: gateway.caPem,
      servername: 'localhost',
      ALPNProtocols: options.alpn ?? ['http/1.1'],
    });
    await once(socket, 'secureConnect');
    return new RawConnection(socket, options.patience ?? 5_000);
  }

  write(text: string | Buffer): void {
    this.socket.write(typeof text === 'string' ? Buffer.from(text, 'latin1') : text);
  }

  /** Everything received that no answer has taken yet. */
  get pending(): Buffer {
    return this.#received;
  }

  get ended(): boolean {
    return this.#ended;
  }

  /** The next answer but 100 Continue; undefined when the connection ends without one. @throws when none comes in time */
  async answer(): Promise<RawAnswer | undefined> {
    for (;;) {
      const found = await this.#next();
      if (found === undefined || found.status !== 100) return found;
    }
  }

  /** Resolves when the gateway has ended the connection. */
  async closed(patience = this.#patience): Promise<void> {
    const end = Date.now() + patience;
    while (!this.#ended) {
      if (Date.now() > end) throw new Error(`the connection was still open after ${patience} ms`);
      await pause();
    }
  }

  destroy(): void {
    this.socket.destroy();
  }

  async #next(): Promise<RawAnswer | undefined> {
    const end = Date.now() + this.#patience;
    for (;;) {
      const parsed = parse(this.#received, this.#ended);
      if (parsed !== undefined) {
        this.#received = this.#received.subarray(parsed.length);
        return parsed.answer;
      }
      if (this.#ended) return undefined;
      if (Date.now() > end) throw new Error(`no whole answer after ${this.#patience} ms: ${this.#received.toString()}`);
      await pause();
    }
  }
}

/** Sends one request as written on a connection of its own; undefined when the gateway closed without an answer. */
export async function rawRequest(
  gateway: Pick<GatewayProcess, 'port' | 'caPem'>,
  head: readonly string[],
  body: string | Buffer = '',
  options: RawOptions = {},
): Promise<RawAnswer | undefined> {
  const connection = await RawConnection.open(gateway, options);
  try {
    connection.write(`${head.join('\r\n')}\r\n\r\n`);
    if (body.length > 0) connection.write(body);
    return await connection.answer();
  } finally {
    connection.destroy();
  }
}

function parse(bytes: Buffer, ended: boolean): { answer: RawAnswer; length: number } | undefined {
  const headEnd = bytes.indexOf('\r\n\r\n');
  if (headEnd === -1) return undefined;
  const [statusLine = '', ...lines] = bytes.subarray(0, headEnd).toString('latin1').split('\r\n');
  const status = Number(/^HTTP\/1\.1 (\d{3})/.exec(statusLine)?.[1]);
  const headers: Record<string, string> = {};
  for (const line of lines) {
    const colon = line.indexOf(':');
    const name = line.slice(0, colon).toLowerCase();
    const value = line.slice(colon + 1).trim();
    headers[name] = headers[name] === undefined ? value : `${headers[name]}, ${value}`;
  }
  const rest = bytes.subarray(headEnd + 4);
  const at = headEnd + 4;
  if (status < 200 || status === 204 || status === 304) return { answer: { status, headers, body: '' }, length: at };
  if (headers['transfer-encoding'] === 'chunked') {
    const body = unchunk(rest);
    if (body === undefined) return undefined;
    return { answer: { status, headers, body: body.text }, length: at + body.length };
  }
  const length = headers['content-length'] === undefined ? undefined : Number(headers['content-length']);
  if (length === undefined) {
    if (!ended) return undefined;
    return { answer: { status, headers, body: rest.toString() }, length: bytes.length };
  }
  if (rest.length < length) return undefined;
  return { answer: { status, headers, body: rest.subarray(0, length).toString() }, length: at + length };
}

function unchunk(bytes: Buffer): { text: string; length: number } | undefined {
  const parts: Buffer[] = [];
  let at = 0;
  for (;;) {
    const line = bytes.indexOf('\r\n', at);
    if (line === -1) return undefined;
    const size = Number.parseInt(bytes.subarray(at, line).toString('latin1'), 16);
    const end = line + 2 + size + 2;
    if (bytes.length < end) return undefined;
    if (size === 0) return { text: Buffer.concat(parts).toString(), length: end };
    parts.push(bytes.subarray(line + 2, line + 2 + size));
    at = end;
  }
}

function pause(): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, 10);
  });
}
