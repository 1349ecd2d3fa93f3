import type { EventLine } from '../line.ts';

/**
 * Of a request that was under way when the gateway was killed the next start knows nothing but its ID: what its first event says of it
 * belongs into the last one, for whoever reads one event at a time.
 */
export class WholeEndings {
  readonly #first = new Map<string, EventLine>();

  /** Events in their order. @returns the event, whole */
  of(event: EventLine): EventLine {
    const { auditID, stage, outcome, level, stageTimestamp } = event;
    const first = this.#first.get(auditID);
    if (stage !== 'ResponseComplete') {
      if (first === undefined) this.#first.set(auditID, { ...event, requestBody: undefined });
      return event;
    }
    this.#first.delete(auditID);
    return outcome === 'Unknown' && first !== undefined ? { ...first, level, stage, stageTimestamp, outcome } : event;
  }
}
