/** A receiver of events: it takes whole batches, in their order, or says why it did not. */
export interface Sink {
  /**
   * Resolves when the receiver has answered for all of them.
   * @returns how many it said that it will never take @throws SinkError
   */
  send(events: readonly string[], signal: AbortSignal): Promise<number>;
  close(): Promise<void>;
}

/**
 * `Later`: nobody is there, or it asks to come again. `Refused`: a person has to mend something (credentials, path); tried again all
 * the same. `Unacceptable`: it will never take these events.
 */
export type SinkFault = 'Later' | 'Refused' | 'Unacceptable';

export class SinkError extends Error {
  readonly fault: SinkFault;
  /** Milliseconds to wait at least. */
  readonly retryAfter: number;

  constructor(fault: SinkFault, message: string, retryAfter = 0) {
    super(message);
    this.name = 'SinkError';
    this.fault = fault;
    this.retryAfter = retryAfter;
  }
}

/** What an answer's status means for a batch. */
export function faultOfStatus(status: number): SinkFault {
  if (status === 400 || status === 413 || status === 415 || status === 422) return 'Unacceptable';
  if (status === 408 || status === 425 || status === 429 || status >= 500) return 'Later';
  return 'Refused';
}
