import { write } from 'node:fs';
import { type Sink, SinkError } from './sink.ts';

/** What a pipe takes whole or not at all (POSIX PIPE_BUF on Linux): so no line of the process's log falls into one of ours. */
const ATOMIC = 4_096;
const STDOUT = 1;

/**
 * Lines on standard output, for a node's log collector. Written in the thread pool: `process.stdout` waits for whoever reads a pipe,
 * and all requests would wait with it. A collector that does not read makes events wait on disk, like any receiver.
 */
export class StdoutSink implements Sink {
  readonly #fd: number;
  #under: Promise<void> | undefined;

  constructor(fd: number = STDOUT) {
    this.#fd = fd;
  }

  async send(events: readonly string[], signal: AbortSignal): Promise<number> {
    // A write cannot be taken back: while one hangs, no other is begun.
    this.#under ??= this.#write(events).finally(() => {
      this.#under = undefined;
    });
    const { promise, reject } = Promise.withResolvers<never>();
    const abort = (): void => reject(new SinkError('Later', 'standard output is not read'));
    signal.addEventListener('abort', abort, { once: true });
    try {
      await Promise.race([this.#under, promise]);
      return 0;
    } finally {
      signal.removeEventListener('abort', abort);
    }
  }

  async close(): Promise<void> {}

  async #write(events: readonly string[]): Promise<void> {
    let held: Buffer[] = [];
    let size = 0;
    const flush = async (): Promise<void> => {
      if (size > 0) await writeAll(this.#fd, Buffer.concat(held));
      held = [];
      size = 0;
    };
    for (const event of events) {
      const line = Buffer.from(`${event}\n`);
      if (size + line.length > ATOMIC) await flush();
      held.push(line);
      size += line.length;
    }
    await flush();
  }
}

async function writeAll(fd: number, bytes: Buffer): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    at += await new Promise<number>((resolve, reject) => {
      write(fd, bytes, at, bytes.length - at, null, (error, written) => {
        if (error === null) resolve(written);
        else if (error.code === 'EAGAIN') setTimeout(resolve, 20, 0);
        else reject(new SinkError('Later', `standard output: ${error.code}`));
      });
    });
  }
}
