import { statfs } from 'node:fs/promises';

/**
 * Larger ones wait in the thread pool, whatever the disk is. What a stream gathers while it waits is less: written at once it takes
 * a quarter of a millisecond, less than the lines that hold it take to be made.
 */
const MOST = 384 << 10;
/** Milliseconds that a write into the kernel's cache takes at most, the wait for a core included. */
const SLOW = 20;
/** Milliseconds for which a disk that was slow is left to the thread pool; a disk that stalled, a hundred times its stall. */
const REST = 10_000;

/** By statfs(2): file systems of this machine's own disks, whose writes end in the kernel's cache. Not NFS, not FUSE. */
const LOCAL: ReadonlySet<number> = new Set([
  0xef53, // ext2, 3, 4
  0x58465342, // XFS
  0x9123683e, // btrfs
  0x01021994, // tmpfs
  0x794c7630, // overlay
  0xf2f52010, // F2FS
  0x2fc12fc1, // ZFS
]);

/**
 * Whether a write may be made at once, in this thread. Into the kernel's cache a small one takes some microseconds, where the way
 * through the thread pool takes a tenth of a request's CPU and, on a busy machine, milliseconds of its time. A disk that
 * is slow holds up this thread once, and is then left to the pool.
 */
export class WriteThrough {
  readonly #local: boolean;
  #restsUntil = 0;

  private constructor(local: boolean) {
    this.#local = local;
  }

  static async on(folder: string): Promise<WriteThrough> {
    const { type } = await statfs(folder);
    return new WriteThrough(LOCAL.has(type));
  }

  allows(bytes: number): boolean {
    return this.#local && bytes <= MOST && performance.now() >= this.#restsUntil;
  }

  /** @param milliseconds that a write at once has taken */
  took(milliseconds: number): void {
    if (milliseconds < SLOW) return;
    this.#restsUntil = performance.now() + Math.max(REST, 100 * milliseconds);
  }
}
