import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Metrics } from './metrics.ts';

/** It holds, and there is something to say all the same; told by `?verbose`. */
export interface Note {
  readonly note: string;
}

/** @returns true or a note, or one line saying why not. Synchronous: a check that could hang would hang the probe. */
export type Check = () => true | Note | string;

/** Named conditions that must all hold. */
export class Checks {
  readonly #checks = new Map<string, Check>();

  /** @returns takes it away again. */
  register(name: string, check: Check): () => void {
    if (this.#checks.has(name)) throw new Error(`a check named ${name} is registered already`);
    this.#checks.set(name, check);
    return () => {
      if (this.#checks.get(name) === check) this.#checks.delete(name);
    };
  }

  /** What does not hold now, and why; empty when all is well. A check that throws does not hold. */
  failing(): Map<string, string> {
    const failing = new Map<string, string>();
    for (const [name, result] of this.results()) if (typeof result === 'string') failing.set(name, result);
    return failing;
  }

  /** Of every check, in the order in which they were registered. */
  results(): Map<string, true | Note | string> {
    return new Map([...this.#checks].map(([name, check]) => [name, run(check)]));
  }
}

function run(check: Check): true | Note | string {
  try {
    return check();
  } catch {
    return 'the check failed';
  }
}

export interface Probes {
  /** Takes requests; nothing that fails here is mended by a restart, so little belongs in it. */
  readonly liveness: Checks;
  /** Should be sent requests. */
  readonly readiness: Checks;
  readonly metrics: Metrics;
}

/**
 * The server of `/livez`, `/readyz` and `/metrics`, for a port of its own: plain HTTP, no secrets, everything bounded.
 * The caller listens on it and closes it.
 */
export function probeServer(probes: Probes): Server {
  const scrape = shared(() => probes.metrics.text());
  const server = createServer(
    {
      maxHeaderSize: 8_192,
      headersTimeout: 5_000,
      requestTimeout: 5_000,
      keepAliveTimeout: 15_000,
      connectionsCheckingInterval: 2_000,
    },
    (request, response) => {
      answer(probes, scrape, request, response).catch(() => response.destroy());
    },
  );
  server.maxConnections = 128;
  server.maxRequestsPerSocket = 1_000;
  server.timeout = 30_000;
  server.on('upgrade', (_request, socket) => socket.destroy());
  server.on('connect', (_request, socket) => socket.destroy());
  return server;
}

/** Serves them. @throws Error where the port cannot be had */
export async function listenForProbes(
  probes: Probes,
  { address, port }: { readonly address: string; readonly port: number },
): Promise<{ readonly port: number; close(): Promise<void> }> {
  const server = probeServer(probes);
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, address, () => resolve());
  });
  return {
    port: (server.address() as AddressInfo).port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

async function answer(
  probes: Probes,
  scrape: () => Promise<string>,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const [path, query = ''] = (request.url ?? '').split('?', 2) as [string, string?];
  if (hasBody(request)) response.setHeader('connection', 'close');
  if (request.method !== 'GET' && request.method !== 'HEAD') return send(response, 405, 'only GET\n');
  const verbose = new URLSearchParams(query).has('verbose');
  if (path === '/livez' || path === '/healthz') return report(response, probes.liveness, verbose);
  if (path === '/readyz') return report(response, probes.readiness, verbose);
  if (path === '/metrics') {
    response.setHeader('content-type', probes.metrics.registry.contentType);
    return send(response, 200, await scrape());
  }
  send(response, 404, 'not here: /livez, /readyz, /metrics\n');
}

/** As the API server's own probes: `[+]name ok`, `[-]name failed: why`. Reasons are told without `?verbose` too. */
function report(response: ServerResponse, checks: Checks, verbose: boolean): void {
  const results = [...checks.results()];
  const failed = results.some(([, result]) => typeof result === 'string');
  if (!failed && !verbose) {
    send(response, 200, 'ok\n');
    return;
  }
  const told = verbose ? results : results.filter(([, result]) => typeof result === 'string');
  const lines = told.map(([name, result]) => {
    if (result === true) return `[+]${name} ok`;
    return typeof result === 'string' ? `[-]${name} failed: ${result}` : `[+]${name} ok: ${result.note}`;
  });
  lines.push(failed ? 'check failed' : 'check passed');
  send(response, failed ? 503 : 200, `${lines.join('\n')}\n`);
}

function send(response: ServerResponse, status: number, body: string): void {
  response.statusCode = status;
  if (!response.hasHeader('content-type')) response.setHeader('content-type', 'text/plain; charset=utf-8');
  response.setHeader('cache-control', 'no-store');
  response.setHeader('x-content-type-options', 'nosniff');
  response.setHeader('content-length', Buffer.byteLength(body));
  response.end(body);
}

function hasBody(request: IncomingMessage): boolean {
  return request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;
}

/** Many askers at once share one answer: a flood of scrapes costs one. */
function shared<T>(make: () => Promise<T>): () => Promise<T> {
  let under: Promise<T> | undefined;
  return () => {
    under ??= make().finally(() => {
      under = undefined;
    });
    return under;
  };
}
