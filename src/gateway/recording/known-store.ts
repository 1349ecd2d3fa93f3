import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Logger } from '../../observe/log.ts';
import type { Storage } from '../../recording/storage/storage.ts';
import { storeIdentity } from '../../recording/store-identity.ts';

const ASKED_AGAIN = 30_000;

/**
 * Which store this is, asked of it; kept beside the spool, since a store that is down is no reason to write a session into two
 * recordings. Until it was reached once, it is asked again.
 */
export async function knownStore(storage: Storage, spool: string, log: Logger): Promise<() => string | undefined> {
  const path = join(spool, 'store');
  const { locator } = storage;
  let known = await readFile(path, 'utf8').then(
    (text) => (text.startsWith(`${locator}\n`) ? text.slice(locator.length + 1).trim() : undefined),
    () => undefined,
  );
  const ask = async (): Promise<void> => {
    try {
      known = await storeIdentity(storage, AbortSignal.timeout(5_000));
      await writeFile(path, `${locator}\n${known}\n`, { mode: 0o600, flush: true });
    } catch (error) {
      if (known !== undefined) return;
      log.warn(
        { error },
        'the store does not say which one it is: until it does each replica writes its own recordings',
      );
      setTimeout(() => void ask(), ASKED_AGAIN).unref();
    }
  };
  await ask();
  return () => known;
}
