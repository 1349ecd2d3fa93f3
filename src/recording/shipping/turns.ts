/** One piece of work after another. */
export class Turns {
  #last: Promise<unknown> = Promise.resolve();

  /** Begins the work when all that was asked for before has ended, however it did. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#last.catch(() => {}).then(work);
    this.#last = next;
    return next;
  }

  /** Resolves when nothing is under way. */
  async settled(): Promise<void> {
    await this.#last.catch(() => {});
  }
}
