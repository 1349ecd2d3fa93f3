import { readFileSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { Transform } from 'node:stream';
import { connect, createServer, type Server, type TLSSocket } from 'node:tls';
import { CertificateAuthority } from '../cluster/certificates.ts';
import type { Cluster } from '../cluster/cluster.ts';

/** Stands between gateway and API server, ends TLS on both sides, and keeps what the gateway really sends. */
export class WireTap {
  readonly #server: Server;
  readonly #caPem: string;
  readonly #sockets = new Set<TLSSocket>();
  readonly #heard: Buffer[] = [];

  private constructor(server: Server, caPem: string) {
    this.#server = server;
    this.#caPem = caPem;
  }

  /** @param before called with each piece that the gateway sends, which goes on when that resolves, and not at all for `Drop` */
  static async start(
    cluster: Cluster,
    before?: (text: string) => Promise<'Pass' | 'Drop'> | undefined,
  ): Promise<WireTap> {
    const authority = await CertificateAuthority.create('wire tap');
    const { certPem, keyPem } = await authority.server('tap', ['127.0.0.1', 'localhost']);
    const server = createServer({ cert: certPem, key: keyPem, ALPNProtocols: ['http/1.1'] });
    const tap = new WireTap(server, authority.certPem);
    const { hostname, port } = new URL(cluster.url);
    server.on('secureConnection', (near) => {
      const far = connect({ host: hostname, port: Number(port), ca: cluster.caPem, ALPNProtocols: ['http/1.1'] });
      near.on('data', (chunk: Buffer) => tap.#heard.push(chunk));
      const meddled = meddling(before);
      meddled.on('error', () => near.destroy());
      near.pipe(meddled).pipe(far);
      far.pipe(near);
      for (const [socket, other] of [
        [near, far],
        [far, near],
      ] as const) {
        tap.#sockets.add(socket);
        socket.on('error', () => other.destroy());
        socket.on('close', () => {
          tap.#sockets.delete(socket);
          other.destroy();
        });
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return tap;
  }

  /** Makes a kubeconfig of the cluster lead through the tap. */
  divert(kubeconfig: string, cluster: Cluster): void {
    const { port } = this.#server.address() as AddressInfo;
    const text = readFileSync(kubeconfig, 'utf8')
      .replaceAll(cluster.url, `https://127.0.0.1:${port}`)
      .replace(
        /certificate-authority-data: .*/,
        `certificate-authority-data: ${Buffer.from(this.#caPem).toString('base64')}`,
      );
    if (!text.includes(Buffer.from(this.#caPem).toString('base64'))) throw new Error('this kubeconfig holds no CA');
    writeFileSync(kubeconfig, text);
  }

  /** All that the gateway has sent so far. */
  get text(): string {
    return Buffer.concat(this.#heard).toString('latin1');
  }

  /** The heads of requests whose first line holds `mark`. */
  heads(mark: string): string[] {
    return this.text.split(/(?=(?:GET|POST|PUT|PATCH|DELETE) \/)/).flatMap((piece) => {
      const head = piece.split('\r\n\r\n', 1)[0]!;
      return head.split('\r\n', 1)[0]!.includes(mark) ? [head] : [];
    });
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

function meddling(before: ((text: string) => Promise<'Pass' | 'Drop'> | undefined) | undefined): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      const waits = before?.(chunk.toString('latin1'));
      if (waits === undefined) return done(null, chunk);
      waits.then((what) => (what === 'Pass' ? done(null, chunk) : done()), done);
    },
  });
}
