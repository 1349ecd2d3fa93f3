import type { Readable } from 'node:stream';
import { SallyportError } from '../errors.ts';
import type { Caller } from '../identity/caller.ts';
import { type UpstreamName, upstreamName } from '../identity/upstream-name.ts';
import { forwardableHeaders, identityHeader, singleHeader } from '../request/headers.ts';
import { parseRequest } from '../request/request.ts';
import type { Channel } from '../streams/remote-command/channel.ts';
import type { Forward, Outgoing } from '../upstream/forward.ts';
import { answerError, asSallyportError } from './answer.ts';
import { TargetMoved } from './approval/permit.ts';
import type { Endpoints } from './endpoints.ts';
import { announcesBody } from './evidence.ts';
import type { ClientRequest, ClientResponse } from './exchange.ts';
import { Exchange } from './exchange.ts';
import type { Judge } from './judge.ts';
import type { CallerLimits } from './limits.ts';
import type { LiveExchanges } from './live.ts';
import { searchedBody } from './masking/input-search.ts';
import { type Masking, maskableHeaders } from './masking/masking.ts';
import { withObjects } from './masking/table-query.ts';
import type { WriteBack } from './masking/write-back.ts';
import type { Observer } from './observer.ts';
import { type Outcome, type RelayLimits, type ResponseStage, relay } from './relay.ts';
import type { ChannelTap, UpgradeOutcome } from './upgrade/context.ts';
import { UpstreamRefusal } from './upstream-refusal.ts';

/** The rooms a request walks through. Each is built when the process starts; none is looked up on the way. */
export interface Rooms {
  /** Who calls. @throws SallyportError 401, 503, or SP_SESSION_REFUSED for one who is frozen */
  authenticate(exchange: Exchange): Promise<Caller>;
  /** The value of `sallyport.dev/via` for a name, now. */
  via(name: UpstreamName): string;
  readonly masking: Masking;
  readonly writeBack: WriteBack;
  readonly judge: Judge;
  readonly approver: Approver;
  readonly recorder: Recorder;
  readonly forward: Forward;
  readonly stages: readonly ResponseStage[];
  readonly limits: CallerLimits;
  readonly live: LiveExchanges;
  readonly endpoints: Endpoints;
  readonly observer: Observer;
  readonly relayLimits: RelayLimits;
  closing(): boolean;
}

/** Holds a request that needs a person's word. */
export interface Approver {
  /**
   * Resolves when the exact request of this exchange is approved, and its use taken.
   * @param patience milliseconds for which it may be held at most, whatever the rule says
   * @throws SallyportError SP_APPROVAL_REQUIRED and its kin
   */
  hold(exchange: Exchange, patience?: number): Promise<void>;
  /**
   * After the API server has found another object than the one that was looked at: judges and looks again.
   * @throws SallyportError SP_APPROVAL_VOID and its kin
   */
  again(exchange: Exchange): Promise<void>;
}

/** Keeps what a caller did. */
export interface Recorder {
  /** Before a person is asked: what could not be recorded need not be approved. @throws SallyportError as `open` */
  check(exchange: Exchange): void;
  /** Opens the event, before the forward. @throws SallyportError where the record is demanded and cannot be kept, also at once. */
  open(exchange: Exchange): Promise<RecordedEvent> | RecordedEvent;
  /** Keeps that a request was refused before it came to that. Never throws. */
  refused(exchange: Exchange, error: SallyportError): Promise<void>;
}

export interface RecordedEvent {
  /** What keeps a channel of exec and attach. */
  tap(channel: Channel): ChannelTap | undefined;
  /** @returns when the end is kept, or cannot be; undefined: it is. Never throws. */
  close(outcome: Outcome | UpgradeOutcome | SallyportError): Promise<void> | undefined;
}

/** Walks one request through the rooms, in the order of its life. */
export class Pipeline {
  readonly #rooms: Rooms;

  constructor(rooms: Rooms) {
    this.#rooms = rooms;
  }

