import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { AuditLevel } from './api-server-files.ts';
import { chosenVersion, findPrograms } from './binaries.ts';
import { type ClusterState, readState, removeCluster, writeState } from './cluster-state.ts';
import { startControlPlane } from './control-plane.ts';
import { Guardian } from './guardian.ts';
import { isRunning } from './process-record.ts';
import { Cluster } from './running-cluster.ts';

export type { AuditEvent, Cluster, CommandResult, KubectlOptions } from './running-cluster.ts';

export interface ClusterOptions {
  /** "1.36", "1.36.3"; `KUBERNETES_VERSION` or the default when left out. */
  version?: string;
  name?: string;
  /** Appended to kube-apiserver's flags; a flag given here wins over the one set by default. */
  apiServerFlags?: string[];
  /** Level of the audit log; Metadata when left out. */
  audit?: AuditLevel;
  /** Whether Secrets are encrypted in etcd. */
  encryption?: boolean;
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
  const programs = await findPrograms(version, ['etcd', 'kube-apiserver', 'kubectl']);
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), 'sallyport-')));
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const guardian = options.keep === true ? undefined : new Guardian();
  guardian?.removeFolder(directory);
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
    guardian?.dismiss();
  };
  try {
    const plane = await startControlPlane({
      directory,
      programs,
      guardian,
      audit: options.audit ?? 'Metadata',
      encryption: options.encryption ?? false,
      apiServerFlags: options.apiServerFlags ?? [],
      controllers: false,
      ...(options.port !== undefined && { port: options.port }),
    });
    state.url = plane.url;
    state.processes.push(...plane.processes);
    writeState(state);
    return new Cluster(state, end);
  } catch (error) {
    await end();
    throw error;
  }
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
export async function sharedCluster(): Promise<Cluster> {
  const shared = process.env['SALLYPORT_TEST_CLUSTER'];
  return shared ? attachCluster(shared) : await startCluster();
}
