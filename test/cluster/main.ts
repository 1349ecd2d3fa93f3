import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { chosenVersion, findPrograms } from './binaries.ts';
import { startCluster } from './cluster.ts';
import { readState, removeCluster } from './cluster-state.ts';
import { withFileLock } from './file-lock.ts';
import { containerdSocket, importImage } from './node-images.ts';
import { whyNoNode } from './node-requirements.ts';
import { isRunning } from './process-record.ts';
import type { Program } from './recipes.ts';

const USAGE = `node test/cluster/main.ts up|down|status|build [PROGRAM...]|load FILE [--name NAME] [--version V] [--node|--no-node]

  up      starts a cluster that goes on running; with pods where the machine allows it
  down    ends it and removes everything it has left
  status  what runs
  build   fetches or builds the programs (all, or those named), and starts nothing
  load    puts an image from an OCI archive on its node
`;
const ALL: Program[] = [
  'etcd',
  'kube-apiserver',
  'kubectl',
  'kube-controller-manager',
  'kube-scheduler',
  'kubelet',
  'kube-proxy',
  'helm',
  'helm3',
];

/** Every cluster of this checkout has a folder in here, named after it. */
const CLUSTERS = resolve(import.meta.dirname, '..', '..', '.cluster');

const { values, positionals } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: { name: { type: 'string', default: 'default' }, version: { type: 'string' }, node: { type: 'boolean' } },
});

// Whoever reads only the first line (`| head -1`) is no reason to fail.
process.stdout.on('error', () => undefined);
try {
  process.exitCode = await perform(positionals[0]);
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}

async function perform(command: string | undefined): Promise<number> {
  if (!/^[a-z0-9][a-z0-9-]{0,30}$/.test(values.name))
    throw new Error(`"${values.name}" is not a cluster's name: use a-z, 0-9 and -`);
  const directory = join(CLUSTERS, values.name);
  switch (command) {
    case 'up':
      return await withFileLock(`${directory}.lock`, `cluster ${values.name}`, print, () => up(directory));
    case 'down':
      return await withFileLock(`${directory}.lock`, `cluster ${values.name}`, print, () => down(directory));
    case 'status':
      return await status();
    case 'load':
      return await load(directory, positionals[1]);
    case 'build':
      print(
        Object.values(await findPrograms(await chosenVersion(values.version), named(positionals.slice(1)))).join('\n'),
      );
      return 0;
    default:
      process.stderr.write(USAGE);
      return 2;
  }
}

function named(names: readonly string[]): readonly Program[] {
  const unknown = names.find((name) => !(ALL as string[]).includes(name));
  if (unknown !== undefined) throw new Error(`"${unknown}" is none of ${ALL.join(', ')}`);
  return names.length === 0 ? ALL : (names as Program[]);
}

async function up(directory: string): Promise<number> {
  const there = readState(directory);
  if (there?.processes.every(isRunning) === true && there.processes.length > 0) {
    print(`The cluster "${there.name}" runs already: Kubernetes ${there.version} at ${there.url}`);
    next(directory);
    return 0;
  }
  // What a machine's restart, or a start cut short, has left.
  if (there !== undefined) await removeCluster(there);
  const why = whyNoNode();
  if (values.node === true && why !== undefined) throw new Error(`no node: ${why}`);
  const node = values.node ?? why === undefined;
  const started = Date.now();
  const cluster = await startCluster({
    name: values.name,
    directory,
    keep: true,
    node,
    ...(values.version && { version: values.version }),
  });
  print(`Kubernetes ${cluster.version} is ready at ${cluster.url} (${((Date.now() - started) / 1000).toFixed(1)} s).`);
  if (node) print('Pods run; sallyport.test/busybox:1 is there to run.');
  else
    print(
      `Without a node${values.node === false ? ', as you asked' : ` (${why})`}: everything but running pods works.`,
    );
  next(directory);
  return 0;
}

function next(directory: string): void {
  const state = readState(directory);
  print(
    `\n  export KUBECONFIG=${join(directory, 'admin.kubeconfig')}\n  ${state?.programs.kubectl ?? 'kubectl'} get namespaces\n`,
  );
  print(`make cluster-down${values.name === 'default' ? '' : ` NAME=${values.name}`} ends it and removes all of it.`);
}

async function down(directory: string): Promise<number> {
  const state = readState(directory);
  if (state === undefined) {
    print(`There is no cluster "${values.name}".`);
    return 0;
  }
  await removeCluster(state);
  print(`The cluster "${values.name}" is gone.`);
  return 0;
}

async function load(directory: string, archive: string | undefined): Promise<number> {
  if (archive === undefined) throw new Error('which archive? (make image writes dist/sallyport.oci.tar)');
  if (readState(directory)?.node === undefined)
    throw new Error(`the cluster "${values.name}" has no node (make cluster)`);
  await importImage(containerdSocket(directory), archive);
  print(`${archive} is on the node of "${values.name}".`);
  return 0;
}

async function status(): Promise<number> {
  const names = existsSync(CLUSTERS) ? await readdir(CLUSTERS) : [];
  const states = names.map((name) => readState(join(CLUSTERS, name))).filter((state) => state !== undefined);
  if (states.length === 0) print('No cluster runs (make cluster starts one).');
  for (const state of states) {
    print(`${state.name}: Kubernetes ${state.version} at ${state.url}`);
    for (const record of state.processes)
      print(`  ${isRunning(record) ? 'runs ' : 'ENDED'}  ${record.name} (pid ${record.pid})`);
  }
  return states.every((state) => state.processes.every(isRunning)) ? 0 : 1;
}

function print(line: string): void {
  process.stdout.write(`${line}\n`);
}
