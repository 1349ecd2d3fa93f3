/** A line was longer than anything the API server sends: the stream is not what it should be. */
export class LineTooLongError extends RangeError {
  constructor(limit: number) {
    super(`a line over ${limit} bytes`);
    this.name = 'LineTooLongError';
  }
}

/**
 * Cuts a stream of bytes into lines and parses each as JSON, as the events of a watch come. It holds one unfinished
 * line of at most `limit` bytes, and never more.
 */
export class JsonLines {
  readonly #limit: number;
  #parts: Buffer[] = [];
  #held = 0;

  constructor(limit: number) {
    this.#limit = limit;
  }

  /**
   * @returns the values of the lines that this chunk ends, empty lines left out.
   * @throws LineTooLongError, or SyntaxError without any of the line's content in it.
   */
  *push(chunk: Buffer): Generator<unknown, void> {
    let start = 0;
    for (let end = chunk.indexOf(10); end !== -1; end = chunk.indexOf(10, start)) {
      const piece = chunk.subarray(start, end);
      start = end + 1;
      this.#bound(piece.length);
      const line = this.#parts.length === 0 ? piece : Buffer.concat([...this.#parts, piece]);
      this.#parts = [];
      this.#held = 0;
      if (line.length > 0) yield parse(line);
    }
    if (start === chunk.length) return;
    const rest = chunk.subarray(start);
    this.#bound(rest.length);
    this.#parts.push(rest);
    this.#held += rest.length;
  }

  #bound(more: number): void {
    if (this.#held + more > this.#limit) throw new LineTooLongError(this.#limit);
  }
}

function parse(line: Buffer): unknown {
  try {
    return JSON.parse(line.toString('utf8'));
  } catch {
    // V8's message quotes the text, which may be an object's content.
    throw new SyntaxError('a line that is not JSON');
  }
}
