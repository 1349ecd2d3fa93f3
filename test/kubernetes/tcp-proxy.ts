import { once } from 'node:events';
import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';

interface Pair {
  readonly near: Socket;
  readonly far: Socket;
}

/**
 * Stands between a client and the API server and fails as networks do: a cut is seen by both ends, a stall by neither
 * (connections stay open and accepted, bytes are taken and go nowhere).
 */
export class TcpProxy {
  readonly #server: Server;
  readonly #target: { host: string; port: number };
  readonly #pairs = new Set<Pair>();
  #stalled = false;
  #refusing = false;
  opened = 0;

  private constructor(target: { host: string; port: number }) {
    this.#target = target;
    this.#server = createServer((near) => this.#accept(near));
  }

  static async start(url: string): Promise<TcpProxy> {
    const { hostname, port } = new URL(url);
    const proxy = new TcpProxy({ host: hostname, port: Number(port) });
    proxy.#server.listen(0, '127.0.0.1');
    await once(proxy.#server, 'listening');
    return proxy;
  }

  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  get connections(): number {
    return this.#pairs.size;
  }

  /** From now on no byte passes, on connections that are open and on new ones. */
  stall(): void {
    this.#stalled = true;
    for (const { near, far } of this.#pairs) silence(near, far);
  }

  /** New connections pass again; those that were stalled stay so, as half-open ones do. */
  heal(): void {
    this.#stalled = false;
    this.#refusing = false;
  }

  /** Ends every connection, and further ones at once until `heal`. */
  cut(): void {
    this.#refusing = true;
    this.#endAll();
  }

  async close(): Promise<void> {
    this.#endAll();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #accept(near: Socket): void {
    if (this.#refusing) {
      near.destroy();
      return;
    }
    this.opened += 1;
    const far = connect(this.#target);
    const pair = { near, far };
    this.#pairs.add(pair);
    const end = () => {
      this.#pairs.delete(pair);
      near.destroy();
      far.destroy();
    };
    for (const socket of [near, far]) socket.on('error', end).on('close', end);
    if (this.#stalled) {
      silence(near, far);
    } else {
      near.pipe(far);
      far.pipe(near);
    }
  }

  #endAll(): void {
    for (const { near, far } of this.#pairs) {
      near.destroy();
      far.destroy();
    }
  }
}

function silence(near: Socket, far: Socket): void {
  near.unpipe(far).resume();
  far.unpipe(near).resume();
}
