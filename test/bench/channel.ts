import { type ClientHttp2Session, connect } from 'node:http2';
import { type Dispatcher, Pool } from 'undici';
import type { Endpoint, Protocol } from './endpoint.ts';

export interface Receiver {
  data?(chunk: Buffer): void;
  /** The answer is complete. */
  end(status: number): void;
  fail(error: Error): void;
}

/** Connections to one endpoint, kept alive. */
export interface Channel {
  /** Sends a GET; gives back how to end it early. */
  get(path: string, receiver: Receiver): () => void;
  close(): Promise<void>;
}

/** @param connections most that are opened; over HTTP/2 exactly so many, and requests take turns. */
export async function openChannel(endpoint: Endpoint, protocol: Protocol, connections: number): Promise<Channel> {
  if (protocol === 'HTTP/1.1') return new Http1Channel(endpoint, connections);
  const sessions = await Promise.all(Array.from({ length: connections }, () => openSession(endpoint)));
  return new Http2Channel(endpoint, sessions);
}

class Http1Channel implements Channel {
  readonly #pool: Pool;
  readonly #headers: string[];

  constructor(endpoint: Endpoint, connections: number) {
    this.#headers = [...endpoint.headers];
    this.#pool = new Pool(endpoint.url, {
      connections,
      pipelining: 1,
      allowH2: false,
      bodyTimeout: 0,
      headersTimeout: 120_000,
      connect: { timeout: 60_000, ...(endpoint.caPem === undefined ? {} : { ca: endpoint.caPem }) },
    });
  }

  get(path: string, receiver: Receiver): () => void {
    let status = 0;
    let left = false;
    let control: Dispatcher.DispatchController | undefined;
    this.#pool.dispatch(
      { method: 'GET', path, headers: this.#headers },
      {
        onRequestStart: (controller) => {
          control = controller;
        },
        onResponseStart: (_controller, code) => {
          status = code;
        },
        onResponseData: (_controller, chunk) => {
          if (!left) receiver.data?.(chunk);
        },
        onResponseEnd: () => {
          if (!left) receiver.end(status);
        },
        onResponseError: (_controller, error) => {
          if (!left) receiver.fail(error);
        },
      },
    );
    return () => {
      left = true;
      control?.abort(new Error('the client has what it wanted'));
    };
  }

  async close(): Promise<void> {
    await this.#pool.destroy();
  }
}

/** As client-go's transport: small windows would make a long list wait for the client. */
const WINDOW = 4 << 20;

function openSession(endpoint: Endpoint): Promise<ClientHttp2Session> {
  const { promise, resolve, reject } = Promise.withResolvers<ClientHttp2Session>();
  const options = { settings: { initialWindowSize: WINDOW }, ca: endpoint.caPem };
  const session = connect(endpoint.url, options as Parameters<typeof connect>[1]);
  session.once('error', reject);
  session.once('connect', () => {
    session.off('error', reject);
    session.on('error', () => {});
    session.setLocalWindowSize(4 * WINDOW);
    resolve(session);
  });
  return promise;
}

class Http2Channel implements Channel {
  readonly #sessions: readonly ClientHttp2Session[];
  readonly #headers: Record<string, string | string[]>;
  #turn = 0;

  constructor(endpoint: Endpoint, sessions: readonly ClientHttp2Session[]) {
    this.#sessions = sessions;
    this.#headers = {};
    for (let i = 0; i < endpoint.headers.length; i += 2) {
      const name = endpoint.headers[i]!.toLowerCase();
      const before = this.#headers[name] ?? [];
      this.#headers[name] = [...(Array.isArray(before) ? before : [before]), endpoint.headers[i + 1]!];
    }
  }

  get(path: string, receiver: Receiver): () => void {
    const session = this.#sessions[this.#turn++ % this.#sessions.length]!;
    let status = 0;
    let done = false;
    const stream = session.request({ ':path': path, ...this.#headers }, { endStream: true });
    stream.on('response', (headers) => {
      status = Number(headers[':status']);
    });
    stream.on('data', (chunk: Buffer) => receiver.data?.(chunk));
    stream.on('end', () => {
      if (done) return;
      done = true;
      receiver.end(status);
    });
    stream.on('error', (error) => {
      if (done) return;
      done = true;
      receiver.fail(error);
    });
    return () => {
      done = true;
      stream.close();
    };
  }

  async close(): Promise<void> {
    for (const session of this.#sessions) session.destroy();
  }
}
