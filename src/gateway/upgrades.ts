import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { SallyportError } from '../errors.ts';
import { asSallyportError } from './answer.ts';
import { Exchange } from './exchange.ts';
import type { Pipeline, RecordedEvent, Rooms } from './pipeline.ts';
import { PortJudge } from './port-judge.ts';
import type { Outcome } from './relay.ts';
import { composeTaps } from './upgrade/compose-taps.ts';
import type { UpgradeContext, UpgradeLimits } from './upgrade/context.ts';
import { answerOrdinary, refuseUpgrade } from './upgrade/raw-answer.ts';
import { handleUpgrade } from './upgrade/upgrade.ts';
import { UpstreamRefusal } from './upstream-refusal.ts';

export interface UpgradesOptions extends UpgradeLimits {
  /** Milliseconds for TCP and TLS to the API server, and for its answer. */
  readonly connectTimeout: number;
  readonly requestTimeout: number;
}

/** Walks an upgrade (exec, attach, port-forward, proxy) through the same rooms as every request. */
export class Upgrades {
  readonly #pipeline: Pipeline;
  readonly #rooms: Rooms;
  readonly #options: UpgradesOptions;

  constructor(pipeline: Pipeline, rooms: Rooms, options: UpgradesOptions) {
    this.#pipeline = pipeline;
    this.#rooms = rooms;
    this.#options = options;
  }

  async handle(request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
    const exchange = new Exchange(request);
    const { observer, live } = this.#rooms;
    observer.began(exchange);
    // Until the bridge listens, a client that breaks off must not become an uncaught error.
    const onError = (): void => exchange.end(asSallyportError(new Error('the client left')));
    socket.on('error', onError);
    try {
      observer.ended(exchange, await this.#walk(exchange, request, socket, head));
    } catch (error) {
      observer.ended(exchange, refuse(exchange, socket, error));
    } finally {
      exchange.permit?.end();
      live.remove(exchange);
      exchange.lease?.release();
    }
  }

  async #walk(exchange: Exchange, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<Outcome> {
    const rooms = this.#rooms;
    await this.#pipeline.identify(exchange);
    this.#pipeline.describe(exchange);
    rooms.masking.prepare(exchange, 'upgrade');
    exchange.lease!.becomeStream();
    await whileConnected(exchange, socket, () => this.#pipeline.permit(exchange));
    const event = await rooms.recorder.open(exchange);
    const ports = new PortJudge(exchange, rooms.judge, rooms.approver);
    try {
      await rooms.judge.confirmTarget(exchange);
      live(rooms, exchange);
      const ended = await handleUpgrade(this.#context(exchange, request, socket, head, event, ports));
      await event.close(ended);
      const { status, bytesToClient: bytes, error } = ended;
      return { status, bytes, upstreamDuration: 0, end: error === undefined ? 'Complete' : 'Ended' };
    } catch (error) {
      await event.close(asSallyportError(error));
      throw error;
    } finally {
      ports.end();
    }
  }

  #context(
    exchange: Exchange,
    request: IncomingMessage,
    socket: Duplex,
    head: Buffer,
    event: RecordedEvent,
    ports: PortJudge,
  ): UpgradeContext {
    const { forward } = this.#rooms;
    const { connection } = forward;
    const certificate = connection.clientCertificate();
    const outgoing = this.#pipeline.outgoingHead(exchange);
    return {
      request,
      socket,
      head,
      operation: exchange.operation!,
      requestID: exchange.id,
      upstream: {
        origin: connection.server,
        tls: {
          ca: connection.ca(),
          cert: certificate?.cert,
          key: certificate?.key,
          serverName: connection.serverName,
        },
        headers: () => forward.upgradeHeaders(outgoing),
        connectTimeout: this.#options.connectTimeout,
        answerTimeout: this.#options.requestTimeout,
      },
      answerHeaders: ['Audit-ID', exchange.id, 'X-Request-Id', exchange.id],
      judgePort: (port) => ports.judge(port),
      onSent: () => exchange.permit?.sent(),
      onAnswer: (status) => exchange.permit?.answered(status),
      signal: exchange.signal,
      limits: this.#options,
      tap: composeTaps(this.#rooms.masking.tap(exchange), (channel) => event.tap(channel)),
    };
  }
}

/** Until a bridge reads it nobody would notice that a client has left, and its place would be held for it. */
async function whileConnected(exchange: Exchange, socket: Duplex, work: () => Promise<void>): Promise<void> {
  const left = (): void => exchange.leave();
  // Has the socket read, and leaves what was read where it is.
  const look = (): void => {
    if (socket.readableLength === 0) socket.read(0);
  };
  socket.on('end', left).on('close', left).on('readable', look);
  try {
    await work();
  } finally {
    socket.off('end', left).off('close', left).off('readable', look);
  }
}

function live(rooms: Rooms, exchange: Exchange): void {
  rooms.live.watchExpiry(exchange);
  rooms.observer.streaming(exchange);
  exchange.permit?.opened();
}

function refuse(exchange: Exchange, socket: Duplex, error: unknown): SallyportError {
  const known = asSallyportError(error);
  const headers = ['Audit-ID', exchange.id, 'X-Request-Id', exchange.id];
  if (known.status === 401) headers.push('WWW-Authenticate', 'Bearer realm="sallyport"');
  if (error instanceof UpstreamRefusal) {
    answerOrdinary(socket, error.status, ['Content-Type', 'application/json', ...headers], error.body);
  } else {
    refuseUpgrade(socket, known, exchange.id, headers);
  }
  return known;
}
