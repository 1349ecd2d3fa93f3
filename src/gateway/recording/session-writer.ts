import type { EndLine, Line } from '../../recording/line.ts';
import { asSpoolError } from '../../recording/spool/spool-error.ts';
import type { SpooledRecording } from '../../recording/spool/spooled-recording.ts';

/** One recording as the requests of its session write to it. */
export class SessionWriter {
  readonly recording: SpooledRecording;
  /** Requests under way: while there are any, the recording does not end. */
  active = 0;
  /** When a request last began or ended, of a clock that never jumps. */
  usedAt = performance.now();
  /** Why it is to end as soon as nothing is under way. */
  endReason: EndLine['reason'] | undefined;
  readonly startedAt = performance.now();
  #dropped = 0;
  #dropReason = '';
  readonly #onDropped: (lines: number) => void;
  readonly #onLines: ((recording: string, lines: readonly Line[]) => void) | undefined;

  /** @param onLines told of lines that are kept, and of those that BestEffort lost: what happened is sent on all the same */
  constructor(
    recording: SpooledRecording,
    onDropped: (lines: number) => void,
    onLines?: (recording: string, lines: readonly Line[]) => void,
  ) {
    this.recording = recording;
    this.#onDropped = onDropped;
    this.#onLines = onLines;
  }

  /**
   * Adds lines. @param size bytes, about
   * @returns when they are kept; undefined: they are. @throws SpoolError, also at once
   */
  append(lines: readonly Line[], size: number): Promise<void> | undefined {
    if (this.#dropped === 0) return this.#told(lines, this.recording.append(lines, size));
    const gap: Line = { kind: 'Gap', time: new Date().toISOString(), dropped: this.#dropped, reason: this.#dropReason };
    const kept = this.recording.append([gap, ...lines], size);
    this.#dropped = 0;
    return this.#told(lines, kept);
  }

  #told(lines: readonly Line[], kept: Promise<void> | undefined): Promise<void> | undefined {
    const onLines = this.#onLines;
    if (onLines === undefined) return kept;
    const { name } = this.recording.identity;
    if (kept === undefined) onLines(name, lines);
    else {
      kept.then(
        () => onLines(name, lines),
        () => {},
      );
    }
    return kept;
  }

  /**
   * Adds lines. Where they cannot be kept, the loss is counted, and told by the next line that can.
   * @returns when either is so; undefined: it is
   */
  appendOrDrop(lines: readonly Line[], size: number): Promise<void> | undefined {
    try {
      return this.append(lines, size)?.catch((error: unknown) => this.#lost(lines, error));
    } catch (error) {
      this.#lost(lines, error);
      return undefined;
    }
  }

  #lost(lines: readonly Line[], error: unknown): void {
    this.#onLines?.(this.recording.identity.name, lines);
    const { fault } = asSpoolError(error);
    // It is in the spool, and goes to the store when that takes it: nothing is missing.
    if (fault === 'Unstored') return;
    this.#dropped += lines.length;
    this.#dropReason = fault;
    this.#onDropped(lines.length);
  }
}
