import { existsSync } from 'node:fs';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { stringify } from 'yaml';
import { writeKeyPair } from './certificates.ts';
import type { ControlPlane } from './control-plane.ts';
import { componentKubeconfig } from './controllers.ts';
import { Daemon } from './daemon.ts';
import type { Guardian } from './guardian.ts';
import {
  cniConfig,
  containerdConfig,
  kubeletConfig,
  kubeProxyConfig,
  NODE_NAME,
  type NodePaths,
} from './node-config.ts';
import { containerdSocket, importNodeImages } from './node-images.ts';
import { inside, type NodeState } from './node-sandbox.ts';

const STARTS_WITHIN_MS = 90_000;
const CNI_FOLDERS = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni'];

export interface NodeOptions {
  directory: string;
  guardian: Guardian;
  plane: ControlPlane;
  sandbox: NodeState;
  programs: { kubelet: string; 'kube-proxy': string };
}

/** Starts containerd, kubelet and kube-proxy in the sandbox and waits until each can do its work. */
export async function startNode(options: NodeOptions): Promise<Daemon[]> {
  const directory = join(options.directory, 'node');
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const paths: NodePaths = {
    directory,
    pki: options.plane.files.pki,
    socket: containerdSocket(options.directory),
    cniPlugins: cniPlugins(),
  };
  await writeFiles(options, paths);
  const containerd = start(options, 'containerd', [
    'containerd',
    '--config',
    join(directory, 'containerd.toml'),
    '--log-level',
    'warn',
  ]);
  await until('containerd listens', [containerd], async () => existsSync(paths.socket));
  await importNodeImages(directory, paths.socket);
  const kubelet = start(options, 'kubelet', [
    options.programs.kubelet,
    `--config=${join(directory, 'kubelet.yaml')}`,
    `--kubeconfig=${join(directory, 'kubelet.kubeconfig')}`,
    `--root-dir=${join(directory, 'kubelet')}`,
    `--hostname-override=${NODE_NAME}`,
    `--node-ip=${options.sandbox.network.nodeAddress}`,
  ]);
  const proxy = start(options, 'kube-proxy', [
    options.programs['kube-proxy'],
    `--config=${join(directory, 'kube-proxy.yaml')}`,
  ]);
  return [containerd, kubelet, proxy];
}

function start(options: NodeOptions, name: string, command: string[]): Daemon {
  // Debian keeps iptables, runc and conntrack in /usr/sbin, which a user's PATH may lack.
  const env = { ...process.env, PATH: `${process.env['PATH']}:/usr/local/sbin:/usr/sbin:/sbin` };
  const logFile = join(options.directory, `${name}.log`);
  return new Daemon('nsenter', inside(options.sandbox, command), { name, logFile, guardian: options.guardian, env });
}

async function writeFiles(options: NodeOptions, paths: NodePaths): Promise<void> {
  const { sandbox, plane } = options;
  const { directory } = paths;
  const user = `system:node:${NODE_NAME}`;
  await mkdir(join(directory, 'cni'), { recursive: true });
  await writeKeyPair(
    paths.pki,
    'kubelet-server',
    await plane.files.ca.server(user, [NODE_NAME, sandbox.network.nodeAddress], ['system:nodes']),
  );
  // Inside, loopback is the node's own: the API server is at the other end of the link.
  const url = `https://${sandbox.network.hostAddress}:${new URL(plane.url).port}`;
  await componentKubeconfig(plane, directory, 'kubelet', { user, groups: ['system:nodes'] }, url);
  await componentKubeconfig(plane, directory, 'kube-proxy', { user: 'system:kube-proxy' }, url);
  await writeFile(join(directory, 'containerd.toml'), containerdConfig(paths));
  await writeFile(join(directory, 'cni', '10-pods.conflist'), JSON.stringify(cniConfig(paths, sandbox)));
  await writeFile(join(directory, 'kubelet.yaml'), stringify(kubeletConfig(paths, sandbox)));
  await writeFile(join(directory, 'kube-proxy.yaml'), stringify(kubeProxyConfig(paths, sandbox)));
  await writeFile(join(directory, 'resolv.conf'), `nameserver ${sandbox.network.hostAddress}\n`);
}

function cniPlugins(): string {
  const folder = CNI_FOLDERS.find((path) => existsSync(join(path, 'ptp')));
  if (folder === undefined) throw new Error(`no network plugins for pods in ${CNI_FOLDERS.join(', ')}`);
  return folder;
}

/** Polls until `ready` holds; throws when one of the daemons has ended, or after a minute and a half. */
export async function until(what: string, daemons: Daemon[], ready: () => Promise<boolean>): Promise<void> {
  const giveUpAt = Date.now() + STARTS_WITHIN_MS;
  while (!(await ready())) {
    for (const daemon of daemons) await daemon.mustRun();
    if (Date.now() > giveUpAt) throw new Error(`not within ${STARTS_WITHIN_MS / 1000} s: ${what}`);
    await sleep(100);
  }
}
