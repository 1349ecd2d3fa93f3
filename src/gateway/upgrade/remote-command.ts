import { SallyportError, toStatus } from '../../errors.ts';
import { StreamProtocolError } from '../../streams/protocol-error.ts';
import { type Channel, channelsOf, fromClient } from '../../streams/remote-command/channel.ts';
import { type ExitStatus, readExitStatus } from '../../streams/remote-command/exit-status.ts';
import type {
  RemoteCommandHandler,
  RemoteCommandSession,
  SessionOutput,
} from '../../streams/remote-command/session.ts';
import { asSallyportError } from '../answer.ts';
import { ChannelPath } from './channel-path.ts';
import type { UpgradeContext, UpgradeOutcome } from './context.ts';
import { abortReason } from './dial.ts';
import { KeepAlive } from './keep-alive.ts';
import type { Peer } from './peer.ts';

export type SessionFactory = (handler: RemoteCommandHandler, output: SessionOutput) => RemoteCommandSession;

/** As long as the API server waits for the streams of a session, in milliseconds. */
const STREAMS_TIMEOUT = 30_000;
/** From the command's Status to the end of the connection, where the API server leaves that open. */
const AFTER_STATUS = 5_000;
/** For a client to read the last bytes and leave first. */
const LINGER = 10_000;
/** For one that is being ended. */
const CUT_AFTER = 3_000;

export interface RemoteCommandSides {
  readonly client: Peer;
  readonly upstream: Peer;
  readonly clientSession: SessionFactory;
  readonly upstreamSession: SessionFactory;
  /** SPDY clients lose what they have not read yet when the connection ends under them: they are let leave first. */
  readonly clientLeavesFirst: boolean;
  /** Changes the client's connection over; called when the session upstream stands. */
  readonly accept: () => void;
  readonly protocols: Pick<UpgradeOutcome, 'protocol' | 'upstreamProtocol'>;
}

/**
 * An exec or attach between two sides that each speak a wire of their own. Every channel passes on its own path, through its
 * tap; a side that does not take its bytes holds the other one. The Status on the error channel passes last, behind all output.
 */
export class RemoteCommandBridge {
  readonly #context: UpgradeContext;
  readonly #sides: RemoteCommandSides;
  readonly #client: RemoteCommandSession;
  readonly #upstream: RemoteCommandSession;
  readonly #paths = new Map<Channel, ChannelPath>();
  readonly #done = Promise.withResolvers<UpgradeOutcome>();
  readonly #timers: NodeJS.Timeout[] = [];
  readonly #onAbort = (): void => this.#abort(abortReason(this.#context.signal));
  #keepAlive: KeepAlive | undefined;
  #state: 'opening' | 'accepted' | 'open' | 'finishing' | 'done' = 'opening';
  /** Channels of the command's side that have not ended. */
  readonly #outputs: Set<Channel>;
  #status: Buffer | undefined;
  #exit: ExitStatus | undefined;
  /** What the API server sent before the client had opened its streams: one read at most. */
  readonly #early: (() => void)[] = [];

  constructor(context: UpgradeContext, sides: RemoteCommandSides) {
    this.#context = context;
    this.#sides = sides;
    const shape = context.operation.exec!;
    const channels = channelsOf(shape);
    this.#outputs = new Set(channels.filter((channel) => !fromClient(channel)));
    this.#client = sides.clientSession(this.#towardsClient(), sides.client);
    this.#upstream = sides.upstreamSession(this.#towardsUpstream(), sides.upstream);
    for (const channel of channels) {
      const inward = fromClient(channel);
      const to = inward ? this.#upstream : this.#client;
      const path = new ChannelPath(channel, context.tap?.(channel), {
        from: inward ? sides.client : sides.upstream,
        write: (chunk) => {
          to.write(channel, chunk);
          if (inward && sides.upstream.congested()) sides.client.hold('upstream');
          if (!inward && sides.client.congested()) sides.upstream.hold('client');
        },
        // The client's side is ended all at once, behind the Status: some clients take the first end for the last.
        end: () => {
          if (inward) to.end(channel);
        },
        fail: (error) => this.#abort(asSallyportError(error)),
      });
      this.#paths.set(channel, path);
    }
  }

