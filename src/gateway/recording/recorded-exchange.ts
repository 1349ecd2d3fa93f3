import { SallyportError } from '../../errors.ts';
import { JsonMask } from '../../masking/json-stream.ts';
import { type MaskPlan, replacer } from '../../masking/mask-plan.ts';
import { TextMask } from '../../masking/text-mask.ts';
import type { EventLine, FrameChannel, FrameLine, Level, RecordedBody } from '../../recording/line.ts';
import { SpoolError } from '../../recording/spool/spool-error.ts';
import { timestampOf } from '../../recording/timestamp.ts';
import type { Channel } from '../../streams/remote-command/channel.ts';
import { readBody } from '../body.ts';
import { announcesBody } from '../evidence.ts';
import type { Exchange } from '../exchange.ts';
import { resourceKind } from '../masking/resource-kind.ts';
import type { BodyTransform, Downstream, Outcome } from '../relay.ts';
import type { ChannelTap, UpgradeOutcome } from '../upgrade/context.ts';
import { AnswerRecord } from './answer-record.ts';
import { BodyCapture } from './body-capture.ts';
import { ChannelRecord } from './channel-record.ts';
import { durations, errorFields, eventOf, maskedCounts } from './event-fields.ts';
import { FrameGatherer } from './frame-gatherer.ts';
import { keptWithin } from './kept-within.ts';
import type { SessionWriter } from './session-writer.ts';

export interface RecordedExchangeOptions {
  readonly writer: SessionWriter;
  readonly level: Level;
  /** Nothing passes that is not kept. */
  readonly strict: boolean;
  /** The first event is kept before the forward. */
  readonly beforehand: boolean;
  /** It changes something, at once: once it was carried out it is answered, or who asked would do it again. */
  readonly write: boolean;
  /** Bytes of a body that are kept. */
  readonly maxBodyBytes: number;
  /** Milliseconds that a line may take to be kept. */
  readonly commitTimeout: number;
  /** Milliseconds until a request's body must be complete. */
  readonly bodyTimeout: number;
  /** Why lines could not be taken now. */
  readonly refusal: () => SpoolError | undefined;
  readonly onRefused: () => void;
}

/** What an event takes beside its bodies, about. */
const EVENT_BYTES = 1_500;
/** Milliseconds between two looks at a spool that is full. */
const WAIT_FOR_ROOM = 50;

/** How one request ended, as far as its record is concerned. */
export interface Ending {
  readonly status: number;
  readonly outcome: NonNullable<EventLine['outcome']>;
  readonly bytes: number;
  readonly upstreamDuration?: number | undefined;
  readonly body?: RecordedBody | undefined;
  readonly ports?: readonly number[] | undefined;
  readonly requestBytes?: number | undefined;
}

/** What the last event says beyond the others. */
type EventEnding = Pick<
  EventLine,
  'responseStatus' | 'masked' | 'bytes' | 'durations' | 'outcome' | 'responseBody' | 'ports' | 'error'
>;
type Growing<Event> = { -readonly [Member in keyof Event]: Event[Member] };

/** One request's lines: its events, and the frames of what streams. */
export class RecordedExchange {
  readonly exchange: Exchange;
  readonly options: RecordedExchangeOptions;
  readonly #receivedAt: string;
  /** Its first event: what the others begin with, but for the request's body. */
  #known: EventLine | undefined;
  #requestBody: RecordedBody | undefined;
  #requestBytes = 0;
  /** It may be forwarded. */
  #opened = false;
  /** Keeps what is held of input that was cut off. */
  #lastInput: (() => Promise<void>) | undefined;
  #frames: FrameGatherer | undefined;
  #complete = false;
  #released = false;

  constructor(exchange: Exchange, options: RecordedExchangeOptions) {
    this.exchange = exchange;
    this.options = options;
    this.#receivedAt = timestampOf(Date.now() - (performance.now() - exchange.startedAt));
    options.writer.active += 1;
  }

