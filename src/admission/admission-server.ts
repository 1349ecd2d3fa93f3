import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import type { AdmissionConfiguration } from '../config/admission.ts';
import { SallyportError } from '../errors.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { ServingCertificate } from '../serving/serving-certificate.ts';
import { admissionReview } from './admission-answer.ts';
import { compileReview } from './compile-review.ts';
import type { Reviewer, ReviewOutcome } from './reviewer.ts';

/** An object and the one before it, of 3 MiB each as the API server takes them, escaped into one review. */
const MAX_REVIEW_LENGTH = 16 << 20;
/** The API server gives a webhook 30 s at most. */
const BODY_TIMEOUT = 30_000;

export interface RunningAdmission {
  readonly port: number;
  /** Goes on serving, and has each connection closed by its next answer: an API server then has none that is cut under a review. */
  drain(): void;
  /** Takes no connection more, answers what is under way, then ends. */
  stop(): Promise<void>;
}

interface Service {
  readonly reviewer: Pick<Reviewer, 'review'>;
  readonly log: Logger;
  readonly metrics: Metrics;
  isDraining: boolean;
}

/**
 * Serves `POST /admit`, and `POST /compile` for policies and rules as they are written. Whoever can reach the port gets answers, and nothing but answers: no review changes anything here.
 * @throws Error where the port cannot be had
 */
export async function serveAdmission(
  configuration: AdmissionConfiguration,
  certificate: ServingCertificate,
  reviewer: Pick<Reviewer, 'review'>,
  log: Logger,
  metrics: Metrics,
): Promise<RunningAdmission> {
  const { clientCAFile } = configuration;
  const service: Service = { reviewer, log, metrics, isDraining: false };
  const server = createServer(
    {
      ...certificate.material,
      minVersion: 'TLSv1.2',
      requestCert: clientCAFile !== undefined,
      rejectUnauthorized: clientCAFile !== undefined,
      handshakeTimeout: 10_000,
      headersTimeout: 10_000,
      requestTimeout: BODY_TIMEOUT,
      // Longer than the API server keeps its idle connections (90 s), so that it is never the webhook that closes first.
      keepAliveTimeout: 120_000,
      connectionsCheckingInterval: 2_000,
      maxHeaderSize: 16_384,
    },
    (request, response) => {
      answer(request, response, service).catch((error: unknown) => {
        log.error({ error }, 'a review could not be answered');
        response.destroy();
      });
    },
  );
  server.maxConnections = 2_000;
  server.on('upgrade', (_request, socket) => socket.destroy());
  server.on('connect', (_request, socket) => socket.destroy());
  await listen(server, configuration.address, configuration.port);
  certificate.attach(server);
  const { port } = server.address() as AddressInfo;
  log.info({ port }, 'the admission webhook serves');
  return {
    port,
    drain: () => {
      service.isDraining = true;
    },
    stop: () => {
      service.isDraining = true;
      certificate.stop();
      return new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
        setTimeout(() => server.closeAllConnections(), BODY_TIMEOUT).unref();
      });
    },
  };
}

async function answer(request: IncomingMessage, response: ServerResponse, service: Service): Promise<void> {
  const { reviewer, log, metrics } = service;
  const end = (status: number, text: string, type?: string): void => finish(response, service, status, text, type);
  const started = performance.now();
  const path = request.url?.split('?', 1)[0];
  if (path !== '/admit' && path !== '/compile') return end(404, 'there are POST /admit and /compile here, no more\n');
  if (request.method !== 'POST') return end(405, 'POST an AdmissionReview\n');
  try {
    const text = await read(request);
    if (path === '/compile') return end(200, admissionReview(compileReview(text)), 'application/json');
    const outcome = await reviewer.review(text, Date.now());
    end(200, admissionReview(outcome.response), 'application/json');
    tell(outcome, performance.now() - started, log, metrics);
  } catch (error) {
    if (!(error instanceof SallyportError)) throw error;
    metrics.admissionReviews.inc('Malformed');
    log.warn({ code: error.code, reason: error.message }, 'not an admission review');
    end(error.status, `${error.message}\n`);
  }
}

function tell(outcome: ReviewOutcome, milliseconds: number, log: Logger, metrics: Metrics): void {
  const { request, caller, decision, refusal, operation } = outcome;
  // The controller's own question whether anybody calls.
  if (operation === undefined && refusal === undefined) return;
  const result = refusal !== undefined ? 'Denied' : decision === undefined ? 'NotGoverned' : 'Allowed';
  metrics.admissionReviews.inc(result);
  metrics.admissionDuration.observe(milliseconds / 1_000);
  const level = refusal !== undefined ? 'warn' : decision === undefined ? 'debug' : 'info';
  if (!log.isLevelEnabled(level)) return;
  const { uid, operation: verb, apiGroup, resource, subresource, namespace } = request;
  log[level](
    {
      requestID: uid,
      way: caller?.way,
      caller: caller === undefined ? { username: request.userInfo.username } : named(caller.caller),
      operation: { verb, apiGroup, resource, subresource, namespace, name: operation?.name, dryRun: request.dryRun },
      ...(decision === undefined
        ? {}
        : { decision: { action: decision.action, policy: decision.policy, rule: decision.rule } }),
      ...(decision === undefined || decision.audit.length === 0 ? {} : { shadow: decision.audit }),
      ...(refusal === undefined ? {} : { code: refusal.code, reason: refusal.message }),
      milliseconds: Math.round(milliseconds * 10) / 10,
    },
    refusal === undefined ? 'admitted' : 'not admitted',
  );
}

const named = ({ username, agent, onBehalfOf, session }: NonNullable<ReviewOutcome['caller']>['caller']) => ({
  username,
  agent,
  onBehalfOf,
  session,
});

function read(request: IncomingMessage): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const chunks: Buffer[] = [];
  let size = 0;
  const tooLarge = () => new SallyportError('SP_BODY_TOO_LARGE', `a review is over ${MAX_REVIEW_LENGTH} bytes`);
  if (Number(request.headers['content-length'] ?? 0) > MAX_REVIEW_LENGTH) return Promise.reject(tooLarge());
  request.on('data', (chunk: Buffer) => {
    size += chunk.length;
    if (size <= MAX_REVIEW_LENGTH) chunks.push(chunk);
    else {
      request.pause();
      reject(tooLarge());
    }
  });
  request.once('end', () => resolve(Buffer.concat(chunks).toString('utf8')));
  request.once('close', () => reject(new SallyportError('SP_BAD_REQUEST', 'the review was cut off')));
  return promise;
}

function finish(
  response: ServerResponse,
  { isDraining }: Service,
  status: number,
  text: string,
  type = 'text/plain; charset=utf-8',
): void {
  if (response.destroyed) return;
  // What was not read of a refused body is no next request.
  if (status === 413 || isDraining) response.setHeader('connection', 'close');
  response.writeHead(status, { 'content-type': type, 'content-length': Buffer.byteLength(text) });
  response.end(text);
}

function listen(server: Server, address: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen({ host: address, port }, () => {
      server.off('error', reject);
      resolve();
    });
  });
}
