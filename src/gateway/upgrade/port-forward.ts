import { SallyportError, toStatus } from '../../errors.ts';
import { StreamProtocolError } from '../../streams/protocol-error.ts';
import { ResetStatus, SpdyFrameReader } from '../../streams/spdy/frame-reader.ts';
import { GoAwayStatus, SpdyFrameWriter } from '../../streams/spdy/frame-writer.ts';
import type { SpdyHeaders } from '../../streams/spdy/header-block.ts';
import { WebSocketTunnel } from '../../streams/websocket/spdy-tunnel.ts';
import { asSallyportError } from '../answer.ts';
import type { UpgradeContext, UpgradeOutcome } from './context.ts';
import { abortReason } from './dial.ts';
import { KeepAlive } from './keep-alive.ts';
import type { Peer } from './peer.ts';
import { type PortStream, PortStreams, readPortStream } from './port-stream.ts';

const CUT_AFTER = 3_000;

/** Frames of a client that are malformed or mean nothing here. */
const MAX_STRIKES = 100;

/** client-go gives up on a stream that is not answered in 30 seconds; a refusal must reach it before. */
const JUDGE_TIMEOUT = 25_000;

export interface PortForwardSides {
  readonly client: Peer;
  readonly upstream: Peer;
  /** The client's SPDY is inside WebSocket messages. */
  readonly tunnelled: boolean;
  readonly protocols: Pick<UpgradeOutcome, 'protocol' | 'upstreamProtocol'>;
}

/**
 * A port-forward: SPDY on both sides, relayed stream by stream. Each stream that a client opens is read to its headers and its
 * port judged before the API server hears of it; payloads pass as they are. A side that does not take its bytes holds the
 * whole other side, as Kubernetes' own SPDY does.
 */
export class PortForwardBridge {
  readonly #context: UpgradeContext;
  readonly #sides: PortForwardSides;
  readonly #streams = new PortStreams();
  readonly #ports = new Set<number>();
  readonly #clientReader: SpdyFrameReader;
  readonly #upstreamReader: SpdyFrameReader;
  readonly #toClient: SpdyFrameWriter;
  readonly #toUpstream: SpdyFrameWriter;
  readonly #tunnel: WebSocketTunnel | undefined;
  readonly #done = Promise.withResolvers<UpgradeOutcome>();
  readonly #onAbort = (): void => this.#abort(abortReason(this.#context.signal));
  #keepAlive: KeepAlive | undefined;
  #maxAge: NodeJS.Timeout | undefined;
  #lastClientStream = 0;
  #judging = 0;
  #strikes = 0;
  #clientPing = 2;
  #upstreamPing = 1;
  #ended = false;

