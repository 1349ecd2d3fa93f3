import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { parse } from 'yaml';
import type { CommandIO } from './command-io.ts';

/** A way around the gate that lies where an agent of this user would find it. */
export interface Neighbour {
  readonly file: string;
  readonly context: string;
  readonly server: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** What in a kubeconfig user is a credential. */
const CREDENTIALS = [
  'client-certificate',
  'client-certificate-data',
  'token',
  'tokenFile',
  'exec',
  'auth-provider',
  'password',
] as const;

/** The kubeconfig files that kubectl reads for this user: those of KUBECONFIG, and `~/.kube/config`. */
export function kubeconfigFiles(env: CommandIO['env']): string[] {
  const home = env['HOME'] || homedir();
  const listed = (env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  return [...new Set([...listed, join(home, '.kube', 'config')])];
}

/**
 * Contexts that carry a credential straight to an API server: an agent that is told not to use them can use them all
 * the same. Files that cannot be read are skipped: an agent of the same user could not read them either.
 */
export function findNeighbours(files: readonly string[], gateway: string): Neighbour[] {
  const found: Neighbour[] = [];
  const documents = files.filter(existsSync).map((file) => ({ file, document: load(file) }));
  // kubectl merges the files: a context of one may name a user of another.
  const entries = (list: string, field: string) => {
    const map = new Map<string, Fields>();
    for (const { document } of documents) {
      for (const entry of array(document[list])) {
        const { name } = entry;
        const value = entry[field];
        if (typeof name === 'string' && !map.has(name) && isFields(value)) map.set(name, value);
      }
    }
    return map;
  };
  const users = entries('users', 'user');
  const clusters = entries('clusters', 'cluster');
  for (const { file, document } of documents) {
    for (const entry of array(document['contexts'])) {
      const context = entry['context'];
      if (typeof entry['name'] !== 'string' || !isFields(context)) continue;
      const user = users.get(String(context['user']));
      const server = clusters.get(String(context['cluster']))?.['server'];
      if (user === undefined || typeof server !== 'string' || URL.parse(server)?.origin === gateway) continue;
      const credential = CREDENTIALS.some((field) => user[field] !== undefined && user[field] !== '');
      if (credential) found.push({ file, context: entry['name'], server });
    }
  }
  return found;
}

function load(file: string): Fields {
  try {
    const document: unknown = parse(readFileSync(file, 'utf8'), { maxAliasCount: 0 });
    return isFields(document) ? document : {};
  } catch {
    return {};
  }
}

function array(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isFields) : [];
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
