/** What was hidden in an object, and what stands there now: a Table's cells may repeat it. */
export class MaskedValues {
  /** Text of a hidden value, by which a cell is compared; and what is to be read in its place. */
  readonly #shown = new Map<string, string | undefined>();

  /** @param before @param after the same object, masked; both as JSON */
  constructor(before: Buffer, after: Buffer) {
    if (before !== after) this.#compare(JSON.parse(before.toString()), JSON.parse(after.toString()));
  }

  get size(): number {
    return this.#shown.size;
  }

  /** Whether a cell equals a hidden value, or contains one of at least four characters. */
  isRepeatedBy(cell: string): boolean {
    if (this.#shown.has(cell)) return true;
    for (const value of this.#shown.keys()) if (value.length >= SHORTEST && cell.includes(value)) return true;
    return false;
  }

  /** What the object itself shows for a cell that is a hidden value as a whole. */
  shownFor(cell: string): string | undefined {
    return this.#shown.get(cell);
  }

  #compare(before: unknown, after: unknown): void {
    if (typeof before === 'object' && before !== null) {
      const now = typeof after === 'object' && after !== null ? (after as Record<string, unknown>) : {};
      for (const [key, value] of Object.entries(before)) this.#compare(value, now[key]);
    } else if (before !== after && typeof before !== 'boolean' && before !== null) {
      this.#add(String(before), typeof after === 'string' ? after : undefined);
    }
  }

  #add(value: string, shown: string | undefined): void {
    if (value === '') return;
    this.#shown.set(value, shown);
    const decoded = /^[A-Za-z0-9+/]{4,}={0,2}$/.test(value) ? Buffer.from(value, 'base64').toString() : '';
    if (decoded !== '') this.#shown.set(decoded, undefined);
    // Of a text in which only a part was hidden, that part.
    const part = shown === undefined ? '' : difference(value, shown);
    if (part.length >= SHORTEST && part !== value) this.#shown.set(part, undefined);
  }
}

const SHORTEST = 4;

/** What of a text is not the beginning or the end of another. */
function difference(text: string, other: string): string {
  const most = Math.min(text.length, other.length);
  let start = 0;
  while (start < most && text[start] === other[start]) start++;
  let end = 0;
  while (end < most - start && text[text.length - 1 - end] === other[other.length - 1 - end]) end++;
  return text.slice(start, text.length - end);
}