  constructor(context: UpgradeContext, sides: PortForwardSides) {
    this.#context = context;
    this.#sides = sides;
    const { client, upstream } = sides;
    if (sides.tunnelled) {
      this.#tunnel = new WebSocketTunnel(
        {
          bytes: (piece) => this.#clientReader.receive(piece),
          closed: () => this.#settle('client', undefined),
        },
        client,
      );
    }
    const tunnel = this.#tunnel;
    this.#toClient = new SpdyFrameWriter((bytes) => {
      if (tunnel === undefined) client.write(bytes);
      else tunnel.write(bytes);
    });
    this.#toUpstream = new SpdyFrameWriter((bytes) => upstream.write(bytes));
    this.#clientReader = new SpdyFrameReader({
      synStream: (id, headers, fin, unidirectional) => this.#opened(id, headers, fin, unidirectional),
      synReply: () => this.#strike(),
      rstStream: (id, status) => this.#resetByClient(id, status),
      headers: (id, _headers, fin) => {
        this.#strike();
        if (fin) this.#fromClient(id, Buffer.alloc(0), true);
      },
      data: (id, piece, fin) => this.#fromClient(id, piece, fin),
      ping: (id) => {
        if (id % 2 === 1 && !client.congested()) this.#toClient.ping(id);
      },
      goAway: () => this.#settle('client', undefined),
    });
    this.#upstreamReader = new SpdyFrameReader({
      synStream: (id) => this.#toUpstream.rstStream(id, ResetStatus.refusedStream),
      synReply: (id, _headers, fin) => this.#answered(id, fin),
      rstStream: (id, status) => this.#resetByUpstream(id, status),
      headers: (id, _headers, fin) => {
        if (fin) this.#fromUpstream(id, Buffer.alloc(0), true);
      },
      data: (id, piece, fin) => this.#fromUpstream(id, piece, fin),
      ping: (id) => {
        if (id % 2 === 0 && !upstream.congested()) this.#toUpstream.ping(id);
      },
      goAway: () => this.#settle('upstream', undefined),
    });
  }

  /** Runs until either side leaves. Never rejects. */
  run(): Promise<UpgradeOutcome> {
    const { client, upstream } = this.#sides;
    const { signal, limits } = this.#context;
    signal.addEventListener('abort', this.#onAbort, { once: true });
    this.#maxAge = setTimeout(
      () => this.#abort(new SallyportError('SP_STREAM_ENDED', 'the port-forward reached the longest life of a stream')),
      Math.min(limits.maxDuration, 2 ** 31 - 1),
    );
    this.#keepAlive = new KeepAlive(limits.pingInterval, [
      { peer: client, ping: () => this.#pingClient() },
      { peer: upstream, ping: () => this.#pingUpstream() },
    ]);
    upstream.listen({
      bytes: (chunk) => this.#guard('upstream', () => this.#upstreamReader.receive(chunk)),
      drained: () => client.release('upstream'),
      gone: () => this.#settle('upstream', undefined),
    });
    client.listen({
      bytes: (chunk) => this.#guard('client', () => (this.#tunnel ?? this.#clientReader).receive(chunk)),
      drained: () => upstream.release('client'),
      gone: () => this.#settle('client', undefined),
    });
    if (signal.aborted) this.#onAbort();
    return this.#done.promise;
  }

  /** A stream that the client opens: refused by its form at once, else judged. */
  #opened(id: number, headers: SpdyHeaders, fin: boolean, unidirectional: boolean): void {
    if (id % 2 === 0 || id <= this.#lastClientStream) {
      this.#malformed(id);
      return;
    }
    this.#lastClientStream = id;
    const request = readPortStream(headers);
    if (request === undefined || unidirectional) {
      this.#malformed(id);
      return;
    }
    // Judgements are counted too: a stream that is reset at once still has one under way (as in CVE-2023-44487).
    const { maxPortStreams } = this.#context.limits;
    if (this.#streams.size >= maxPortStreams || this.#judging >= maxPortStreams) {
      // One that opens stream after stream and reads no answer would fill the memory with them.
      if (this.#sides.client.congested()) throw new StreamProtocolError('a flood of streams');
      this.#toClient.rstStream(id, ResetStatus.refusedStream);
      return;
    }
    const stream = this.#streams.add(id, request);
    stream.clientEnded = fin;
    this.#judge(request.port).then(
      () => this.#open(stream),
      (error: unknown) => this.#refuse(stream, asSallyportError(error)),
    );
  }

  #malformed(id: number): void {
    this.#strike();
    this.#toClient.rstStream(id, ResetStatus.protocolError);
  }

  /** Each such frame costs an inflation here and nothing there: a client gets a hundred of them. */
  #strike(): void {
    this.#strikes += 1;
    if (this.#strikes > MAX_STRIKES) throw new StreamProtocolError('a flood of frames that nobody asked for');
  }

  async #judge(port: number): Promise<void> {
    this.#judging += 1;
    const { promise, reject } = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      reject(new SallyportError('SP_POLICY_ERROR', `port ${port} could not be judged in time`));
    }, JUDGE_TIMEOUT);
    try {
      await Promise.race([this.#context.judgePort(port), promise]);
    } finally {
      clearTimeout(timer);
      this.#judging -= 1;
    }
  }

  #open(stream: PortStream): void {
    // The client may have reset it meanwhile, or everything has ended.
    if (this.#ended || !this.#streams.has(stream)) return;
    const { kind, port, requestID } = stream.request;
    this.#ports.add(port);
    const headers: [string, string][] = [
      ['streamtype', kind],
      ['port', String(port)],
    ];
    if (requestID !== undefined) headers.push(['requestid', requestID]);
    this.#toUpstream.synStream(this.#streams.open(stream), headers, stream.clientEnded);
  }

  /**
   * The client hears the reason on its error stream. Both streams are answered first: client-go reads the error stream only
   * after it has got both.
   */
  #refuse(stream: PortStream, error: SallyportError): void {
    if (this.#ended || !this.#streams.has(stream)) return;
    this.#streams.remove(stream);
    if (this.#sides.client.congested()) {
      this.#toClient.rstStream(stream.clientID, ResetStatus.refusedStream);
      this.#abort(error);
      return;
    }
    this.#toClient.synReply(stream.clientID);
    if (stream.request.kind === 'error') {
      const { message } = toStatus(error, this.#context.requestID);
      this.#toClient.data(stream.clientID, Buffer.from(message), true);
    } else {
      this.#toClient.data(stream.clientID, Buffer.alloc(0), true);
      this.#toClient.rstStream(stream.clientID, ResetStatus.refusedStream);
    }
  }

  #answered(upstreamID: number, fin: boolean): void {
    const stream = this.#streams.upstream(upstreamID);
    if (stream === undefined || stream.answered) return;
    stream.answered = true;
    this.#toClient.synReply(stream.clientID, [], fin);
    if (fin) this.#sideEnded(stream, 'upstreamEnded');
  }

  #fromClient(id: number, piece: Buffer, fin: boolean): void {
    const stream = this.#streams.client(id);
    // Frames for a stream that was reset are on their way until the client hears of it.
    if (stream === undefined || stream.clientEnded) return;
    if (!stream.answered) {
      // Nothing may be sent before the answer; keeping it until the port is judged would be memory without bound.
      if (stream.upstreamID !== undefined) this.#toUpstream.rstStream(stream.upstreamID, ResetStatus.cancel);
      this.#streams.remove(stream);
      this.#malformed(id);
      return;
    }
    this.#toUpstream.data(stream.upstreamID!, piece, fin);
    if (this.#sides.upstream.congested()) this.#sides.client.hold('upstream');
    if (fin) this.#sideEnded(stream, 'clientEnded');
  }

  #fromUpstream(upstreamID: number, piece: Buffer, fin: boolean): void {
    const stream = this.#streams.upstream(upstreamID);
    if (stream === undefined || stream.upstreamEnded || !stream.answered) return;
    this.#toClient.data(stream.clientID, piece, fin);
    if (this.#sides.client.congested()) this.#sides.upstream.hold('client');
    if (fin) this.#sideEnded(stream, 'upstreamEnded');
  }

  #resetByClient(id: number, status: number): void {
    const stream = this.#streams.client(id);
    if (stream === undefined) return;
    this.#streams.remove(stream);
    if (stream.upstreamID !== undefined) this.#toUpstream.rstStream(stream.upstreamID, status);
  }

  #resetByUpstream(upstreamID: number, status: number): void {
    const stream = this.#streams.upstream(upstreamID);
    if (stream === undefined) return;
    this.#streams.remove(stream);
    this.#toClient.rstStream(stream.clientID, status);
  }

  #sideEnded(stream: PortStream, side: 'clientEnded' | 'upstreamEnded'): void {
    stream[side] = true;
    if (stream.clientEnded && stream.upstreamEnded) this.#streams.remove(stream);
  }

  #guard(side: 'client' | 'upstream', act: () => void): void {
    try {
      act();
    } catch (error) {
      if (!(error instanceof StreamProtocolError)) {
        this.#abort(asSallyportError(error));
        return;
      }
      const code = side === 'client' ? 'SP_BAD_REQUEST' : 'SP_UPSTREAM_UNREACHABLE';
      const who = side === 'client' ? 'the client' : 'the API server';
      const told = new SallyportError(code, `${who} broke the protocol of the stream: ${error.message}`, {
        cause: error,
      });
      if (side === 'client') {
        this.#toClient.goAway(this.#lastClientStream, GoAwayStatus.protocolError);
        this.#tunnel?.fail(error);
        this.#settle('gateway', told);
      } else this.#abort(told);
    }
  }

  /** Says why on every error stream that is open: kubectl prints it before it says that the connection is lost. */
  #abort(error: SallyportError): void {
    if (this.#ended) return;
    const { message } = toStatus(error, this.#context.requestID);
    for (const stream of this.#streams) {
      if (stream.request.kind !== 'error' || stream.upstreamEnded) continue;
      if (!stream.answered) this.#toClient.synReply(stream.clientID);
      this.#toClient.data(stream.clientID, Buffer.from(message), true);
    }
    this.#settle('gateway', error);
  }

  #pingClient(): void {
    this.#toClient.ping(this.#clientPing);
    this.#clientPing = (this.#clientPing + 2) % 0x7fff_fffe || 2;
    this.#tunnel?.ping();
  }

  #pingUpstream(): void {
    this.#toUpstream.ping(this.#upstreamPing);
    this.#upstreamPing = this.#upstreamPing > 0x7fff_fff0 ? 1 : this.#upstreamPing + 2;
  }

  #settle(endedBy: UpgradeOutcome['endedBy'], error: SallyportError | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    clearTimeout(this.#maxAge);
    this.#keepAlive?.stop();
    this.#context.signal.removeEventListener('abort', this.#onAbort);
    this.#clientReader.end();
    this.#upstreamReader.end();
    const { client, upstream, protocols } = this.#sides;
    this.#toUpstream.goAway(0, GoAwayStatus.ok);
    upstream.end(CUT_AFTER);
    this.#toClient.goAway(this.#lastClientStream, GoAwayStatus.ok);
    this.#tunnel?.close();
    client.end(CUT_AFTER);
    this.#done.resolve({
      status: 101,
      ...protocols,
      endedBy,
      error,
      exit: undefined,
      bytesFromClient: client.bytesRead,
      bytesToClient: client.bytesWritten,
      ports: [...this.#ports],
    });
  }
}
