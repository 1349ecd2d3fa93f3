import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { assemble, type Connection } from '../../src/kubernetes/connection.ts';
import { fixed, type Source } from '../../src/kubernetes/credential.ts';
import { CertificateAuthority } from '../cluster/certificates.ts';

type Handler = (request: IncomingMessage, response: ServerResponse, query: URLSearchParams) => void;

/** An API server that misbehaves as a real one cannot be made to. */
export class FakeApiServer {
  readonly authority: CertificateAuthority;
  readonly requests: string[] = [];
  readonly #server: Server;
  onList: Handler = (_request, response) => json(response, 200, list([]));
  onWatch: Handler = (_request, response) => void response.writeHead(200).flushHeaders();
  onOther: Handler = (_request, response) => json(response, 404, {});

  private constructor(authority: CertificateAuthority, server: Server) {
    this.authority = authority;
    this.#server = server;
  }

  static async start(): Promise<FakeApiServer> {
    const authority = await CertificateAuthority.create('fake');
    const { certPem, keyPem } = await authority.server('fake server', ['127.0.0.1']);
    const server = createServer({ cert: certPem, key: keyPem });
    const fake = new FakeApiServer(authority, server);
    server.on('request', (request: IncomingMessage, response: ServerResponse) => fake.#answer(request, response));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return fake;
  }

  get url(): URL {
    return new URL(`https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`);
  }

  connection(parts: { token?: Source; caPem?: string } = {}): Connection {
    return assemble({
      server: this.url,
      serverName: undefined,
      ca: fixed(parts.caPem ?? this.authority.certPem),
      token: parts.token ?? fixed('t'.repeat(8)),
      certificate: undefined,
      description: 'a fake',
    });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  #answer(request: IncomingMessage, response: ServerResponse): void {
    const url = new URL(request.url ?? '/', 'https://fake');
    const watch = url.searchParams.get('watch') === 'true';
    const listed = request.method === 'GET' && /\/things$/.test(url.pathname);
    this.requests.push(`${request.method} ${watch ? 'watch' : url.pathname}${url.search}`);
    const handler = watch ? this.onWatch : listed ? this.onList : this.onOther;
    handler(request, response, url.searchParams);
  }
}

export function json(
  response: ServerResponse,
  status: number,
  body: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
}

export function thing(name: string, resourceVersion = '1', more: object = {}) {
  return { metadata: { name, uid: `uid-${name}`, resourceVersion }, ...more };
}

export function list(items: object[], metadata: object = {}) {
  return { kind: 'ThingList', apiVersion: 'test/v1', metadata: { resourceVersion: '10', ...metadata }, items };
}

export function status(code: number, reason: string, message = '') {
  return { kind: 'Status', apiVersion: 'v1', status: 'Failure', code, reason, message };
}
