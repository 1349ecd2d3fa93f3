import {
  type FileHandle,
  mkdir,
  open,
  readdir,
  readFile,
  rename,
  stat,
  truncate,
  unlink,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';

export interface OutboxOptions {
  readonly folder: string;
  /** Bytes that may wait on disk; beyond, new events are dropped, and counted. */
  readonly maxBytes: number;
  readonly onDropped: (events: number) => void;
}

export interface Batch {
  readonly events: readonly string[];
  /** They are delivered: they will not be given again. */
  done(): Promise<void>;
}

/** Bytes of one file; a file goes when all in it is delivered. */
const FILE_BYTES = 4 << 20;
/** Milliseconds for which events are gathered in memory before one write takes all of them. */
const GATHERED_FOR = 20;
/** Bytes in memory while the disk is slow. */
const MAX_GATHERED = 8 << 20;
const NEWLINE = 0x0a;

/**
 * Events that wait for a receiver, on disk: bounded, in their order, kept over a restart. Taking an event never waits; what cannot be
 * kept any more is dropped and counted, and the recording has it all the same.
 */
export class Outbox {
  readonly #options: OutboxOptions;
  /** Numbers of the files, the oldest first; the last one is written to. */
  #files: number[];
  /** Where the receiver is: in the oldest file. */
  #offset: number;
  #size: number;
  #waiting: string[] = [];
  #waitingBytes = 0;
  #timer: NodeJS.Timeout | undefined;
  #file: FileHandle | undefined;
  #fileBytes: number;
  #writing: Promise<void> = Promise.resolve();
  #more = Promise.withResolvers<void>();
  #oldest: number | undefined;

  private constructor(options: OutboxOptions, files: number[], offset: number, size: number, fileBytes: number) {
    this.#options = options;
    this.#files = files;
    this.#offset = offset;
    this.#size = size;
    this.#fileBytes = fileBytes;
    if (size > 0) this.#oldest = performance.now();
  }

  /** Takes up what a former process left. @throws Error where the folder cannot be used */
  static async open(options: OutboxOptions): Promise<Outbox> {
    const { folder } = options;
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const files = (await readdir(folder))
      .map((name) => Number(/^(\d{10})\.jsonl$/.exec(name)?.[1] ?? Number.NaN))
      .filter((number) => Number.isInteger(number))
      .sort((a, b) => a - b);
    const cursor = await readCursor(join(folder, 'cursor.json'));
    const left = files.filter((number) => number >= cursor.file);
    for (const number of files) if (number < cursor.file) await unlink(join(folder, nameOf(number)));
    let size = 0;
    let last = 0;
    for (const number of left) {
      const path = join(folder, nameOf(number));
      last = (await stat(path)).size;
      // A write that was cut off: the event is not whole.
      const whole = await wholeLines(path, last);
      if (whole < last) await truncate(path, whole);
      last = whole;
      size += whole;
    }
    const offset = left[0] === cursor.file ? Math.min(cursor.offset, size) : 0;
    // What is written from now on goes into a new file.
    return new Outbox(options, [...left, (left.at(-1) ?? cursor.file) + 1], offset, size - offset, 0);
  }

  /** Takes an event: one line, without its end. Never waits. */
  offer(event: string): void {
    const bytes = event.length + 1;
    if (this.#size + this.#waitingBytes + bytes > this.#options.maxBytes || this.#waitingBytes > MAX_GATHERED) {
      this.#options.onDropped(1);
      return;
    }
    this.#waiting.push(event);
    this.#waitingBytes += bytes;
    this.#timer ??= setTimeout(() => void this.flush(), GATHERED_FOR).unref();
  }

  /** Bytes that wait for the receiver. */
  get bytes(): number {
    return this.#size + this.#waitingBytes;
  }

  /** Milliseconds since the receiver last had everything; 0 while it has. */
  get behind(): number {
    return this.#oldest === undefined ? 0 : performance.now() - this.#oldest;
  }

  /** Writes what is in memory. Never rejects. */
  flush(): Promise<void> {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    this.#writing = this.#writing.then(() => this.#write());
    return this.#writing;
  }

  /** The next events, at most so many and so large; waits until there are some, or the signal aborts (then none). */
  async next(most: number, mostBytes: number, signal: AbortSignal): Promise<Batch | undefined> {
    const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
    while (!signal.aborted) {
      const more = this.#more.promise;
      const batch = await this.#read(most, mostBytes);
      if (batch !== undefined) return batch;
      this.#oldest = undefined;
      await Promise.race([more, aborted]);
    }
    return undefined;
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#file?.close();
    this.#file = undefined;
  }

  async #write(): Promise<void> {
    const events = this.#waiting;
    if (events.length === 0) return;
    const bytes = Buffer.from(`${events.join('\n')}\n`);
    const reserved = this.#waitingBytes;
    this.#waiting = [];
    let failed = false;
    try {
      const number = this.#files.at(-1)!;
      this.#file ??= await open(join(this.#options.folder, nameOf(number)), 'a', 0o600);
      await this.#file.appendFile(bytes);
      this.#size += bytes.length;
      this.#fileBytes += bytes.length;
      this.#oldest ??= performance.now();
    } catch {
      // Part of it may be there, whole lines too: it goes, so that nothing is both counted as dropped and sent.
      this.#options.onDropped(events.length);
      await this.#file?.truncate(this.#fileBytes).catch(() => {});
      failed = true;
    }
    this.#waitingBytes -= reserved;
    if (failed || this.#fileBytes >= FILE_BYTES) await this.#nextFile();
    this.#more.resolve();
    this.#more = Promise.withResolvers<void>();
  }

  async #nextFile(): Promise<void> {
    await this.#file?.close().catch(() => {});
    this.#file = undefined;
    this.#fileBytes = 0;
    this.#files.push(this.#files.at(-1)! + 1);
  }

  async #read(most: number, mostBytes: number): Promise<Batch | undefined> {
    for (;;) {
      const number = this.#files[0]!;
      const written = number === this.#files.at(-1);
      // Of a file that is still written to, only what a write that ended well has put there.
      const length = written ? Math.min(mostBytes, this.#fileBytes - this.#offset) : mostBytes;
      const bytes = await readFrom(join(this.#options.folder, nameOf(number)), this.#offset, length);
      const events: string[] = [];
      let end = 0;
      for (let at = bytes.indexOf(NEWLINE); at !== -1 && events.length < most; at = bytes.indexOf(NEWLINE, end)) {
        events.push(bytes.toString('utf8', end, at));
        end = at + 1;
      }
      if (end > 0) return { events, done: () => this.#delivered(number, end) };
      if (bytes.length >= mostBytes) {
        mostBytes *= 4;
        continue;
      }
      // Asked before the read: what was written during it has not been seen.
      if (written) return undefined;
      this.#files.shift();
      this.#size = Math.max(0, this.#size - bytes.length);
      this.#offset = 0;
      await this.#keepCursor();
      await unlink(join(this.#options.folder, nameOf(number))).catch(() => {});
    }
  }

  async #delivered(number: number, bytes: number): Promise<void> {
    if (this.#files[0] !== number) return;
    this.#offset += bytes;
    this.#size -= bytes;
    await this.#keepCursor();
  }

  async #keepCursor(): Promise<void> {
    const path = join(this.#options.folder, 'cursor.json');
    // Without it events are sent once more after a restart; their ids tell.
    await writeFile(`${path}.new`, JSON.stringify({ file: this.#files[0], offset: this.#offset }), { mode: 0o600 })
      .then(() => rename(`${path}.new`, path))
      .catch(() => {});
  }
}

function nameOf(number: number): string {
  return `${String(number).padStart(10, '0')}.jsonl`;
}

async function readCursor(path: string): Promise<{ file: number; offset: number }> {
  try {
    const { file, offset } = JSON.parse(await readFile(path, 'utf8')) as { file: unknown; offset: unknown };
    if (Number.isSafeInteger(file) && Number.isSafeInteger(offset) && Number(offset) >= 0) {
      return { file: Number(file), offset: Number(offset) };
    }
  } catch {
    // None yet, or not whole: from the oldest that is there.
  }
  return { file: 0, offset: 0 };
}

async function wholeLines(path: string, size: number): Promise<number> {
  const tail = await readFrom(path, Math.max(0, size - (1 << 20)), 1 << 20);
  const end = tail.lastIndexOf(NEWLINE);
  return end === -1 ? (tail.length === 0 ? size : Math.max(0, size - tail.length)) : size - tail.length + end + 1;
}

async function readFrom(path: string, offset: number, length: number): Promise<Buffer> {
  if (length <= 0) return Buffer.alloc(0);
  let file: FileHandle;
  try {
    file = await open(path, 'r');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0);
    throw error;
  }
  try {
    const { buffer, bytesRead } = await file.read(Buffer.allocUnsafe(length), 0, length, offset);
    return buffer.subarray(0, bytesRead);
  } finally {
    await file.close();
  }
}
