import { execFile } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { mkdir, readFile, rmdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { cacheFolder } from './cache-folder.ts';
import { Daemon } from './daemon.ts';
import type { Guardian } from './guardian.ts';
import { endProcess, type ProcessRecord, recordOf } from './process-record.ts';

const run = promisify(execFile);

/**
 * Programs of a node write to fixed places in these (/run/containerd, /var/lib/cni, /var/log/containers, …): inside the
 * sandbox each is a memory file system of its own.
 */
const PRIVATE_FOLDERS = ['/run', '/var/lib', '/var/log'];
const MAX_NODES = 60;

/** What a cluster's node has on the machine beside its folder; all of it goes with the first process and the cgroups. */
export interface NodeState {
  /** The first process in the node's own pid namespace: when it ends, the kernel ends all others in there. */
  init: ProcessRecord;
  network: NodeNetwork;
  /** The node's folder in each cgroup hierarchy. */
  cgroups: string[];
  cgroupRoot: string;
}

/** Address ranges of one cluster; `index` sets those of clusters on the same machine apart. */
export interface NodeNetwork {
  index: number;
  hostLink: string;
  hostAddress: string;
  nodeAddress: string;
  podCIDR: string;
  serviceCIDR: string;
  kubernetesService: string;
}

/**
 * Makes a place for one node: mount, network, pid and ipc namespaces of its own, joined to the machine by one pair of
 * network links. So iptables rules, mounts, routes and forwarding of the node stay in there and vanish with it, and two
 * nodes on one machine cannot meet.
 */
export async function createSandbox(directory: string, guardian: Guardian): Promise<NodeState> {
  const init = await startInit(directory, guardian);
  try {
    const network = await joinNetwork(init.pid);
    const cgroupRoot = `/sallyport-${init.pid}-${init.startTime}`;
    const cgroups = await makeCgroups(cgroupRoot);
    for (const path of cgroups) guardian.removeCgroup(path);
    return { init, network, cgroups, cgroupRoot };
  } catch (error) {
    await endProcess(init, 'SIGKILL');
    throw error;
  }
}

/** The arguments that run a command inside the sandbox. `nsenter` is the program. */
export function inside(node: NodeState, command: string[]): string[] {
  return ['--target', String(node.init.pid), '--mount', '--net', '--pid', '--ipc', '--', ...command];
}

/** Runs one command inside and waits for it; gives what it printed. */
export async function runInside(node: NodeState, command: string[]): Promise<string> {
  return (await run('nsenter', inside(node, command))).stdout;
}

export async function removeNode(node: NodeState): Promise<void> {
  await endProcess(node.init, 'SIGKILL');
  for (const path of node.cgroups) await removeCgroup(path);
}

async function startInit(directory: string, guardian: Guardian): Promise<ProcessRecord> {
  // Not one that hides what the node itself is made of.
  const needed = [directory, cacheFolder()].map((path) => `${path}/`);
  const hidden = PRIVATE_FOLDERS.filter((path) => !needed.some((each) => each.startsWith(`${path}/`)));
  const mounts = hidden.map((path) => `mount -t tmpfs -o mode=755 tmpfs ${path}`);
  // The first process adopts orphans (containers' shims) and has to collect them when they end: `wait` does.
  const script = [
    'set -e',
    'mount --make-rshared /',
    ...mounts,
    'echo ready',
    'while :; do sleep 3600 & wait || :; done',
  ].join('\n');
  const namespaces = [
    '--fork',
    '--kill-child',
    '--pid',
    '--mount',
    '--net',
    '--ipc',
    '--mount-proc',
    '--propagation',
    'private',
  ];
  const logFile = join(directory, 'node-init.log');
  closeSync(openSync(logFile, 'w', 0o600));
  const outer = new Daemon('unshare', [...namespaces, '/bin/sh', '-c', script], {
    name: 'node-init',
    logFile,
    guardian,
  });
  for (let waited = 0; waited < 10_000; waited += 20) {
    await outer.mustRun();
    const child = childOf(outer.record.pid);
    if (child !== undefined && readFileSync(logFile, 'utf8').includes('ready')) {
      const init = recordOf('node-init', child);
      guardian.watchProcess(init);
      return init;
    }
    await sleep(20);
  }
  await outer.stop();
  throw new Error(`the node's namespaces were not ready in time (${logFile})`);
}

function childOf(parent: number): number | undefined {
  for (const entry of readdirSync('/proc')) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      const stat = readFileSync(`/proc/${entry}/stat`, 'utf8');
      if (stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] === String(parent)) return Number(entry);
    } catch {
      // Ended while we looked.
    }
  }
  return undefined;
}

