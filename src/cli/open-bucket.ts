import { recordingStorage } from '../config/recording-storage.ts';
import type { Located } from '../recording/storage/locator.ts';
import { openStorage } from '../recording/storage/open.ts';
import type { Storage } from '../recording/storage/storage.ts';
import type { CommandIO } from './command-io.ts';

/** Opens a bucket, and says where something was laid over what is sealed in it. @throws Error saying what is wrong with what was named */
export function openBucket(located: Located, io: Pick<CommandIO, 'stderr'>): Storage {
  const parsed = recordingStorage.safeParse(located);
  if (!parsed.success) {
    throw new Error(parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
  }
  const shadowed = new Set<string>();
  return openStorage(parsed.data, {
    onShadowed: (key) => {
      if (shadowed.has(key)) return;
      shadowed.add(key);
      io.stderr(`note: something was laid over ${JSON.stringify(key)} in the store; the sealed object is read\n`);
    },
  });
}
