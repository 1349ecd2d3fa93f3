/**
 * How many TokenReviews may be under way, and whose. Tokens that the cluster has signed may take all of it. The others
 * have a quarter (all of it while the cluster's keys are not known), and of that no one source more than a quarter, so
 * that nobody who makes tokens up takes the room of those who hold real ones.
 */
export class ReviewRoom {
  readonly #most: number;
  #underWay = 0;
  #unproven = 0;
  readonly #bySource = new Map<string, number>();

  /** @param most reviews at once */
  constructor(most: number) {
    this.#most = most;
  }

  /**
   * Takes a place for one review.
   * @param genuine the cluster's keys vouch for the token
   * @param keysKnown whether they could have
   * @param source the client's address; undefined where there is none
   * @returns what gives the place back; undefined when there is none
   */
  take(genuine: boolean, keysKnown: boolean, source: string | undefined): (() => void) | undefined {
    if (this.#underWay >= this.#most) return undefined;
    if (genuine) {
      this.#underWay += 1;
      return () => void (this.#underWay -= 1);
    }
    const share = keysKnown ? quarter(this.#most) : this.#most;
    const ofSource = source === undefined ? 0 : (this.#bySource.get(source) ?? 0);
    if (this.#unproven >= share || ofSource >= quarter(share)) return undefined;
    this.#underWay += 1;
    this.#unproven += 1;
    if (source !== undefined) this.#bySource.set(source, ofSource + 1);
    return () => {
      this.#underWay -= 1;
      this.#unproven -= 1;
      if (source === undefined) return;
      const left = this.#bySource.get(source)! - 1;
      if (left === 0) this.#bySource.delete(source);
      else this.#bySource.set(source, left);
    };
  }
}

function quarter(of: number): number {
  return Math.max(1, Math.floor(of / 4));
}
