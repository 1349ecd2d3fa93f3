import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuditLevel } from './api-server-files.ts';
import { chosenVersion, findPrograms, kubectl } from './binaries.ts';
import { type ClusterState, readState, removeCluster, writeState } from './cluster-state.ts';
import { type ControlPlane, startControlPlane } from './control-plane.ts';
import { startControllers } from './controllers.ts';
import type { Daemon } from './daemon.ts';
import { Guardian } from './guardian.ts';
import { startNode, until } from './node.ts';
import { NODE_NAME } from './node-config.ts';
import { installNodePackages, whyNoNode } from './node-requirements.ts';
import { createSandbox } from './node-sandbox.ts';
import { isRunning } from './process-record.ts';
import type { Program } from './recipes.ts';
import { Cluster } from './running-cluster.ts';

export { type CommandResult, runCommand } from './command.ts';
export { BUSYBOX_IMAGE } from './node-images.ts';
export { whyNoNode } from './node-requirements.ts';
export type { AuditEvent, Cluster, KubectlOptions } from './running-cluster.ts';

export interface ClusterOptions {
  /** "1.36", "1.36.3"; `KUBERNETES_VERSION` or the default when left out. */
  version?: string;
  /** The kubectl that tests run, where it is not to be the server's: one version's is enough to try several servers. */
  kubectl?: string;
  name?: string;
  /** Appended to kube-apiserver's flags; a flag given here wins over the one set by default. */
  apiServerFlags?: string[];
  /** Level of the audit log; Metadata when left out. */
  audit?: AuditLevel;
  /** Whether Secrets are encrypted in etcd. */
  encryption?: boolean;
  /** Run pods: controllers, scheduler, containerd, kubelet and kube-proxy. Root on Linux only (`whyNoNode`). */
  node?: boolean;
  /** Run controller-manager and scheduler without a node, e.g. for namespaces to go away and roles to be aggregated. */
  controllers?: boolean;
  /** Where its files go; a folder in the temporary one when left out. */
  directory?: string;
  /** Go on running after this process has ended (`make cluster`). */
  keep?: boolean;
  port?: number;
}

/**
 * Starts a cluster of its own for the caller, ready to answer. Whatever becomes of this process, the cluster ends with
 * it, unless `keep` is set.
 */
export async function startCluster(options: ClusterOptions = {}): Promise<Cluster> {
  const version = await chosenVersion(options.version);
  const node = options.node ?? false;
  const controllers = options.controllers ?? node;
  if (node) await mustAllowNode();
  const names = programsFor(node, controllers);
  const { kubectl: client } = options;
  const own = client === undefined ? names : names.filter((name) => name !== 'kubectl');
  const programs = await findPrograms(version, own);
  if (client !== undefined) programs.kubectl = await kubectl(client);
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'sallyport-')));
  await mkdir(directory, { recursive: true, mode: 0o700 });
  // One that is to be kept is guarded too, until it is whole: a start cut short leaves nothing.
  const guardian = new Guardian();
  guardian.removeFolder(directory);
  const state: ClusterState = {
    name: options.name ?? `test-${randomBytes(3).toString('hex')}`,
    version,
    directory,
    url: '',
    programs,
    processes: [],
  };
  const end = async () => {
    await removeCluster(state);
    guardian.dismiss();
  };
  try {
    if (node) state.node = await createSandbox(directory, guardian);
    writeState(state);
    const plane = await startControlPlane({
      directory,
      programs,
      guardian,
      audit: options.audit ?? 'Metadata',
      encryption: options.encryption ?? false,
      apiServerFlags: options.apiServerFlags ?? [],
      controllers,
      ...(state.node && {
        network: { address: state.node.network.hostAddress, ...state.node.network },
      }),
      ...(options.port !== undefined && { port: options.port }),
    });
    state.url = plane.url;
    state.processes.push(...plane.processes);
    writeState(state);
    const cluster = new Cluster(state, end);
    if (controllers) await startRest(cluster, plane, state, guardian);
    if (options.keep === true) guardian.dismiss();
    return cluster;
  } catch (error) {
    await end();
    throw error;
  }
}

async function mustAllowNode(): Promise<void> {
  const why = whyNoNode();
  if (why !== undefined) throw new Error(`no node: ${why}`);
  await installNodePackages((line) => process.stderr.write(`${line}\n`));
}

function programsFor(node: boolean, controllers: boolean): Program[] {
  const programs: Program[] = ['etcd', 'kube-apiserver', 'kubectl'];
  if (controllers) programs.push('kube-controller-manager', 'kube-scheduler');
  if (node) programs.push('kubelet', 'kube-proxy');
  return programs;
}

/** What runs beside the API server, up to the moment when a pod can be made. */
async function startRest(
  cluster: Cluster,
  plane: ControlPlane,
  state: ClusterState,
  guardian: Guardian,
): Promise<void> {
  const { directory } = state;
  const programs = state.programs as Record<Program, string>;
  const daemons = await startControllers(plane, { directory, guardian, programs });
  const record = (more: Daemon[]) => {
    state.processes.push(...more.map((daemon) => daemon.record));
    writeState(state);
  };
  record(daemons);
  if (state.node !== undefined) {
    const started = await startNode({ directory, guardian, plane, sandbox: state.node, programs });
    record(started);
    daemons.push(...started);
    await until('the node is ready', daemons, () => nodeIsReady(cluster));
  }
  const account = '/api/v1/namespaces/default/serviceaccounts/default';
  await until(
    'the default service account is there',
    daemons,
    async () => (await cluster.admin('GET', account)).status === 200,
  );
}

async function nodeIsReady(cluster: Cluster): Promise<boolean> {
  const answer = await cluster.admin('GET', `/api/v1/nodes/${NODE_NAME}`);
  if (answer.status !== 200) return false;
  const { status, spec } = answer.json() as NodeObject;
  const ready =
    status.conditions?.some((condition) => condition.type === 'Ready' && condition.status === 'True') ?? false;
  return ready && (spec.taints ?? []).length === 0;
}

interface NodeObject {
  spec: { taints?: unknown[] };
  status: { conditions?: { type: string; status: string }[] };
}

/** The cluster that runs in a folder; stopping what is given back leaves it running. Throws if there is none. */
export function attachCluster(directory: string): Cluster {
  const state = readState(directory);
  if (state === undefined || !state.processes.every(isRunning)) throw new Error(`no cluster runs in ${directory}`);
  return new Cluster(state, async () => undefined);
}

/**
 * The cluster of this test run (`SALLYPORT_TEST_CLUSTER` names its folder), or else one of the caller's own. For tests
 * that need no special flags and keep to namespaces of their own.
 */
export async function sharedCluster(needs: { node?: boolean } = {}): Promise<Cluster> {
  const directory = process.env['SALLYPORT_TEST_CLUSTER'];
  const shared = directory ? attachCluster(directory) : undefined;
  if (shared !== undefined && (needs.node !== true || shared.node !== undefined)) return shared;
  return await startCluster(needs);
}
