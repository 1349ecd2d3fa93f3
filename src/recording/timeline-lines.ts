import type { Line } from './line.ts';
import type { Storage } from './storage/storage.ts';
import { chainLines, contentOf, type NumberedLine, readJointManifest } from './stored-recording.ts';

/**
 * Every line of a recording, sealed or still open. Where several replicas wrote it their chains are one timeline: by the lines' times,
 * and within a chain always in its order, whatever the clock said. Hashes are not checked: `verify` does that.
 * @throws StorageError, BrokenFrame, Error where something is there that is no line
 */
export async function* linesOf(
  storage: Storage,
  recording: string,
  signal?: AbortSignal,
): AsyncGenerator<NumberedLine> {
  const { chains, manifests } = await contentOf(storage, recording, signal);
  if (chains.size === 0) {
    yield* chainLines(storage, recording, signal);
    return;
  }
  const last = manifests.at(-1);
  const sealed = last === undefined ? undefined : await readJointManifest(storage, recording, last, signal);
  const starts = new Map(sealed?.manifest.chains.map(({ name, startTime }) => [name, startTime]));
  const sources = [...chains.keys()].map(
    (chain) => new ChainSource(chain, starts.get(chain) ?? '', chainLines(storage, `${recording}.${chain}`, signal)),
  );
  try {
    yield* merged(sources);
  } finally {
    await Promise.all(sources.map((source) => source.close()));
  }
}

/** One chain with the line that is next. */
class ChainSource {
  readonly chain: string;
  /** Of the next line, never before that of the one before it; of a chain that was not begun, when it began. */
  time: string;
  next: NumberedLine | undefined;
  begun = false;
  readonly #lines: AsyncGenerator<NumberedLine>;

  constructor(chain: string, startTime: string, lines: AsyncGenerator<NumberedLine>) {
    this.chain = chain;
    this.time = startTime;
    this.#lines = lines;
  }

  async advance(): Promise<void> {
    this.begun = true;
    const { value, done } = await this.#lines.next();
    this.next = done === true ? undefined : { ...value, chain: this.chain };
    if (this.next === undefined) return;
    const time = timeOf(this.next.line);
    if (time > this.time) this.time = time;
  }

  async close(): Promise<void> {
    await this.#lines.return(undefined);
  }
}

/** A chain is read from the time on that it began at: of a hundred that follow each other few are held at once. */
async function* merged(sources: readonly ChainSource[]): AsyncGenerator<NumberedLine> {
  const left = new Set(sources);
  while (left.size > 0) {
    let first: ChainSource | undefined;
    for (const source of left) {
      if (
        first === undefined ||
        source.time < first.time ||
        (source.time === first.time && source.chain < first.chain)
      ) {
        first = source;
      }
    }
    if (first!.begun) yield first!.next!;
    await first!.advance();
    if (first!.next === undefined) left.delete(first!);
  }
}

function timeOf(line: Line): string {
  return line.kind === 'Event' ? line.stageTimestamp : line.time;
}
