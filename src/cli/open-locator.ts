import { FilesystemStorage } from '../recording/storage/filesystem.ts';
import { readLocator } from '../recording/storage/locator.ts';
import type { Storage } from '../recording/storage/storage.ts';
import { CommandError, type CommandIO } from './command-io.ts';

/**
 * Opens the store that a locator names. What a bucket needs is loaded for a bucket only: it takes longer than to look at a
 * recording in a folder, and each thread that verifies would load it again.
 * @throws CommandError where that is no locator of a store
 */
export async function openLocator(locator: string, io: Pick<CommandIO, 'stderr'>): Promise<Storage> {
  try {
    const located = readLocator(locator);
    if ('filesystem' in located) return new FilesystemStorage(located.filesystem.path);
    const { openBucket } = await import('./open-bucket.ts');
    return openBucket(located, io);
  } catch (error) {
    throw new CommandError(`--store: ${(error as Error).message}`, 2);
  }
}
