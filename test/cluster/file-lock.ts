import { linkSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isRunning, type ProcessRecord, recordOf } from './process-record.ts';

/**
 * Runs `work` while holding a lock file, so that two processes never build the same thing at once. A lock whose
 * holder has died is taken over; a waiting process says once what it waits for.
 */
export async function withFileLock<T>(
  path: string,
  what: string,
  say: (line: string) => void,
  work: () => Promise<T>,
): Promise<T> {
  mkdirSync(dirname(path), { recursive: true });
  const own = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  writeFileSync(own, JSON.stringify(recordOf(what, process.pid)));
  try {
    let told = false;
    while (!tryLink(own, path)) {
      const holder = readHolder(path);
      if (holder !== undefined && isRunning(holder)) {
        if (!told) say(`waiting for process ${holder.pid}, which is busy with ${holder.name}`);
        told = true;
        await sleep(300);
      } else {
        removeStale(path, holder, own);
      }
    }
    sweep(path);
    try {
      return await work();
    } finally {
      unlinkSync(path);
    }
  } finally {
    unlinkSync(own);
  }
}

/** A hard link is made or refused atomically, and the lock never exists without its holder's name inside. */
function tryLink(own: string, path: string): boolean {
  try {
    linkSync(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function readHolder(path: string): ProcessRecord | undefined {
  try {
    return JSON.parse(readFileSync(path, 'utf8')) as ProcessRecord;
  } catch {
    return undefined;
  }
}

/** Files of processes that were killed while they waited or worked. */
function sweep(path: string): void {
  for (const name of readdirSync(dirname(path)).filter((each) => each.startsWith(`${basename(path)}.`))) {
    const left = join(dirname(path), name);
    const record = readHolder(left);
    if (record !== undefined && !isRunning(record)) rmSync(left, { force: true });
  }
}

/** Two waiters may see the same dead holder; moving the lock aside first shows whether it was still that one. */
function removeStale(path: string, dead: ProcessRecord | undefined, own: string): void {
  const aside = `${own}.stale`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  const moved = readHolder(aside);
  if (moved !== undefined && moved.pid !== dead?.pid && isRunning(moved)) tryLink(aside, path);
  unlinkSync(aside);
}
