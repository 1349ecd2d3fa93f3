import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type NodeState, removeNode } from './node-sandbox.ts';
import { endProcess, type ProcessRecord } from './process-record.ts';
import type { Program } from './recipes.ts';

/** What is known of a running cluster, kept in its folder so that another process can use, show or end it. */
export interface ClusterState {
  name: string;
  version: string;
  directory: string;
  url: string;
  programs: Partial<Record<Program, string>>;
  processes: ProcessRecord[];
  node?: NodeState;
}

export function stateFile(directory: string): string {
  return join(directory, 'state.json');
}

export function writeState(state: ClusterState): void {
  const path = stateFile(state.directory);
  writeFileSync(`${path}.new`, JSON.stringify(state, null, 2), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export function readState(directory: string): ClusterState | undefined {
  if (!existsSync(stateFile(directory))) return undefined;
  return JSON.parse(readFileSync(stateFile(directory), 'utf8')) as ClusterState;
}

/** Ends everything a cluster has started, in any state of completeness, and removes its folder. */
export async function removeCluster(state: ClusterState): Promise<void> {
  if (state.node !== undefined) await removeNode(state.node);
  // Nothing of the data is kept, so nothing needs a graceful end.
  for (const record of [...state.processes].reverse()) await endProcess(record, 'SIGKILL');
  await rm(state.directory, { recursive: true, force: true, maxRetries: 3 });
}