async function joinNetwork(pid: number): Promise<NodeNetwork> {
  const network = await addLinks(pid);
  const { hostLink, hostAddress, nodeAddress, podCIDR, serviceCIDR } = network;
  const within = (...args: string[]) => run('nsenter', ['--target', String(pid), '--net', 'ip', ...args]);
  await run('ip', ['address', 'add', `${hostAddress}/30`, 'dev', hostLink]);
  await run('ip', ['link', 'set', hostLink, 'up']);
  await within('link', 'set', 'lo', 'up');
  await within('address', 'add', `${nodeAddress}/30`, 'dev', 'eth0');
  await within('link', 'set', 'eth0', 'up');
  await within('route', 'add', 'default', 'via', hostAddress);
  // The API server calls webhooks by Service or Pod address, and runs outside.
  for (const range of [podCIDR, serviceCIDR])
    await run('ip', ['route', 'add', range, 'via', nodeAddress, 'dev', hostLink]);
  await run('nsenter', ['--target', String(pid), '--net', 'sh', '-c', 'echo 1 > /proc/sys/net/ipv4/ip_forward']);
  return network;
}

/** The kernel refuses a link whose name is taken, so two clusters that start at once cannot choose the same numbers. */
async function addLinks(pid: number): Promise<NodeNetwork> {
  for (let index = 0; index < MAX_NODES; index++) {
    const hostLink = `sallyport${index}`;
    try {
      await run('ip', ['link', 'add', hostLink, 'type', 'veth', 'peer', 'name', 'eth0', 'netns', String(pid)]);
    } catch (error) {
      if (/exists/.test(String((error as { stderr?: string }).stderr))) continue;
      throw error;
    }
    return {
      index,
      hostLink,
      hostAddress: `10.99.${index}.1`,
      nodeAddress: `10.99.${index}.2`,
      podCIDR: `10.98.${index}.0/24`,
      serviceCIDR: `10.97.${index}.0/24`,
      kubernetesService: `10.97.${index}.1`,
    };
  }
  throw new Error(`there are ${MAX_NODES} nodes on this machine already (ip link show type veth)`);
}

/** A folder for all pods of this node in every hierarchy: one per controller in cgroup v1, one in v2. */
async function makeCgroups(root: string): Promise<string[]> {
  const mounts = (await readFile('/proc/mounts', 'utf8')).split('\n').map((line) => line.split(' '));
  const second = mounts.find(([, path, type]) => type === 'cgroup2' && path === '/sys/fs/cgroup');
  // On a hybrid machine runc puts processes into the v2 hierarchy as well, so it counts too.
  const hierarchies = mounts.filter(([, , type]) => type?.startsWith('cgroup')).map(([, path]) => path ?? '');
  const made: string[] = [];
  for (const hierarchy of hierarchies) {
    const path = join(hierarchy, root);
    await mkdir(path, { recursive: true });
    made.push(path);
    if (second) await delegate(hierarchy, path);
    else await copyCpuset(hierarchy, path);
  }
  return made;
}

/** In v1 a new cpuset is empty, and nothing can run in it. Hierarchies without cpusets have no such files. */
async function copyCpuset(from: string, to: string): Promise<void> {
  for (const name of ['cpuset.cpus', 'cpuset.mems']) {
    await readFile(join(from, name), 'utf8').then(
      (value) => writeFile(join(to, name), value),
      () => undefined,
    );
  }
}

/** In v2 a folder has only the controllers that the one above hands down. */
async function delegate(...path: string[]): Promise<void> {
  const controllers = (await readFile(join(path[0] ?? '', 'cgroup.controllers'), 'utf8')).trim().split(' ');
  for (const folder of path) {
    for (const name of controllers)
      await writeFile(join(folder, 'cgroup.subtree_control'), `+${name}`).catch(() => undefined);
  }
}

/** Only folders can be removed here, and only once the kernel has let the last process go. */
async function removeCgroup(path: string): Promise<void> {
  for (let attempt = 0; attempt < 100; attempt++) {
    if (await removeTree(path)) return;
    await sleep(50);
  }
  throw new Error(`${path} cannot be removed: a process is still in it`);
}

async function removeTree(path: string): Promise<boolean> {
  try {
    for (const entry of readdirSync(path, { withFileTypes: true })) {
      if (entry.isDirectory() && !(await removeTree(join(path, entry.name)))) return false;
    }
    await rmdir(path);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'ENOENT';
  }
}
