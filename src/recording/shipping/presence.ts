import type { Spool } from '../spool/spool.ts';
import type { Storage } from '../storage/storage.ts';
import { writeAnnouncement } from './announcement.ts';
import type { SealOrder } from './seal-order.ts';
import { Turns } from './turns.ts';

export interface PresenceOptions {
  readonly storage: Storage;
  readonly spool: Spool;
  readonly replica: string;
  readonly order: SealOrder;
  readonly signal: AbortSignal;
  /** Milliseconds of silence after which others may have sealed what is open here. */
  readonly trustedFor: number;
  /** Recordings of which a chain ended here, and that nobody has sealed yet. */
  readonly joining: () => Iterable<string>;
  /** This replica was not heard for longer than that. */
  readonly onSilence: () => void;
}

/** What this replica says of itself in the store: that it lives, what it has open, what it sealed last. */
export class Presence {
  readonly #options: PresenceOptions;
  #said: ReadonlySet<string> = new Set();
  #heard = performance.now();
  readonly #turns = new Turns();
  /** Asked for, and not begun. */
  #next: Promise<void> | undefined;

  constructor(options: PresenceOptions) {
    this.#options = options;
  }

  /** Whether others can know that this recording is open here. */
  hasSaid(recording: string): boolean {
    return this.#said.has(recording);
  }

  /** Writes what is open now; all who ask while one is under way wait for the next, which is one for them all. @throws StorageError */
  announce(): Promise<void> {
    this.#next ??= this.#turns.inTurn(() => {
      this.#next = undefined;
      return this.#write();
    });
    return this.#next;
  }

  /** Resolves when nothing is under way. */
  settled(): Promise<void> {
    return this.#turns.settled();
  }

  async #write(): Promise<void> {
    const { storage, replica, spool, order, signal, trustedFor, onSilence } = this.#options;
    const recordings = [...spool.recordings].map(({ identity }) => identity.name);
    const joining = [...this.#options.joining()];
    const said = { replica, recordings, ...(joining.length > 0 && { joining }), lastSealed: order.last };
    await writeAnnouncement(storage, said, signal);
    this.#said = new Set(recordings);
    if (performance.now() - this.#heard > trustedFor) onSilence();
    this.#heard = performance.now();
  }
}
