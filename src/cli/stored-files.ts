import { layout } from '../recording/segment.ts';
import type { Storage } from '../recording/storage/storage.ts';
import type { RecordingFiles } from '../recording/verify.ts';

/** A recording's files in a store; undefined where it has none of that name. */
export async function storedFiles(storage: Storage, name: string): Promise<RecordingFiles | undefined> {
  const prefix = layout.recording(name);
  const files: string[] = [];
  for await (const { key } of storage.list(prefix)) files.push(key.slice(prefix.length));
  if (files.length === 0) return undefined;
  return { name, list: async () => files, read: (file) => storage.get(prefix + file) };
}