  async handle(request: ClientRequest, response: ClientResponse): Promise<void> {
    const exchange = new Exchange(request, this.#rooms.closing);
    const { observer, live } = this.#rooms;
    observer.began(exchange);
    // From the first moment: a stream that is reset while its caller is looked up closes before anyone else listens.
    let flushing: NodeJS.Timeout | undefined;
    let closed = false;
    response.once('close', () => {
      closed = true;
      clearTimeout(flushing);
      if (!response.writableEnded) exchange.leave();
    });
    try {
      const outcome = await this.#walk(exchange, response);
      observer.ended(exchange, outcome);
    } catch (error) {
      observer.ended(exchange, answerError(exchange, response, error));
    } finally {
      exchange.permit?.end();
      live.remove(exchange);
      exchange.lease?.release();
      // The last bytes too have to be taken: a client with a window of zero would hold them, and its stream, for ever.
      if (!closed) flushing = setTimeout(() => response.destroy(), this.#rooms.relayLimits.stallTimeout).unref();
    }
  }

  async #walk(exchange: Exchange, response: ClientResponse): Promise<Outcome> {
    const rooms = this.#rooms;
    if (rooms.endpoints.open(exchange)) return rooms.endpoints.answer(exchange, response);
    await this.identify(exchange);
    if (rooms.endpoints.owns(exchange)) return rooms.endpoints.answer(exchange, response);
    this.describe(exchange);
    rooms.masking.prepare(exchange);
    await this.permit(exchange);
    const opening = rooms.recorder.open(exchange);
    const event = opening instanceof Promise ? await opening : opening;
    if (isLongLived(exchange)) {
      rooms.live.watchExpiry(exchange);
      rooms.observer.streaming(exchange);
      exchange.permit?.opened();
    }
    try {
      const outcome = await this.#forward(exchange, response);
      const closing = event.close(outcome);
      if (closing !== undefined) await closing;
      return outcome;
    } catch (error) {
      await event.close(asSallyportError(error));
      throw error;
    }
  }

  /** Who calls; what may not even be asked is refused first. */
  async identify(exchange: Exchange): Promise<void> {
    const rooms = this.#rooms;
    const { request } = exchange;
    const offending = identityHeader(request.rawHeaders);
    if (offending !== undefined) {
      const message = `the header ${offending} names an identity; only the gateway does that. Remove it (kubectl: --as, --as-group)`;
      throw new SallyportError('SP_IDENTITY_HEADER', message);
    }
    const caller = await rooms.authenticate(exchange);
    exchange.caller = caller;
    exchange.lease = rooms.limits.admit(caller);
    exchange.identity = upstreamName(caller);
    rooms.live.add(exchange);
  }

  /** What is asked, from the one canonical path. */
  describe(exchange: Exchange): void {
    const { request } = exchange;
    // Before its body is read by it: what is forwarded may be another body, under the gateway's own type.
    const contentType = singleHeader(request.rawHeaders, 'content-type');
    exchange.operation = parseRequest(request.method!, requestTarget(request), { contentType });
  }

  /** What placeholders in a write stand for; what would find masked values out is refused. */
  async restore(exchange: Exchange): Promise<void> {
    const { writeBack, judge } = this.#rooms;
    if (!writeBack.concerns(exchange)) return;
    // Who is denied whatever is written learns nothing of what is there.
    if (judge.deniesAnyway(exchange)) await this.decide(exchange);
    await writeBack.restore(exchange);
  }

  /** Allow passes, RequireApproval is for a person to say; anything else throws. */
  async decide(exchange: Exchange): Promise<void> {
    const { judge, masking } = this.#rooms;
    try {
      const decision = await judge.decide(exchange);
      exchange.decision = decision;
      if (decision.action === 'Allow') return;
      const reason = masking.line(exchange, decision.reason);
      if (decision.action === 'Deny') throw new SallyportError(decision.code ?? 'SP_POLICY_DENIED', reason);
      exchange.decision = { ...decision, reason };
    } catch (error) {
      throw error instanceof UpstreamRefusal ? masking.refusal(exchange, error) : error;
    }
  }

  /** Puts back what a write's placeholders stand for, decides, and asks a person where a rule wants that; what is refused is kept. */
  async permit(exchange: Exchange): Promise<void> {
    const { recorder } = this.#rooms;
    try {
      await this.restore(exchange);
      await this.decide(exchange);
      recorder.check(exchange);
      await this.hold(exchange);
    } catch (error) {
      await recorder.refused(exchange, asSallyportError(error));
      throw error;
    }
  }

  /** Where a rule wants a person's word: returns once it was given. */
  async hold(exchange: Exchange): Promise<void> {
    if (exchange.decision!.action !== 'RequireApproval') return;
    const { approver, masking } = this.#rooms;
    const begun = performance.now();
    try {
      await approver.hold(exchange);
    } catch (error) {
      throw error instanceof UpstreamRefusal ? masking.refusal(exchange, error) : error;
    } finally {
      exchange.approvalDuration = (exchange.approvalDuration ?? 0) + performance.now() - begun;
    }
  }

  async #forward(exchange: Exchange, response: ClientResponse): Promise<Outcome> {
    const { forward, stages, relayLimits, approver } = this.#rooms;
    for (;;) {
      try {
        exchange.restoration?.forwarding();
        return await relay(exchange, response, forward, this.#outgoing(exchange), stages, relayLimits);
      } catch (error) {
        if (!(error instanceof TargetMoved)) throw error;
        await exchange.restoration?.refresh();
        if (exchange.permit !== undefined) await approver.again(exchange);
        else {
          await this.decide(exchange);
          await this.hold(exchange);
        }
      }
    }
  }

  #outgoing(exchange: Exchange): Outgoing {
    const { request, operation, permit, restoration } = exchange;
    const body = permit?.guarded?.body ?? restoration?.bound() ?? exchange.body;
    return {
      ...this.outgoingHead(exchange),
      method: operation!.method,
      body: body ?? (announcesBody(request) ? this.#stream(exchange) : null),
      watch: operation!.verb === 'watch',
    };
  }

  /** A proxied program gets the body as it comes; a placeholder in it is stopped on the way. */
  #stream(exchange: Exchange): Readable {
    const { request, operation, masking } = exchange;
    return masking === undefined || operation!.proxyPath === undefined ? request : searchedBody(exchange, request);
  }

