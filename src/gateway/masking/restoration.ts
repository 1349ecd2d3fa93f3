import { boundTo, type WrittenBack } from '../../masking/write-back/write-back.ts';
import type { Body } from '../../request/body.ts';
import { writeJson } from '../../request/json.ts';

/** How often an object may change between the read of what is put back and the write. */
const MAX_CONFLICTS = 3;

export interface RestorationOptions {
  /** As the client sent it. */
  readonly asked: Body;
  /** Reads the object again, and puts back what is there now. */
  readonly refresh: () => Promise<void>;
  /** Counts a new value over a masked one, when it goes upstream. */
  readonly takeLiteral: () => void;
}

/** What became of the placeholders in one request's body. */
export class Restoration {
  /**
   * The body as the client sent it, with placeholders: what digests are made of (the same command has the same one, whatever the
   * values are now) and what is shown and recorded.
   */
  readonly asked: Body;
  /** Texts that got a value back. */
  restored = 0;
  #written: WrittenBack | undefined;
  #conflicts = 0;
  #literalTaken = false;
  readonly #options: RestorationOptions;

  constructor(options: RestorationOptions) {
    this.asked = options.asked;
    this.#options = options;
  }

  /** Whether a new value over a masked one was counted already. */
  get isCounted(): boolean {
    return this.#literalTaken;
  }

  found(written: WrittenBack): void {
    this.#written = written;
    this.restored = written.restored;
  }

  /** The revision of the object that the values were read from, where the write has to be bound to it. */
  get revision(): string | undefined {
    return this.#written?.revision;
  }

  /** What goes upstream, bound to the revision; undefined where the body needs no binding. */
  bound(): Buffer | undefined {
    const { revision, tree } = this.#written ?? {};
    return revision === undefined || tree === undefined ? undefined : Buffer.from(writeJson(boundTo(revision, tree)));
  }

  /** The first byte is about to go upstream. @throws SallyportError SP_MASKING_LITERAL_LIMIT */
  forwarding(): void {
    if (this.#literalTaken || (this.#written?.literals.length ?? 0) === 0) return;
    this.#options.takeLiteral();
    this.#literalTaken = true;
  }

  /** Whether an answer says that the object changed meanwhile: then nothing was done, and all of it is done again. */
  repeats(status: number): boolean {
    if (status !== 409 || this.revision === undefined || this.#conflicts >= MAX_CONFLICTS) return false;
    this.#conflicts++;
    return true;
  }

  /** @throws SallyportError where it cannot be put back any more */
  async refresh(): Promise<void> {
    const before = this.revision;
    await this.#options.refresh();
    // It is the same revision: the conflict is about something else (who owns a field), and the client's to see.
    if (this.revision === before) this.#conflicts = MAX_CONFLICTS;
  }
}
