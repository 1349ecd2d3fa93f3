import { randomUUID } from 'node:crypto';
import { link, mkdir, readFile, readlink, rename, stat, unlink, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** A holder touches its lock; one that has not for this long is dead, or cut off from its disk. */
const DEAD_AFTER = 10_000;
const TOUCH_EVERY = 2_000;

interface Holder {
  readonly id: string;
  readonly host: string;
  readonly pid: number;
  /** PID namespace and the process's start, by which a number that was given again is told apart; '' off Linux. */
  readonly namespace: string;
  readonly started: string;
}

/** Another process writes into this spool. */
export class SpoolLocked extends Error {}

/** One spool, one writer: two would tear each other's chains. */
export class SpoolLock {
  readonly #path: string;
  readonly #id: string;
  readonly #timer: NodeJS.Timeout;
  #onLost: () => void = () => {};

  private constructor(path: string, id: string) {
    this.#path = path;
    this.#id = id;
    this.#timer = setInterval(() => void this.#touch(), TOUCH_EVERY).unref();
  }

  /**
   * Takes the lock; waits long enough to see whether a holder is alive.
   * @throws SpoolLocked naming the holder
   */
  static async take(folder: string): Promise<SpoolLock> {
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const path = join(folder, 'lock');
    const holder = await ourselves();
    const own = `${path}.${holder.id}`;
    await writeFile(own, JSON.stringify(holder), { mode: 0o600, flag: 'wx' });
    try {
      const deadline = performance.now() + DEAD_AFTER + TOUCH_EVERY;
      for (;;) {
        const now = new Date();
        await utimes(own, now, now);
        if (await tryLink(own, path)) return new SpoolLock(path, holder.id);
        if (await isDead(path)) await moveAside(path, `${own}.dead`);
        else if (performance.now() > deadline) throw new SpoolLocked(await describeHolder(path, folder));
        else await sleep(100);
      }
    } finally {
      await unlink(own).catch(() => {});
    }
  }

  /** Told when another process has taken the lock: whoever stood still for so long must write no more. */
  onLost(act: () => void): void {
    this.#onLost = act;
  }

  async release(): Promise<void> {
    clearInterval(this.#timer);
    const holder = await readHolder(this.#path);
    if (holder?.id === this.#id) await unlink(this.#path).catch(() => {});
  }

  async #touch(): Promise<void> {
    const holder = await readHolder(this.#path);
    if (holder !== undefined && holder.id !== this.#id) {
      clearInterval(this.#timer);
      this.#onLost();
      return;
    }
    const now = new Date();
    await utimes(this.#path, now, now).catch(() => {});
  }
}

async function ourselves(): Promise<Holder> {
  const [namespace, started] = await Promise.all([namespaceOf(process.pid), startOf(process.pid)]);
  return { id: randomUUID(), host: hostname(), pid: process.pid, namespace, started };
}

async function namespaceOf(pid: number): Promise<string> {
  return await readlink(`/proc/${pid}/ns/pid`).catch(() => '');
}

/** Start of a process in ticks since boot, field 22 of proc(5) stat; the name before it may hold anything. */
async function startOf(pid: number): Promise<string> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '');
  return text.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? '';
}

async function readHolder(path: string): Promise<Holder | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Holder;
  } catch {
    return undefined;
  }
}

/** A hard link is made or refused at once, and the lock never exists without its holder's name inside. */
async function tryLink(own: string, path: string): Promise<boolean> {
  try {
    await link(own, path);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

async function isDead(path: string): Promise<boolean> {
  const [holder, age] = await Promise.all([
    readHolder(path),
    stat(path).then(
      ({ mtimeMs }) => Date.now() - mtimeMs,
      () => 0,
    ),
  ]);
  // A clock that jumped backwards makes a lock look young: then its holder is waited for, and named.
  if (age > DEAD_AFTER) return true;
  if (holder === undefined) return false;
  const { pid, namespace, started, host } = holder;
  if (host !== hostname() || namespace === '' || namespace !== (await namespaceOf(process.pid))) return false;
  return (await startOf(pid)) !== started;
}

/** Two who wait may see the same dead holder: what was moved aside is looked at again. */
async function moveAside(path: string, aside: string): Promise<void> {
  try {
    await rename(path, aside);
  } catch {
    return;
  }
  if (!(await isDead(aside))) await link(aside, path).catch(() => {});
  await unlink(aside).catch(() => {});
}

async function describeHolder(path: string, folder: string): Promise<string> {
  const holder = await readHolder(path);
  const who = holder === undefined ? 'another process' : `process ${holder.pid} on ${holder.host}`;
  return `the spool ${folder} belongs to ${who}, which is alive: every replica needs a spool of its own`;
}
