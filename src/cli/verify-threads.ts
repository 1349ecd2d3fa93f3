import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { VerifyReport } from '../recording/finding.ts';
import type { Storage } from '../recording/storage/storage.ts';
import { verifyStored } from '../recording/verify-joint.ts';
import { CommandError, type CommandIO } from './command-io.ts';
import { storedFiles } from './stored-files.ts';
import type { VerifyAnswer, VerifyTask } from './verify-thread.ts';

/** Recordings that are read at once where there is one thread: one is hashed while others come from the store, and are unpacked. */
const AHEAD = 3;
/** From so many recordings a thread on, one more is worth its start. */
const A_THREAD = 8;
const MOST_THREADS = 8;
const KIND = import.meta.url.endsWith('.ts') ? '.ts' : '.mjs';

export interface VerifyPlace {
  readonly storage: Storage;
  /** Undefined where the store cannot be opened a second time, as through a gateway with one sign-in. */
  readonly locator: string | undefined;
  readonly keys: VerifyTask['keys'];
  readonly io: Pick<CommandIO, 'stderr'>;
}

/** Unpacking, in the pool's threads, is a fifth of the work: no core is kept free for it. */
const threadsFor = (names: number): number =>
  Math.min(availableParallelism(), Math.floor(names / A_THREAD), MOST_THREADS);

/**
 * Verifies recordings of a store, several at once where the machine has the cores: a recording's hashes follow each other,
 * those of two do not.
 * @returns their reports in the order of `names` @throws CommandError where one is not there, or cannot be read
 */
export async function* verifyEach(
  names: readonly string[],
  place: VerifyPlace,
  threads = threadsFor(names.length),
): AsyncGenerator<VerifyReport> {
  const { storage, locator, keys } = place;
  if (locator !== undefined && threads > 1) {
    for await (const [name, report] of inThreads(names, threads, { locator, keys }, place.io)) {
      yield report ?? missing(name, storage);
    }
    return;
  }
  const verified = async (name: string): Promise<VerifyReport> => {
    const files = await storedFiles(storage, name);
    return files === undefined ? missing(name, storage) : await verifyStored(files, (id) => keys.get(id));
  };
  const ahead: Promise<VerifyReport>[] = [];
  const begin = (name: string | undefined): void => {
    if (name === undefined) return;
    const report = verified(name);
    // Whoever comes to it is told.
    report.catch(() => {});
    ahead.push(report);
  };
  try {
    for (let next = 0; next < names.length + AHEAD; next += 1) {
      begin(names[next]);
      if (next >= AHEAD - 1 && ahead.length > 0) yield await ahead.shift()!;
    }
  } finally {
    await Promise.allSettled(ahead);
  }
}

async function* inThreads(
  names: readonly string[],
  count: number,
  task: VerifyTask,
  io: Pick<CommandIO, 'stderr'>,
): AsyncGenerator<[string, VerifyReport | undefined]> {
  const answers = names.map(() => Promise.withResolvers<VerifyReport | undefined>());
  // Whoever waits for the first one is told; the rest was not asked for.
  for (const { promise } of answers) promise.catch(() => {});
  const fail = (error: Error): void => {
    for (const { reject } of answers) reject(error);
  };
  let next = 0;
  const workers = Array.from({ length: count }, () => {
    const worker = new Worker(new URL(`./verify-thread${KIND}`, import.meta.url), { workerData: task, name: 'verify' });
    let asked = 0;
    const ask = (): void => {
      asked = next++;
      if (asked < names.length) worker.postMessage(names[asked]);
    };
    worker.on('message', (answer: VerifyAnswer) => {
      if ('note' in answer) return io.stderr(answer.note);
      if ('failed' in answer) return fail(new CommandError(answer.failed));
      answers[asked]!.resolve(answer.report);
      ask();
    });
    worker.on('error', fail);
    worker.on('exit', () => fail(new Error('a thread that verifies has ended')));
    ask();
    return worker;
  });
  try {
    for (const [index, name] of names.entries()) yield [name, await answers[index]!.promise];
  } finally {
    await Promise.all(workers.map((worker) => worker.terminate()));
  }
}

function missing(name: string, storage: Storage): never {
  throw new CommandError(`there is no recording ${name} in ${storage.locator}`);
}