  /** All of a request upstream but its body: the canonical target, allow-listed headers, the caller's name. */
  outgoingHead(exchange: Exchange): Omit<Outgoing, 'body'> {
    const { request, operation, identity, decision, masking, permit } = exchange;
    const contentType = permit?.guarded?.contentType ?? exchange.bodyType;
    const headers = forwardableHeaders(request.rawHeaders, contentType === undefined ? {} : { contentType });
    if (exchange.trace !== undefined) carry(headers, exchange.trace.traceparent);
    const asked = permit?.guarded?.query ?? operation!.query;
    const whole = masking?.table === undefined ? asked : withObjects(asked);
    const query = excludeNamespace(whole, decision?.excludeNamespace);
    return {
      identity: identity!,
      via: this.#rooms.via(identity!),
      requestID: exchange.id,
      method: operation!.method,
      target: query === '' ? operation!.path : `${operation!.path}?${query}`,
      headers: masking === undefined ? headers : maskableHeaders(headers, masking),
    };
  }
}

/** What comes next in the trace is a child of this request, not of its caller's. */
function carry(headers: string[], traceparent: string): void {
  const at = headers.findIndex((name, index) => index % 2 === 0 && name === 'traceparent');
  if (at === -1) headers.push('traceparent', traceparent);
  else headers[at + 1] = traceparent;
}

/** A watch, a followed log, what is proxied: it lasts until someone ends it. */
function isLongLived({ operation }: Exchange): boolean {
  const { verb, subresource, query } = operation!;
  return (
    verb === 'watch' || subresource === 'proxy' || (subresource === 'log' && /(?:^|&)follow=(?!0|false)/.test(query))
  );
}

/** The target as the client wrote it: nothing may have been repaired before the grammar saw it. */
export function requestTarget(request: ClientRequest): string {
  return request.url ?? '';
}

/** A read over all namespaces that bedrock lets pass without the gateway's own: the API server leaves that one out. */
export function excludeNamespace(query: string, namespace: string | undefined): string {
  if (namespace === undefined) return query;
  const selector = `metadata.namespace!=${namespace}`;
  const pairs = query === '' ? [] : query.split('&');
  const index = pairs.findIndex((pair) => pair.startsWith('fieldSelector='));
  if (index === -1) pairs.push(`fieldSelector=${encodeURIComponent(selector)}`);
  else pairs[index] = `${pairs[index]}${pairs[index] === 'fieldSelector=' ? '' : '%2C'}${encodeURIComponent(selector)}`;
  return pairs.join('&');
}
