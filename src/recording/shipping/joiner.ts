import type { JointManifest } from '../joint-manifest.ts';
import type { SigningKey } from '../signing-key.ts';
import type { Spool } from '../spool/spool.ts';
import type { Storage } from '../storage/storage.ts';
import { type FoundAnnouncement, readAnnouncements } from './announcement.ts';
import { sealJoint } from './joining.ts';
import type { SealOrder } from './seal-order.ts';

export interface JoinerOptions {
  readonly storage: Storage;
  readonly spool: Spool;
  readonly replica: string;
  readonly retention: number | undefined;
  readonly key: () => SigningKey;
  readonly order: SealOrder;
  readonly signal: AbortSignal;
  /** Says in the store what is open here. */
  readonly announce: () => Promise<void>;
  readonly onJoined: (manifest: JointManifest, manifestSHA256: string) => void;
  readonly onFailed: (error: Error) => void;
}

/** Seals recordings of several chains when the last of them has ended. */
export class Joiner {
  readonly #options: JoinerOptions;
  /** Recordings of which a chain ended here; whether it was the last is to be seen. The mark tells a chain that ended meanwhile. */
  readonly #due = new Map<string, symbol>();
  #run: Promise<void> | undefined;

  constructor(options: JoinerOptions) {
    this.#options = options;
  }

  /** A chain of this recording has ended here, or with a replica that is gone. */
  add(recording: string): void {
    this.#due.set(recording, Symbol());
  }

  get due(): Iterable<string> {
    return this.#due.keys();
  }

  /**
   * Seals each recording whose last chain has ended. First this replica says that it has none of it open any more, then it looks who
   * has: so of two that end at once the second one at least sees that nobody has. Never throws: what fails is tried again.
   */
  async join(): Promise<void> {
    while (this.#run !== undefined) await this.#run;
    if (this.#due.size === 0) return;
    const { signal, onFailed } = this.#options;
    this.#run = this.#all()
      .catch((error: unknown) => {
        if (!signal.aborted) onFailed(error as Error);
      })
      .finally(() => {
        this.#run = undefined;
      });
    await this.#run;
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#run;
  }

  async #all(): Promise<void> {
    const { storage, signal, announce } = this.#options;
    const due = [...this.#due];
    await announce();
    const announced = await readAnnouncements(storage, signal);
    for (const [recording, mark] of due) {
      await this.#one(recording, announced);
      if (this.#due.get(recording) === mark) this.#due.delete(recording);
    }
  }

  async #one(recording: string, announced: readonly FoundAnnouncement[]): Promise<void> {
    const { storage, spool, replica, retention, key, order, signal, onJoined } = this.#options;
    const open = announced.some(({ recordings }) => recordings.some((name) => isChainOf(name, recording)));
    // Whoever has one open looks for itself when it has ended, or whoever seals for it.
    if (open || [...spool.recordings].some(({ identity }) => isChainOf(identity.name, recording))) return;
    const sealed = await order.inTurn(async () => {
      const options = { storage, key: key(), replica, retention, predecessor: order.last, signal };
      const done = await sealJoint(recording, options);
      if (done !== undefined) order.last = { name: recording, sha256: done.sha256 };
      return done;
    });
    if (sealed !== undefined) onJoined(sealed.manifest, sealed.sha256);
  }
}

function isChainOf(name: string, recording: string): boolean {
  return name.startsWith(`${recording}.`);
}
