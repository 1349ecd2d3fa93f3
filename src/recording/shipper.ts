import type { ManifestSegment } from './manifest.ts';
import type { SpooledRecording } from './spool/spooled-recording.ts';
import type { StorageError } from './storage/storage.ts';

/** Brings the spool's lines to the store: parts of open segments as they grow, closed segments sealed. Tries again by itself. */
export interface Shipper {
  /** There are new lines, or a closed segment. Never waits. */
  grown(recording: SpooledRecording): void;
  /**
   * Resolves when the store has every line that is written of this recording now.
   * @throws StorageError where the store did not take them in its time
   */
  stored(recording: SpooledRecording): Promise<void>;
  /**
   * Of a recording that has ended (`recording.end`): seals what is left, each segment marked in the spool as it is done.
   * The manifest is the caller's. Goes on through faults of the store.
   * @returns all segments of the recording, in order. @throws the signal's reason
   */
  seal(recording: SpooledRecording, signal: AbortSignal): Promise<readonly ManifestSegment[]>;
  /** For metrics and the condition. */
  readonly backlog: {
    /** Bytes of lines that the store does not have. */
    readonly bytes: number;
    /** Milliseconds since the oldest of them was written. */
    readonly age: number;
    /** Why the last attempt failed; undefined when it did not. */
    readonly fault: StorageError | undefined;
  };
  close(): Promise<void>;
}
