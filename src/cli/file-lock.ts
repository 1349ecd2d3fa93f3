import {
  linkSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A holder shows that it lives by touching its lock; one that has not for this long is taken to be dead. */
const DEAD_AFTER = 20_000;
const TOUCH_EVERY = 4_000;

/**
 * Runs `work` while no other process of this machine runs one under the same lock file. A lock whose holder died is
 * taken over.
 * @param limit milliseconds to wait for the lock. @throws Error when it was not to be had in time.
 */
export async function withLock<T>(path: string, limit: number, work: () => Promise<T>): Promise<T> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const own = `${path}.${process.pid}.${crypto.randomUUID()}`;
  writeFileSync(own, String(process.pid), { mode: 0o600, flag: 'wx' });
  const deadline = performance.now() + limit;
  try {
    while (!tryLink(own, path)) {
      if (isDead(path)) removeStale(path, own);
      else if (performance.now() > deadline) throw new Error(`another process holds ${path} for too long`);
      else await sleep(30 + Math.random() * 70);
    }
    const touch = setInterval(() => touchQuietly(path), TOUCH_EVERY);
    try {
      return await work();
    } finally {
      clearInterval(touch);
      removeQuietly(path);
    }
  } finally {
    removeQuietly(own);
  }
}

/** A hard link is made or refused atomically, and the lock never exists without its holder's name inside. */
function tryLink(own: string, path: string): boolean {
  try {
    touchQuietly(own);
    linkSync(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function isDead(path: string): boolean {
  try {
    if (Date.now() - statSync(path).mtimeMs > DEAD_AFTER) return true;
    const pid = Number(readFileSync(path, 'utf8'));
    if (!Number.isInteger(pid) || pid <= 0) return false;
    process.kill(pid, 0);
    return false;
  } catch (error) {
    // ENOENT: just released. EPERM: it lives, under another user.
    return (error as NodeJS.ErrnoException).code === 'ESRCH';
  }
}

/** Two waiters may see the same dead holder; what was moved aside is looked at again before it is thrown away. */
function removeStale(path: string, own: string): void {
  const aside = `${own}.stale`;
  try {
    renameSync(path, aside);
  } catch {
    return;
  }
  if (!isDead(aside)) {
    try {
      linkSync(aside, path);
    } catch {
      // Someone else has it by now; both may run once, which costs a second sign-in and nothing else.
    }
  }
  removeQuietly(aside);
}

function touchQuietly(path: string): void {
  try {
    const now = new Date();
    utimesSync(path, now, now);
  } catch {
    // Gone: someone took it for dead.
  }
}

function removeQuietly(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Gone already.
  }
}
