import { layout, manifestNumber } from '../recording/segment.ts';
import type { Storage } from '../recording/storage/storage.ts';
import type { RecordingFiles } from '../recording/verify.ts';

/**
 * A recording's files in a store; undefined where it has none of that name.
 * @param folder of it below the store's root
 */
export async function storedFiles(
  storage: Storage,
  name: string,
  folder = layout.recording(name),
): Promise<RecordingFiles | undefined> {
  const files: string[] = [];
  for await (const { key } of storage.list(folder)) files.push(key.slice(folder.length));
  const open: string[] = [];
  // What is sealed and of one replica has no open segment: a store far away is not asked for nothing.
  if (!files.some((file) => manifestNumber(file) !== undefined) || files.some((file) => file.includes('/'))) {
    for await (const key of storage.listOpen(folder)) open.push(key.slice(folder.length));
  }
  if (files.length === 0 && open.length === 0) return undefined;
  return { name, list: async () => files, listOpen: async () => open, read: (file) => storage.get(folder + file) };
}
