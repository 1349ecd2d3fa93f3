import { readFileSync, writeFileSync } from 'node:fs';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, request, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { CertificateAuthority } from '../../cluster/certificates.ts';
import type { Cluster } from '../../cluster/cluster.ts';

/** What is answered at one path in the API server's stead. */
export type Lie = (response: ServerResponse, request: IncomingMessage) => void;

/**
 * Stands between gateway and API server and passes everything on, except at the paths for which it was told another answer:
 * faults that a real API server cannot be made to show.
 */
export class LyingUpstream {
  readonly lies = new Map<string, Lie>();
  readonly #server: Server;
  readonly #caPem: string;

  private constructor(server: Server, caPem: string) {
    this.#server = server;
    this.#caPem = caPem;
  }

  static async start(cluster: Cluster): Promise<LyingUpstream> {
    const authority = await CertificateAuthority.create('lying upstream');
    const { certPem, keyPem } = await authority.server('liar', ['127.0.0.1', 'localhost']);
    const server = createServer({ cert: certPem, key: keyPem });
    const liar = new LyingUpstream(server, authority.certPem);
    const { hostname, port } = new URL(cluster.url);
    server.on('request', (asked, response) => {
      const lie = liar.lies.get(asked.url?.split('?', 1)[0] ?? '');
      if (lie !== undefined) return lie(response, asked);
      const passed = request(
        {
          hostname,
          port,
          path: asked.url,
          method: asked.method,
          ca: cluster.caPem,
          headers: rawOf(asked),
          agent: false,
        },
        (answer) => {
          response.writeHead(answer.statusCode!, answer.rawHeaders);
          response.flushHeaders();
          answer.pipe(response);
          answer.on('error', () => response.destroy());
        },
      );
      passed.on('error', () => response.destroy());
      response.on('close', () => passed.destroy());
      asked.pipe(passed);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return liar;
  }

  /** Makes a kubeconfig of the cluster lead here. */
  divert(kubeconfig: string, cluster: Cluster): void {
    const { port } = this.#server.address() as AddressInfo;
    const ca = Buffer.from(this.#caPem).toString('base64');
    const text = readFileSync(kubeconfig, 'utf8')
      .replaceAll(cluster.url, `https://127.0.0.1:${port}`)
      .replace(/certificate-authority-data: .*/, `certificate-authority-data: ${ca}`);
    writeFileSync(kubeconfig, text);
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

/** Several lines of one name stay several: groups are impersonated by one each. */
function rawOf({ rawHeaders }: IncomingMessage): string[] {
  return [...rawHeaders];
}
