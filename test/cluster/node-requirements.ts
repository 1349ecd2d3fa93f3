import { execFile } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';

/** What a node needs beside Kubernetes' own programs: a file that shows it is there, and Debian's package for it. */
const NEEDED: readonly { program: string; package: string }[] = [
  { program: 'containerd', package: 'containerd' },
  { program: 'runc', package: 'runc' },
  { program: '/usr/lib/cni/ptp', package: 'containernetworking-plugins' },
  { program: 'iptables', package: 'iptables' },
  { program: 'conntrack', package: 'conntrack' },
  { program: 'socat', package: 'socat' },
  { program: 'ip', package: 'iproute2' },
  { program: 'unshare', package: 'util-linux' },
  { program: '/bin/busybox', package: 'busybox-static' },
];
const FOLDERS = ['/usr/local/sbin', '/usr/local/bin', '/usr/sbin', '/usr/bin', '/sbin', '/bin'];

/** Why no node can run on this machine, in words; undefined when one can (packages may still have to be installed). */
export function whyNoNode(): string | undefined {
  if (process.platform !== 'linux') return `pods need Linux, and this is ${process.platform}`;
  if (process.getuid?.() !== 0) return 'pods need root, and this is another user';
  const missing = missingPackages();
  if (missing.length > 0 && !existsSync('/usr/bin/apt-get')) {
    return `pods need ${missing.join(', ')}, and there is no apt-get to install them`;
  }
  return undefined;
}

/** Installs what is missing, with apt-get. */
export async function installNodePackages(say: (line: string) => void): Promise<void> {
  const missing = missingPackages();
  if (missing.length === 0) return;
  say(`installing ${missing.join(', ')} with apt-get`);
  await withoutStartingServices(async () => {
    const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' };
    const install = () =>
      promisify(execFile)('apt-get', ['install', '-y', '--no-install-recommends', ...missing], {
        env,
        maxBuffer: 1 << 26,
      });
    await install().catch(async () => {
      // Lists of packages that are absent or old are the usual reason.
      await promisify(execFile)('apt-get', ['update'], { env, maxBuffer: 1 << 26 });
      await install();
    });
  });
}

function missingPackages(): string[] {
  return NEEDED.filter(({ program }) => !isThere(program)).map((each) => each.package);
}

function isThere(program: string): boolean {
  const paths = program.startsWith('/') ? [program] : FOLDERS.map((folder) => join(folder, program));
  return paths.some((path) => {
    try {
      accessSync(path, constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

/** Debian starts a service when its package is installed; the node runs a containerd of its own and needs no other. */
async function withoutStartingServices(work: () => Promise<void>): Promise<void> {
  const policy = '/usr/sbin/policy-rc.d';
  if (existsSync(policy)) return await work();
  writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    await work();
  } finally {
    rmSync(policy, { force: true });
  }
}