  /**
   * Before the forward.
   * @returns when it may be forwarded; undefined: now
   * @throws SallyportError SP_RECORDING_UNAVAILABLE where the record is demanded and cannot be kept, also at once
   */
  open(): Promise<void> | undefined {
    const { strict, beforehand, level, refusal } = this.options;
    if (strict) {
      const problem = refusal();
      if (problem !== undefined) throw this.#refused(problem);
    }
    const hasBody = level !== 'Metadata' && this.#hasBody;
    if (hasBody || beforehand) return this.#openLater(hasBody);
    this.#opened = true;
    return undefined;
  }

  async #openLater(hasBody: boolean): Promise<void> {
    if (hasBody) await this.#readBody();
    if (this.options.beforehand) await this.#beginBeforehand();
    this.#opened = true;
  }

  /** A line that takes too long may be kept all the same, and would then say that it was forwarded. */
  async #beginBeforehand(): Promise<void> {
    try {
      await this.begin('RequestReceived');
    } catch (error) {
      if (error instanceof SallyportError) void this.options.writer.appendOrDrop([this.#failure(error)], EVENT_BYTES);
      throw error;
    }
  }

  /** Appends the first event of what does not end at once; resolves when it is kept. */
  async begin(stage: 'RequestReceived' | 'ResponseStarted'): Promise<void> {
    const event = this.#event(stage);
    await this.#keep([event], EVENT_BYTES + (this.#requestBody?.data?.length ?? 0), this.#carriedOut);
  }

  /** The answer's way through the record; undefined where the answer does not wait for it. */
  respond(status: number, headers: readonly string[], downstream: Downstream): BodyTransform {
    return new AnswerRecord(this, status, headers, downstream);
  }

  /** Keeps what passes on a channel of exec and attach, behind what masks it. */
  tap(channel: Channel): ChannelTap | undefined {
    const { level } = this.options;
    const inward = channel === 'stdin' || channel === 'resize';
    if (level === 'Metadata' || (!inward && level !== 'RequestResponse')) return undefined;
    const { masking } = this.exchange;
    if (channel === 'stdin' && masking !== undefined) return this.#stdinTap(masking.plan);
    return new ChannelRecord(channel, { keep: (name, chunk) => this.frame(name, chunk) });
  }

  /**
   * Input goes to the command as it was typed, and into the recording as it may be seen: secrets that are typed or piped in are
   * hidden. So a line is kept when it is whole, or when nothing more comes.
   */
  #stdinTap(plan: MaskPlan): ChannelTap {
    const { resource, namespace, name } = this.exchange.operation!;
    const engine = new TextMask(plan.recognizer, replacer(plan, `${resource}/${namespace}/${name}`, 'stdin'));
    let ended = false;
    const last = async (): Promise<void> => {
      if (ended) return;
      ended = true;
      const rest = engine.end();
      if (rest.length > 0) await this.frame('stdin', rest);
    };
    this.#lastInput = last;
    return new ChannelRecord('stdin', {
      keep: (channel, chunk) => this.frame(channel, chunk),
      shown: (chunk) => engine.write(chunk),
      last,
    });
  }

  /** Keeps a piece of a stream; resolves when the record does not hold it up. */
  frame(channel: FrameChannel, chunk: Buffer): Promise<void> {
    if (this.#frames === undefined) {
      const { id, startedAt } = this.exchange;
      const keep = (lines: readonly FrameLine[], size: number): Promise<void> => this.#keepFrames(lines, size);
      this.#frames = new FrameGatherer({ auditID: id, startedAt, keep });
    }
    return this.#frames.add(channel, chunk);
  }

  /** Where there is no room for now, who sends is made to wait: a stream that outruns the store is slowed before it is ended. */
  async #keepFrames(lines: readonly FrameLine[], size: number): Promise<void> {
    const { strict, commitTimeout, refusal } = this.options;
    const late = performance.now() + commitTimeout;
    while (strict && refusal() !== undefined && performance.now() < late && !this.exchange.signal.aborted) {
      await new Promise((resolve) => setTimeout(resolve, WAIT_FOR_ROOM));
    }
    await this.#keep(lines, size);
  }

  /**
   * The last event, once.
   * @returns when it is kept; undefined: it is, or nobody waits for it. @throws SallyportError where it is demanded and cannot be kept, also at once
   */
  complete(ending: Ending): Promise<void> | undefined {
    if (this.#complete) return undefined;
    this.#complete = true;
    return this.#streams ? this.#endFrames().then(() => this.#keepEnd(ending)) : this.#keepEnd(ending);
  }

  #keepEnd(ending: Ending): Promise<void> | undefined {
    const { status, outcome, bytes, upstreamDuration, body, ports, requestBytes } = ending;
    const event = this.#event('ResponseComplete', {
      masked: maskedCounts(this.exchange),
      bytes: { request: requestBytes ?? this.#requestBytes, response: bytes },
      durations: durations(this.exchange, upstreamDuration),
      outcome,
      responseStatus: status > 0 ? { code: status } : undefined,
      responseBody: body,
      // Those that were opened, in the place of those that were asked for.
      ports,
    });
    return this.#keep([event], EVENT_BYTES + (body?.data?.length ?? 0), this.#carriedOut);
  }

  /** The API server has answered; and what it did cannot be taken back. */
  get #carriedOut(): boolean {
    return this.options.write && this.#opened;
  }

  /**
   * The last event of what the relay has brought to its end, or not. Never throws: what is over is over.
   * @returns when it is kept, or cannot be; undefined: it is
   */
  close(result: Outcome | UpgradeOutcome | SallyportError): Promise<void> | undefined {
    if (!this.#complete) return this.#close(result);
    this.release();
    return undefined;
  }

  async #close(result: Outcome | UpgradeOutcome | SallyportError): Promise<void> {
    try {
      if (result instanceof SallyportError) await this.#failed(result);
      else await this.complete(endingOf(result, this.exchange.operation!.exec !== undefined));
    } catch {
      // The loss was counted; the answer was given, or is an error already.
    } finally {
      this.release();
    }
  }

  /** Nothing of it comes any more. */
  release(): void {
    if (this.#released) return;
    this.#released = true;
    const { writer } = this.options;
    writer.active -= 1;
    writer.usedAt = performance.now();
  }

  async #failed(error: SallyportError): Promise<void> {
    if (this.#complete) return;
    this.#complete = true;
    if (this.#streams) await this.#endFrames();
    await this.#keep([this.#failure(error)], EVENT_BYTES);
  }

  #failure(error: SallyportError): EventLine {
    const refused = this.#known === undefined ? error.status < 500 : !this.#opened;
    return this.#event('ResponseComplete', {
      masked: maskedCounts(this.exchange),
      bytes: { request: this.#requestBytes, response: 0 },
      durations: durations(this.exchange, undefined),
      outcome: refused ? 'Refused' : 'Failed',
      ...errorFields(error),
    });
  }

  get #streams(): boolean {
    return this.#frames !== undefined || this.#lastInput !== undefined;
  }

  /** Nothing of a stream comes behind the last event. */
  async #endFrames(): Promise<void> {
    await this.#lastInput?.();
    await this.#frames?.settle();
  }

  /** The first event is what is known itself, filled in: most requests have one, and to copy it costs as much as to make it. */
  #event(stage: EventLine['stage'], ending: EventEnding = {}): EventLine {
    const first = this.#known === undefined;
    const event: Growing<EventLine> = first
      ? eventOf(this.exchange, this.options.level, this.#receivedAt)
      : { ...this.#known! };
    this.#known ??= event;
    event.stage = stage;
    event.stageTimestamp = timestampOf(Date.now());
    event.requestBody = first ? this.#requestBody : undefined;
    event.responseStatus = ending.responseStatus;
    event.masked = ending.masked;
    event.bytes = ending.bytes;
    event.durations = ending.durations;
    event.outcome = ending.outcome;
    event.responseBody = ending.responseBody;
    event.error = ending.error;
    if (ending.ports !== undefined) event.ports = ending.ports;
    return event;
  }

  /** A body that is part of the event: what a connection or a proxied program gets passes as it comes. */
  get #hasBody(): boolean {
    const { body, request, operation } = this.exchange;
    if (operation!.exec !== undefined || operation!.portForward !== undefined || operation!.subresource === 'proxy')
      return false;
    return body !== undefined || announcesBody(request);
  }

  /** The body as the agent sent it, as the recording may show it. */
  async #readBody(): Promise<void> {
    const { exchange, options } = this;
    const { request, masking } = exchange;
    exchange.body ??= await readBody(exchange, options.bodyTimeout);
    const sent = exchange.sentBody ?? exchange.body;
    const type = String(request.headers['content-type'] ?? '');
    const capture = new BodyCapture(type, options.maxBodyBytes);
    this.#requestBytes = sent.length;
    capture.add(shown(sent, exchange, masking));
    this.#requestBody = capture.done();
  }

  /**
   * @param carriedOut waits like any other, and then passes whether it is kept or not
   * @returns when it is kept; undefined: it is, or nobody waits for it. @throws SallyportError where it has to be and cannot, also at once
   */
  #keep(lines: Parameters<SessionWriter['append']>[0], size: number, carriedOut = false): Promise<void> | undefined {
    const { writer, strict, commitTimeout } = this.options;
    if (!strict || carriedOut) {
      const settled = writer.appendOrDrop(lines, size);
      if (!strict || settled === undefined) return undefined;
      return keptWithin(settled, commitTimeout).catch(() => {});
    }
    try {
      const kept = writer.append(lines, size);
      return kept && keptWithin(kept, commitTimeout, (error) => this.#refused(error));
    } catch (error) {
      throw this.#refused(error);
    }
  }

  #refused(error: unknown): SallyportError {
    this.options.onRefused();
    return unavailable(error, this.#opened);
  }
}

