import { randomUUID } from 'node:crypto';
import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

const TEMPORARY = /^\.tmp-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** What a file is called until it is whole and gets its own name. */
export function temporaryName(): string {
  return `.tmp-${randomUUID()}`;
}

/** A file that is being written, or whose writer was killed; nothing else has such a name. */
export function isTemporary(name: string): boolean {
  return TEMPORARY.test(name);
}

/**
 * Removes what writers left that were killed: temporary files that were last touched before `before` (Unix milliseconds). What cannot be
 * looked at or removed is passed over: nobody reads it.
 */
export async function removeTemporaries(root: string, before: number, signal?: AbortSignal): Promise<void> {
  const pending = [root];
  for (let folder = pending.pop(); folder !== undefined && signal?.aborted !== true; folder = pending.pop()) {
    for (const entry of await readdir(folder, { withFileTypes: true }).catch(() => [])) {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) pending.push(path);
      else if (entry.isFile() && isTemporary(entry.name) && (await changedAt(path)) < before) {
        await rm(path, { force: true }).catch(() => {});
      }
    }
  }
}

/** By the kernel's word: the time of the content is set to the end of its retention before a file gets its name. */
function changedAt(path: string): Promise<number> {
  return stat(path).then(
    ({ ctimeMs }) => ctimeMs,
    () => Number.POSITIVE_INFINITY,
  );
}
