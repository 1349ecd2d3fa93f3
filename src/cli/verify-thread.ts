import type { KeyObject } from 'node:crypto';
import { parentPort, workerData } from 'node:worker_threads';
import type { VerifyReport } from '../recording/finding.ts';
import { StorageError } from '../recording/storage/storage.ts';
import { verifyStored } from '../recording/verify-joint.ts';
import { openLocator } from './open-locator.ts';
import { storedFiles } from './stored-files.ts';

/** What a thread is started with. */
export interface VerifyTask {
  readonly locator: string;
  readonly keys: ReadonlyMap<string, KeyObject>;
}

/** What it says: a report of the name it was given (undefined: there is no such recording), why it has none, or a note on the way. */
export type VerifyAnswer =
  | { readonly report: VerifyReport | undefined }
  | { readonly failed: string }
  | { readonly note: string };

/** Runs in a thread of its own (verify-threads.ts): one name, one report. */
if (parentPort !== null) {
  const port = parentPort;
  const say = (answer: VerifyAnswer): void => port.postMessage(answer);
  const { locator, keys } = workerData as VerifyTask;
  const storage = await openLocator(locator, { stderr: (note) => say({ note }) });
  port.on('message', async (name: string) => {
    try {
      const files = await storedFiles(storage, name);
      say({ report: files && (await verifyStored(files, (id) => keys.get(id))) });
    } catch (error) {
      // Anything else is a fault of ours: it ends the thread, and is told with its stack.
      if (!(error instanceof StorageError)) throw error;
      say({ failed: error.message });
    }
  });
}