/** The refusal of what must be recorded and cannot be. */
export function unavailable(cause: unknown, underWay = false): SallyportError {
  const why = cause instanceof SpoolError ? REASONS[cause.fault] : 'the store does not take it';
  const message = `this has to be recorded, and cannot be now: ${why}. ${underWay ? 'It ends here' : 'It was not carried out'}; try again, and tell whoever runs the gateway`;
  return new SallyportError('SP_RECORDING_UNAVAILABLE', message, { cause, retryAfter: 5 });
}

/** What callers are told; paths and sizes are for the log. */
const REASONS: Readonly<Record<SpoolError['fault'], string>> = {
  Full: 'the space for recordings is used up',
  Slow: 'the disk for recordings is too slow, or the store where it has to be there',
  Failed: 'the disk for recordings fails',
  Ended: 'its recording has just ended',
  Unstored: 'the store does not take it',
};

/** Secrets that an agent writes are hidden from whoever reads the recording, as they are from whoever reads the object. */
function shown(body: Buffer, exchange: Exchange, masking: Exchange['masking']): Buffer {
  if (masking === undefined) return body;
  try {
    const engine = new JsonMask(masking.plan, { kind: resourceKind(exchange.operation!) });
    return Buffer.concat([engine.write(body), engine.end()]);
  } catch {
    // What cannot be masked (YAML of an apply, protobuf) is not kept; its length and digest are.
    return Buffer.alloc(0);
  }
}

/** @param command of exec or attach: it ends by itself; whoever ends a port-forward is done with it */
function endingOf(result: Outcome | UpgradeOutcome, command: boolean): Ending {
  if ('end' in result) {
    const { status, bytes, upstreamDuration, end } = result;
    return { status, bytes, upstreamDuration, outcome: end };
  }
  const { status, bytesToClient, bytesFromClient, error, endedBy, ports } = result;
  const left = endedBy === 'client' && (command || error !== undefined);
  const outcome = left ? 'ClientLeft' : error === undefined ? 'Complete' : 'Ended';
  return { status, bytes: bytesToClient, requestBytes: bytesFromClient, outcome, ...(ports.length > 0 && { ports }) };
}
