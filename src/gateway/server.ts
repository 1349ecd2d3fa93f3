import type { IncomingMessage } from 'node:http';
import { createSecureServer, type Http2SecureServer, type Http2Session, type ServerHttp2Session } from 'node:http2';
import type { Duplex } from 'node:stream';
import type { TLSSocket } from 'node:tls';
import type { ServingCertificate } from '../serving/serving-certificate.ts';
import { isLeaving } from './answer.ts';
import type { ClientRequest, ClientResponse } from './exchange.ts';

export interface ServerOptions {
  readonly certificate: ServingCertificate;
  /** Whether clients are asked for a certificate. */
  readonly clientCertificates: boolean;
  readonly maxConnections: number;
  /** Milliseconds. */
  readonly handshakeTimeout: number;
  readonly headersTimeout: number;
  readonly idleTimeout: number;
  readonly bodyTimeout: number;
  readonly maxHeaderBytes: number;
}

export interface ServerHandlers {
  request(request: ClientRequest, response: ClientResponse): void;
  upgrade(request: IncomingMessage, socket: Duplex, head: Buffer): void;
  /** A connection that ended before it was a request: metrics only. */
  connectionError(kind: 'tls' | 'client' | 'limit'): void;
}

/** The front door: HTTP/2 and HTTP/1.1 on one TLS port, upgrades over HTTP/1.1. */
export class FrontDoor {
  readonly server: Http2SecureServer;
  readonly #options: ServerOptions;
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #sockets = new Set<TLSSocket>();
  #closing = false;

  constructor(options: ServerOptions, handlers: ServerHandlers) {
    this.#options = options;
    this.server = createSecureServer({
      ...options.certificate.material,
      allowHTTP1: true,
      minVersion: 'TLSv1.2',
      requestCert: options.clientCertificates,
      // Whether a certificate is good enough is for the identity room to say, with a Status.
      rejectUnauthorized: false,
      handshakeTimeout: options.handshakeTimeout,
      headersTimeout: options.headersTimeout,
      requestTimeout: 0,
      keepAliveTimeout: options.idleTimeout,
      connectionsCheckingInterval: 2_000,
      maxHeaderSize: options.maxHeaderBytes,
      maxHeaderListPairs: 256,
      maxSessionMemory: 16,
      // Rapid reset (CVE-2023-44487): a stream that is reset at once still counts here.
      streamResetBurst: 500,
      streamResetRate: 100,
      settings: {
        maxConcurrentStreams: 250,
        maxHeaderListSize: options.maxHeaderBytes,
        initialWindowSize: 256 * 1024,
        enablePush: false,
      },
    } as Parameters<typeof createSecureServer>[0]);

    this.server.on('request', (request: ClientRequest, response: ClientResponse) => {
      if ('stream' in request && request.stream?.session) this.#begin(request.stream.session, response);
      else if (isLeaving(request)) return;
      handlers.request(request, response);
    });
    this.server.on('upgrade', handlers.upgrade);
    // CONNECT asks for a tunnel; there is none to be had.
    this.server.on('connect', (_request: unknown, socket: { destroy?(): void }) => socket.destroy?.());
    this.server.on('session', (session) => this.#track(session));
    this.server.maxConnections = options.maxConnections;
    this.server.on('drop', () => handlers.connectionError('limit'));
    this.server.on('secureConnection', (socket) => {
      this.#sockets.add(socket);
      socket.once('close', () => this.#sockets.delete(socket));
      socket.setNoDelay(true);
    });
    this.server.on('tlsClientError', (_error, socket) => {
      handlers.connectionError('tls');
      socket.destroy();
    });
    this.server.on('clientError', (_error: Error, socket: Duplex) => {
      handlers.connectionError('client');
      if (socket.writable) socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
      else socket.destroy();
    });
    this.server.on('sessionError', () => handlers.connectionError('client'));
    options.certificate.attach(this.server);
  }

  listen(address: string, port: number): Promise<number> {
    const { promise, resolve, reject } = Promise.withResolvers<number>();
    this.server.once('error', reject);
    this.server.listen({ host: address, port, backlog: 4_096 }, () => {
      this.server.off('error', reject);
      const bound = this.server.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : port);
    });
    return promise;
  }

  get connections(): number {
    return this.#sockets.size;
  }

  /** True once `stopAccepting` was called: HTTP/1.1 answers then close their connection. */
  get closing(): boolean {
    return this.#closing;
  }

  /** No new connection; HTTP/2 clients get GOAWAY and finish what they have, idle connections end. */
  stopAccepting(): void {
    this.#closing = true;
    this.#options.certificate.stop();
    this.server.close();
    for (const session of this.#sessions) session.close();
    (this.server as unknown as { closeIdleConnections?(): void }).closeIdleConnections?.();
  }

  /** Ends what is still open. */
  destroy(): void {
    for (const session of this.#sessions) session.destroy();
    for (const socket of this.#sockets) socket.destroy();
  }

  #track(session: ServerHttp2Session): void {
    this.#sessions.add(session);
    session.once('close', () => this.#sessions.delete(session));
    // One that has asked nothing yet gets as long as the headers of a first request would.
    session.setTimeout(this.#options.headersTimeout);
    session.on('timeout', () => {
      if (!this.#busy.has(session)) session.close();
    });
    session.once('stream', () => session.setTimeout(this.#options.idleTimeout));
  }

  /** Requests under way of each HTTP/2 session; one that has any is never idle. */
  readonly #busy = new Map<Http2Session, number>();

  #begin(session: Http2Session, response: ClientResponse): void {
    this.#busy.set(session, (this.#busy.get(session) ?? 0) + 1);
    response.once('close', () => {
      const left = (this.#busy.get(session) ?? 1) - 1;
      if (left === 0) this.#busy.delete(session);
      else this.#busy.set(session, left);
    });
  }
}
