import { randomUUID } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
} from 'node:http2';
import { Agent, request as httpsRequest } from 'node:https';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';
import { SallyportError } from '../../src/errors.ts';
import type { ChannelTap, UpgradeLimits, UpgradeOutcome } from '../../src/gateway/upgrade/context.ts';
import { refuseUpgrade } from '../../src/gateway/upgrade/raw-answer.ts';
import { handleUpgrade } from '../../src/gateway/upgrade/upgrade.ts';
import { forwardableHeaders } from '../../src/request/headers.ts';
import { parseRequest } from '../../src/request/request.ts';
import type { Channel } from '../../src/streams/remote-command/channel.ts';
import { CertificateAuthority, type KeyPair } from '../cluster/certificates.ts';
import type { Cluster } from '../cluster/cluster.ts';
import { writeKubeconfig } from '../cluster/kubeconfig.ts';

/** What stands behind, and what the proxy shows of itself. */
export interface BridgeTarget {
  origin: URL;
  caPem: string;
  client?: KeyPair;
  serving: KeyPair;
}

export interface BridgeProxyOptions {
  limits?: Partial<UpgradeLimits>;
  judgePort?: (port: number) => Promise<void>;
  tap?: (channel: Channel) => ChannelTap | undefined;
  /** Refuses every upgrade with this error. */
  refuse?: SallyportError;
}

/** A gateway that only bridges: no identity, no policy. Everything goes upstream under the target's one identity. */
export class BridgeProxy {
  readonly url: string;
  readonly outcomes: (UpgradeOutcome | SallyportError)[] = [];
  /** Upgrades under way; abort one as a revoked session would. */
  readonly live = new Set<AbortController>();
  readonly sockets = new Set<Duplex>();
  /** Upgrade requests, as `METHOD path?query`. */
  readonly upgrades: string[] = [];
  readonly #target: BridgeTarget;
  readonly #options: BridgeProxyOptions;
  readonly #server: Http2SecureServer;
  readonly #agent = new Agent({ keepAlive: true });

  private constructor(target: BridgeTarget, options: BridgeProxyOptions, server: Http2SecureServer) {
    this.#target = target;
    this.#options = options;
    this.#server = server;
    this.url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
    server.on('secureConnection', (socket) => {
      this.sockets.add(socket);
      socket.once('close', () => this.sockets.delete(socket));
    });
    server.on('request', (request, response) => forward(target, this.#agent, request, response));
    server.on('upgrade', (request: IncomingMessage, socket: Duplex, head: Buffer) => {
      void this.#upgrade(request, socket, head);
    });
  }

  static async start(target: BridgeTarget, options: BridgeProxyOptions = {}): Promise<BridgeProxy> {
    const { keyPem: key, certPem: cert } = target.serving;
    const server = createSecureServer({ allowHTTP1: true, key, cert });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new BridgeProxy(target, options, server);
  }

  async stop(): Promise<void> {
    for (const controller of this.live) controller.abort(new SallyportError('SP_SHUTTING_DOWN', 'the test is over'));
    for (const socket of this.sockets) socket.destroy();
    this.#agent.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  async #upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const options = this.#options;
    const { origin, caPem, client } = this.#target;
    const requestID = randomUUID();
    this.upgrades.push(`${request.method} ${request.url}`);
    const controller = new AbortController();
    this.live.add(controller);
    try {
      if (options.refuse !== undefined) throw options.refuse;
      const outcome = await handleUpgrade({
        request,
        socket,
        head,
        operation: parseRequest(request.method!, request.url!),
        requestID,
        upstream: {
          origin,
          tls: { ca: caPem, cert: client?.certPem, key: client?.keyPem, serverName: undefined },
          headers: () => forwardableHeaders(request.rawHeaders),
          connectTimeout: 5_000,
          answerTimeout: 30_000,
        },
        answerHeaders: ['X-Request-Id', requestID],
        judgePort: options.judgePort ?? (async () => {}),
        signal: controller.signal,
        limits: { pingInterval: 20_000, maxDuration: 3_600_000, maxPortStreams: 100, ...options.limits },
        tap: options.tap,
      });
      this.outcomes.push(outcome);
    } catch (error) {
      const known = error instanceof SallyportError ? error : new SallyportError('SP_INTERNAL', String(error));
      this.outcomes.push(known);
      refuseUpgrade(socket, known, requestID);
    } finally {
      this.live.delete(controller);
    }
  }
}

/** A proxy in front of a cluster, as cluster-admin, and a kubeconfig that points at it. */
export async function bridgeTo(
  cluster: Cluster,
  options: BridgeProxyOptions = {},
): Promise<{ proxy: BridgeProxy; kubeconfig: string }> {
  const authority = await CertificateAuthority.read(join(cluster.directory, 'pki'), 'ca');
  const client = await cluster.clientCertificate({ user: 'bridge-admin', groups: ['system:masters'] });
  const serving = await authority.server('bridge', ['127.0.0.1']);
  const target = { origin: new URL(cluster.url), caPem: cluster.caPem, client, serving };
  const proxy = await BridgeProxy.start(target, options);
  const path = join(cluster.directory, `${randomUUID()}.kubeconfig`);
  const content = { url: proxy.url, caPem: cluster.caPem, token: 'not-looked-at' };
  return { proxy, kubeconfig: await writeKubeconfig(path, content) };
}

function forward(target: BridgeTarget, agent: Agent, request: Http2ServerRequest, response: Http2ServerResponse): void {
  const outgoing = httpsRequest(new URL(request.url, target.origin), {
    method: request.method,
    agent,
    ca: target.caPem,
    ...(target.client === undefined ? {} : { cert: target.client.certPem, key: target.client.keyPem }),
    headers: Object.fromEntries(
      ['accept', 'content-type', 'content-length'].flatMap((name) => {
        const value = request.headers[name];
        return typeof value === 'string' ? [[name, value]] : [];
      }),
    ),
  });
  outgoing.on('response', (answer) => {
    response.writeHead(answer.statusCode ?? 502, { 'content-type': answer.headers['content-type'] ?? '' });
    answer.pipe(response);
  });
  outgoing.on('error', () => response.stream?.destroy());
  request.pipe(outgoing);
}
