import type { FrameChannel } from '../../recording/line.ts';
import type { BodyTransform, Downstream } from '../relay.ts';
import { BodyCapture } from './body-capture.ts';
import type { RecordedExchange } from './recorded-exchange.ts';

/** Bytes of an answer that wait for its only event; of a longer one, an event is kept before its first byte passes. */
const SHORT = 64 << 10;
/** Bytes that may wait for their frames to be kept before the API server is made to wait. */
const MOST_WAITING = 256 << 10;
const NOTHING = Buffer.alloc(0);
const CONTENT_TYPE = 'content-type';

/**
 * An answer on its way through the record, behind what masks it. Where the record is strict, no byte of it reaches the agent
 * before a line that tells of it is kept: a short answer waits for its one event, a long one for its first, and what streams
 * (watches, logs) for the frame that holds it.
 */
export class AnswerRecord implements BodyTransform {
  readonly headers: string[];
  /** The head may wait with the body: an answer that cannot be recorded can still be refused. */
  readonly holdsHead: boolean;
  readonly #record: RecordedExchange;
  readonly #status: number;
  readonly #downstream: Downstream;
  readonly #capture: BodyCapture | undefined;
  readonly #frames: FrameChannel | undefined;
  readonly #strict: boolean;
  /** What waits for its line. */
  #held: Buffer[] = [];
  #heldBytes = 0;
  #state: 'Short' | 'Starting' | 'Passing';
  #bytes = 0;
  readonly #upstreamDuration: number;
  #lastFrame: Promise<void> = Promise.resolve();

  constructor(record: RecordedExchange, status: number, headers: readonly string[], downstream: Downstream) {
    const { strict, level, maxBodyBytes, beforehand } = record.options;
    this.#record = record;
    this.#status = status;
    this.#downstream = downstream;
    this.headers = headers as string[];
    this.#strict = strict;
    this.#upstreamDuration = downstream.upstreamDuration;
    const channel = status < 400 ? streamChannel(record) : undefined;
    this.#frames = level === 'RequestResponse' ? channel : undefined;
    const kept = level === 'RequestResponse' && channel === undefined ? maxBodyBytes : undefined;
    this.#capture = kept === undefined ? undefined : new BodyCapture(contentType(headers), kept);
    // What streams has had its first event before the forward.
    this.#state = !strict || (channel !== undefined && beforehand) ? 'Passing' : 'Short';
    this.holdsHead = this.#state === 'Short';
  }

  write(chunk: Buffer): Buffer {
    if (chunk.length === 0) return chunk;
    this.#bytes += chunk.length;
    const passes = this.#state === 'Passing' && this.#frames === undefined;
    // It is lent: what is kept for a line, or until one is kept, is a copy.
    const own = passes && this.#capture?.wants !== true ? chunk : Buffer.from(chunk);
    this.#capture?.add(own);
    if (this.#frames !== undefined) return this.#frame(this.#frames, own);
    if (passes) return chunk;
    this.#hold(own);
    if (this.#state === 'Short' && this.#heldBytes > SHORT) this.#start();
    return NOTHING;
  }

  end(): Buffer {
    return NOTHING;
  }

  /** The last bytes, once the last event is kept: at once, where it is by then. */
  settle(): Promise<Buffer> | Buffer {
    // Of a short answer nothing has been kept yet.
    if (this.#state === 'Short') return this.#complete();
    return this.#lastFrame.then(() => this.#complete());
  }

  #complete(): Promise<Buffer> | Buffer {
    const body = this.#capture?.done();
    const kept = this.#record.complete({
      status: this.#status,
      outcome: 'Complete',
      bytes: this.#bytes,
      upstreamDuration: this.#upstreamDuration,
      body,
    });
    return kept === undefined ? this.#take() : kept.then(() => this.#take());
  }

  /** More than a short answer: its first event is kept, then it passes as it comes. */
  #start(): void {
    this.#state = 'Starting';
    this.#downstream.hold();
    const passes = (): void => {
      this.#state = 'Passing';
      this.#downstream.write(this.#take());
      this.#downstream.release();
    };
    this.#lastFrame = this.#record.begin('ResponseStarted').then(passes);
    this.#lastFrame.catch((error: unknown) => this.#downstream.fail(error));
  }

  /** A piece of a stream passes when its frame is kept. */
  #frame(channel: FrameChannel, chunk: Buffer): Buffer {
    const kept = this.#record.frame(channel, chunk);
    if (!this.#strict) {
      kept.catch(() => {});
      return chunk;
    }
    this.#heldBytes += chunk.length;
    if (this.#heldBytes > MOST_WAITING) this.#downstream.hold();
    this.#lastFrame = Promise.all([this.#lastFrame, kept]).then(() => {
      this.#downstream.write(chunk);
      this.#heldBytes -= chunk.length;
      if (this.#heldBytes <= MOST_WAITING) this.#downstream.release();
    });
    this.#lastFrame.catch((error: unknown) => this.#downstream.fail(error));
    return NOTHING;
  }

  #hold(chunk: Buffer): void {
    this.#held.push(chunk);
    this.#heldBytes += chunk.length;
  }

  #take(): Buffer {
    const held = this.#held;
    this.#held = [];
    this.#heldBytes = 0;
    return held.length === 1 ? held[0]! : Buffer.concat(held);
  }
}

/** Answers that come as a stream are kept as frames, not as one body. */
function streamChannel({ exchange }: RecordedExchange): FrameChannel | undefined {
  const { verb, subresource } = exchange.operation!;
  if (verb === 'watch') return 'watch';
  if (subresource === 'log') return 'log';
  if (subresource === 'proxy') return 'body';
  return undefined;
}

function contentType(headers: readonly string[]): string {
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    // A lower case is a new string: only of what can be the one.
    if (name.length === CONTENT_TYPE.length && name.toLowerCase() === CONTENT_TYPE) return headers[i + 1]!;
  }
  return '';
}
