import { readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { layout, manifestNumber, segmentNumber } from '../recording/segment.ts';
import { FilesystemStorage } from '../recording/storage/filesystem.ts';
import type { RecordingFiles } from '../recording/verify.ts';
import { storedFiles } from './stored-files.ts';

/**
 * Whether a folder is a recording's and no store's: what only a recording has is in it, or in folders of it. What else lies in a
 * recording's folder does not make it another thing.
 */
export function isRecordingFolder(folder: string): boolean {
  const entries = readdirSync(folder, { withFileTypes: true });
  if (entries.some(({ name }) => isPart(name))) return true;
  if (entries.some(({ name }) => `${name}/` === layout.recordings)) return false;
  return entries.some((entry) => entry.isDirectory() && readdirSync(join(folder, entry.name)).some(isPart));
}

function isPart(name: string): boolean {
  return manifestNumber(name) !== undefined || segmentNumber(name.replace(/\.open$/, '')) !== undefined;
}

/** A recording's folder, wherever it was copied to, read as a store reads one: what is no file there is none here. */
export async function recordingFolder(folder: string): Promise<RecordingFiles | undefined> {
  const path = resolve(folder);
  const name = basename(path);
  return await storedFiles(new FilesystemStorage(dirname(path)), name, `${name}/`);
}
