import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A file system of its own size, or why there is none. @param size as tmpfs takes it: `24m` */
export function smallDisk(size: string): { path: string; remove(): void } | string {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return 'a small file system takes root on Linux';
  const path = mkdtempSync(join(tmpdir(), 'small-disk-'));
  const { status } = spawnSync('mount', ['-t', 'tmpfs', '-o', `size=${size}`, 'tmpfs', path]);
  if (status !== 0) {
    rmSync(path, { recursive: true });
    return 'tmpfs cannot be mounted here';
  }
  return {
    path,
    remove: () => {
      spawnSync('umount', ['-l', path]);
      rmSync(path, { recursive: true, force: true });
    },
  };
}
