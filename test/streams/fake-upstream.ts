import type { IncomingMessage } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { CertificateAuthority } from '../cluster/certificates.ts';
import type { BridgeTarget } from './bridge-proxy.ts';

type OnUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** An API server that answers upgrades as a test tells it to. */
export class FakeUpstream {
  readonly target: BridgeTarget;
  readonly requests: IncomingMessage[] = [];
  readonly sockets = new Set<Duplex>();
  onUpgrade: OnUpgrade = (_request, socket) => socket.destroy();
  readonly #server: Server;

  private constructor(server: Server, target: BridgeTarget) {
    this.#server = server;
    this.target = target;
    server.on('secureConnection', (socket) => {
      this.sockets.add(socket);
      socket.on('error', () => {});
      socket.once('close', () => this.sockets.delete(socket));
    });
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      this.requests.push(request);
      this.onUpgrade(request, socket, head);
    });
  }

  static async start(): Promise<FakeUpstream> {
    const authority = await CertificateAuthority.create('test');
    const own = await authority.server('upstream', ['127.0.0.1']);
    const server = createServer({ key: own.keyPem, cert: own.certPem });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new FakeUpstream(server, {
      origin: new URL(`https://127.0.0.1:${(server.address() as AddressInfo).port}`),
      caPem: authority.certPem,
      serving: await authority.server('bridge', ['127.0.0.1']),
    });
  }

  /** Answers every upgrade with these very lines. */
  answerWith(...lines: string[]): void {
    this.onUpgrade = (_request, socket) => socket.write(`${lines.join('\r\n')}\r\n\r\n`);
  }

  async stop(): Promise<void> {
    for (const socket of this.sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}
