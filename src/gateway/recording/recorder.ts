import { SallyportError } from '../../errors.ts';
import type { RecordingTerms } from '../../policy/decision.ts';
import type { SpoolError } from '../../recording/spool/spool-error.ts';
import { isConnect } from '../../request/operation.ts';
import type { Exchange } from '../exchange.ts';
import type { RecordedEvent, Recorder } from '../pipeline.ts';
import type { ResponseStage } from '../relay.ts';
import { isRead } from './event-fields.ts';
import { RecordedExchange, unavailable } from './recorded-exchange.ts';
import type { Recordings } from './recordings.ts';

export interface GatewayRecorderOptions {
  readonly recordings: Recordings;
  readonly refusal: () => SpoolError | undefined;
  readonly maxBodyBytes: number;
  readonly commitTimeout: number;
  readonly bodyTimeout: number;
  readonly onRefused: () => void;
}

/** Keeps what governed callers do: as much as their policies say, before it happens where they say so. */
export class GatewayRecorder implements Recorder {
  readonly #options: GatewayRecorderOptions;

  constructor(options: GatewayRecorderOptions) {
    this.#options = options;
  }

  check(exchange: Exchange): void {
    const { decision, operation } = exchange;
    if (decision!.action !== 'RequireApproval' || decision!.recording.level === 'None') return;
    if (!isStrict(decision!.recording.mode, isRead(operation!))) return;
    const problem = this.#options.refusal();
    if (problem !== undefined) throw unavailable(problem);
  }

  open(exchange: Exchange): Promise<RecordedEvent> | RecordedEvent {
    const record = this.#begin(exchange);
    if (record === undefined) return NOT_RECORDED;
    let opening: Promise<void> | undefined;
    try {
      opening = record.open();
    } catch (error) {
      record.release();
      throw error;
    }
    if (opening !== undefined) return this.#opened(exchange, record, opening);
    exchange.record = record;
    return record;
  }

  async #opened(exchange: Exchange, record: RecordedExchange, opening: Promise<void>): Promise<RecordedEvent> {
    try {
      await opening;
    } catch (error) {
      record.release();
      throw error;
    }
    exchange.record = record;
    return record;
  }

  /** What was refused is kept too, where there is a caller and a decision, or none could be come to. */
  async refused(exchange: Exchange, error: SallyportError): Promise<void> {
    // The recorder's own refusal: it has just said that it cannot.
    if (error.code === 'SP_RECORDING_UNAVAILABLE') return;
    await this.#begin(exchange)?.close(error);
  }

  #begin(exchange: Exchange): RecordedExchange | undefined {
    const { decision, caller, operation, permit } = exchange;
    if (caller === undefined || operation === undefined || decision?.free) return undefined;
    // Whoever could not be decided on has done nothing; that it was tried is kept, if that is possible.
    const { level, mode } = decision?.recording ?? { level: 'Metadata', mode: 'BestEffort' };
    if (level === 'None') return undefined;
    const { recordings, refusal, maxBodyBytes, commitTimeout, bodyTimeout, onRefused } = this.#options;
    const read = isRead(operation);
    return new RecordedExchange(exchange, {
      writer: recordings.of(caller),
      level,
      strict: isStrict(mode, read),
      beforehand: !read || permit !== undefined || isStream(exchange),
      write: !read && !isConnect(operation) && !isStream(exchange),
      maxBodyBytes,
      commitTimeout,
      bodyTimeout,
      refusal,
      onRefused,
    });
  }
}

/** The stage of answers that keeps them; it stands behind masking. */
export const recordingStage: ResponseStage = {
  open: (exchange, status, headers, downstream) => exchange.record?.respond(status, headers, downstream),
};

/**
 * Where the configuration says that nothing is recorded. What a policy demands a record of is refused all the same: a policy is
 * not weakened by the gateway that it holds for.
 */
export const NO_RECORDER: Recorder = {
  check: refuseDemand,
  open: (exchange) => {
    refuseDemand(exchange);
    return NOT_RECORDED;
  },
  refused: async () => {},
};

function refuseDemand({ decision }: Exchange): void {
  if (decision === undefined || decision.free) return;
  const { level, mode } = decision.recording;
  if (level === 'None' || mode !== 'Strict') return;
  const message =
    'a policy demands that this is recorded (recording.mode: Strict), and this gateway records nothing; tell whoever runs it';
  throw new SallyportError('SP_RECORDING_UNAVAILABLE', message);
}

const NOT_RECORDED: RecordedEvent = { close: () => undefined, tap: () => undefined };

function isStrict(mode: RecordingTerms['mode'], read: boolean): boolean {
  return mode === 'Strict' || (mode === 'ByOperation' && !read);
}

function isStream({ operation }: Exchange): boolean {
  const { verb, subresource } = operation!;
  return verb === 'watch' || subresource === 'log' || subresource === 'proxy';
}
