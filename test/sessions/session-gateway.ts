import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { identityMethods } from '../../src/config/identity.ts';
import { SallyportError, toStatus } from '../../src/errors.ts';
import { createAuthenticator } from '../../src/identity/authenticator.ts';
import type { Caller } from '../../src/identity/caller.ts';
import { isPublicEndpoint, SessionEndpoint } from '../../src/identity/session-endpoint.ts';
import { CertificateAuthority } from '../cluster/certificates.ts';
import { CLIENT_ID } from '../oidc/provider.ts';
import { configuration, MemorySecrets, MemorySessions, replica } from './memory.ts';

/** The session endpoint behind TLS and the real authenticator; the store is in memory, so the command line is what is tested. */
export class SessionGateway {
  readonly url: string;
  readonly caFile: string;
  readonly folder: string;
  readonly store: MemorySessions;
  readonly room: ReturnType<typeof replica>;
  /** `METHOD path` of every request. */
  readonly asked: string[] = [];
  readonly #server: Server;

  private constructor(
    parts: Pick<SessionGateway, 'url' | 'caFile' | 'folder' | 'store' | 'room'> & { server: Server },
  ) {
    this.url = parts.url;
    this.caFile = parts.caFile;
    this.folder = parts.folder;
    this.store = parts.store;
    this.room = parts.room;
    this.#server = parts.server;
  }

  static async start(issuer: string, changes: object = {}): Promise<SessionGateway> {
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-sessions-'));
    mkdirSync(join(folder, 'home'));
    const authority = await CertificateAuthority.create('test');
    const serving = await authority.server('gateway', ['127.0.0.1', 'localhost']);
    const caFile = join(folder, 'ca.crt');
    writeFileSync(caFile, authority.certPem);
    const config = configuration({ signIn: [{ issuer, clientID: CLIENT_ID }], ...changes });
    const clock = {
      get now() {
        return Date.now();
      },
    };
    const store = new MemorySessions(() => Date.now());
    const room = replica({ secrets: new MemorySecrets(), store, clock, configuration: config });
    store.watchers.push(room.registry);
    const methods = identityMethods.parse({
      oidc: [
        {
          issuer,
          audiences: [CLIENT_ID],
          insecureLoopbackHTTP: true,
          claimMappings: { username: { claim: 'sub', prefix: 'oidc:' }, groups: { claim: 'groups', prefix: 'oidc:' } },
        },
      ],
    });
    const { authenticator } = room;
    const people = createAuthenticator(methods, {
      sessions: {
        claims: (token) => authenticator.claims(token),
        verify: (token) => authenticator.authenticate(token),
      },
    });
    const endpoint = new SessionEndpoint(room.exchange, config, 'sallyport');
    const server = createServer({ cert: serving.certPem, key: serving.keyPem });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const gateway = new SessionGateway({ url, caFile, folder, store, room, server });
    server.on('request', (request, response) => {
      const path = request.url ?? '';
      const method = request.method ?? '';
      gateway.asked.push(`${method} ${path}`);
      const answer = async () => {
        const chunks: Buffer[] = [];
        for await (const chunk of request) chunks.push(chunk as Buffer);
        const caller: Caller | undefined = isPublicEndpoint(method, path)
          ? undefined
          : await people.authenticate({ rawHeaders: request.rawHeaders, target: path });
        return await endpoint.handle({ method, path, headers: request.headers, body: Buffer.concat(chunks), caller });
      };
      answer().then(
        ({ status, headers, body }) => response.writeHead(status, headers).end(body),
        (error: unknown) => {
          if (!(error instanceof SallyportError)) return response.writeHead(500).end(String(error));
          const status = JSON.stringify(toStatus(error, 'test'));
          return response.writeHead(error.status, { 'content-type': 'application/json' }).end(status);
        },
      );
    });
    return gateway;
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
    // A browser that was opened may still be writing its cookies.
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  }
}