  /** Runs the session to its end. Never rejects: how it ended is the outcome. */
  run(): Promise<UpgradeOutcome> {
    const { client, upstream } = this.#sides;
    const { signal, limits } = this.#context;
    signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#timers.push(
      setTimeout(() => this.#abort(tooLong(limits.maxDuration)), Math.min(limits.maxDuration, 2 ** 31 - 1)),
      setTimeout(() => this.#notOpened(), STREAMS_TIMEOUT),
    );
    upstream.listen({
      bytes: (chunk) => this.#receive('upstream', chunk),
      drained: () => client.release('upstream'),
      gone: () => {
        if (this.#state === 'opening') this.#abort(upstreamBroke());
        else this.#whenOpen(() => this.#upstreamEnded());
      },
    });
    this.#upstream.start();
    if (signal.aborted) this.#onAbort();
    return this.#done.promise;
  }

  #accept(): void {
    if (this.#state !== 'opening') return;
    const { client, upstream } = this.#sides;
    this.#state = 'accepted';
    // Output waits until the client can be told of it.
    upstream.hold('opening');
    this.#sides.accept();
    client.listen({
      bytes: (chunk) => this.#receive('client', chunk),
      drained: () => upstream.release('client'),
      gone: () => this.#clientLeft(),
    });
    this.#client.start();
  }

  #opened(): void {
    if (this.#state !== 'accepted') return;
    const { client, upstream } = this.#sides;
    this.#state = 'open';
    for (const replay of this.#early.splice(0)) replay();
    upstream.release('opening');
    this.#keepAlive = new KeepAlive(this.#context.limits.pingInterval, [
      { peer: client, ping: () => this.#client.ping() },
      { peer: upstream, ping: () => this.#upstream.ping() },
    ]);
  }

  /** What the client's session reports. */
  #towardsClient(): RemoteCommandHandler {
    return {
      ready: () => this.#opened(),
      data: (channel, chunk) => this.#paths.get(channel)?.push(chunk),
      end: (channel) => {
        if (fromClient(channel)) this.#paths.get(channel)?.end();
      },
      closed: () => this.#clientLeft(),
    };
  }

  /** What the API server's session reports. */
  #towardsUpstream(): RemoteCommandHandler {
    return {
      ready: () => this.#accept(),
      data: (channel, chunk) => this.#whenOpen(() => this.#output(channel, chunk)),
      end: (channel) => this.#whenOpen(() => this.#outputEnded(channel)),
      closed: () => this.#whenOpen(() => this.#upstreamEnded()),
    };
  }

  #whenOpen(act: () => void): void {
    if (this.#state === 'opening' || this.#state === 'accepted') this.#early.push(act);
    else act();
  }

  #output(channel: Channel, chunk: Buffer): void {
    if (channel !== 'error') {
      this.#paths.get(channel)?.push(chunk);
      return;
    }
    if (this.#status !== undefined) return;
    this.#status = Buffer.from(chunk);
    this.#exit = readExitStatus(this.#status);
    this.#timers.push(setTimeout(() => this.#upstreamEnded(), AFTER_STATUS));
  }

  #outputEnded(channel: Channel): void {
    this.#outputs.delete(channel);
    if (channel !== 'error') this.#paths.get(channel)?.end();
    if (this.#outputs.size === 0) this.#upstreamEnded();
  }

  #receive(side: 'client' | 'upstream', chunk: Buffer): void {
    const session = side === 'client' ? this.#client : this.#upstream;
    try {
      session.receive(chunk);
    } catch (error) {
      if (error instanceof StreamProtocolError) session.fail(error);
      const who = side === 'client' ? 'the client' : 'the API server';
      this.#abort(
        error instanceof StreamProtocolError
          ? new SallyportError(
              side === 'client' ? 'SP_BAD_REQUEST' : 'SP_UPSTREAM_UNREACHABLE',
              `${who} broke the protocol of the stream: ${error.message}`,
              { cause: error },
            )
          : asSallyportError(error),
      );
    }
  }

  /** The command's side is done: everything that is under way passes, then its Status, then the farewell. */
  #upstreamEnded(): void {
    if (this.#state === 'finishing' || this.#state === 'done') return;
    if (this.#state !== 'open') {
      this.#abort(upstreamBroke());
      return;
    }
    this.#state = 'finishing';
    this.#finish().catch((error: unknown) => this.#abort(asSallyportError(error)));
  }

  async #finish(): Promise<void> {
    for (const channel of ['stdout', 'stderr'] as const) {
      const path = this.#paths.get(channel);
      path?.end();
      await path?.settled();
    }
    const missing = this.#status === undefined ? upstreamBroke() : undefined;
    const errors = this.#paths.get('error')!;
    errors.push(this.#status ?? this.#statusOf(missing!));
    errors.end();
    await errors.settled();
    if (this.#is('done')) return;
    this.#client.close();
    this.#settle('upstream', missing, LINGER);
  }

  #clientLeft(): void {
    if (this.#state === 'done' || this.#state === 'finishing') return;
    // A farewell is answered (RFC 6455, 5.5.1); whoever has just gone does not hear it.
    this.#client.close();
    this.#settle('client', undefined, CUT_AFTER);
  }

  #notOpened(): void {
    if (this.#state !== 'opening' && this.#state !== 'accepted') return;
    this.#abort(new SallyportError('SP_BAD_REQUEST', 'the streams of the session were not opened in time'));
  }

  /** Ends the session from here: the client is told why on the error channel, as kubectl prints it. */
  #abort(error: SallyportError): void {
    if (this.#state === 'done') return;
    for (const path of this.#paths.values()) path.cut();
    if (this.#state !== 'opening') {
      this.#client.write('error', this.#statusOf(error));
      this.#client.close();
    }
    this.#settle('gateway', error, CUT_AFTER);
  }

  #settle(endedBy: UpgradeOutcome['endedBy'], error: SallyportError | undefined, linger: number): void {
    if (this.#state === 'done') return;
    const accepted = this.#state !== 'opening';
    this.#state = 'done';
    for (const timer of this.#timers) clearTimeout(timer);
    this.#keepAlive?.stop();
    this.#context.signal.removeEventListener('abort', this.#onAbort);
    for (const path of this.#paths.values()) path.cut();
    const { client, upstream, protocols } = this.#sides;
    this.#upstream.close();
    upstream.end(CUT_AFTER);
    // Before the 101 the client's connection is still HTTP: whoever called answers on it.
    if (accepted) client.end(linger, this.#sides.clientLeavesFirst && endedBy === 'upstream');
    this.#done.resolve({
      status: accepted ? 101 : (error?.status ?? 502),
      ...protocols,
      endedBy,
      error,
      exit: this.#exit,
      bytesFromClient: client.bytesRead,
      bytesToClient: client.bytesWritten,
      ports: [],
    });
  }

  #is(state: string): boolean {
    return this.#state === state;
  }

  #statusOf(error: SallyportError): Buffer {
    return Buffer.from(JSON.stringify(toStatus(error, this.#context.requestID)));
  }
}

function upstreamBroke(): SallyportError {
  return new SallyportError(
    'SP_UPSTREAM_UNREACHABLE',
    'the API server ended the stream without saying how the command ended',
  );
}

function tooLong(milliseconds: number): SallyportError {
  return new SallyportError(
    'SP_STREAM_ENDED',
    `the stream reached the longest life of one (${Math.round(milliseconds / 1000)} s)`,
  );
}
