import { existsSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, dirname, join, resolve } from 'node:path';
import { parse } from 'yaml';

type Fields = Readonly<Record<string, unknown>>;

/** A file's part of a kubeconfig: paths in it are relative to its folder. */
interface Placed {
  readonly fields: Fields;
  readonly folder: string;
}

/** One context of a person's kubeconfig, as kubectl reads it: several files merged, the first to name something wins. */
export interface PersonContext {
  readonly name: string;
  readonly namespace: string | undefined;
  readonly clusterName: string;
  readonly userName: string;
  readonly cluster: Placed;
  readonly user: Placed;
  /** Namespaces that contexts of the same cluster name. */
  readonly namespaces: readonly string[];
  /** The files, for libraries that read them themselves. */
  readonly files: readonly string[];
}

export interface PersonOptions {
  readonly kubeconfig?: string | undefined;
  readonly context?: string | undefined;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/** @throws Error naming the file, context or entry that is missing; never with a value in it */
export function readPersonContext(options: PersonOptions): PersonContext {
  const files = filesOf(options);
  const documents = files.filter((file) => existsSync(file)).map((file) => ({ file, fields: load(file) }));
  if (documents.length === 0) throw new Error(`there is no kubeconfig: ${files.join(', ')}`);
  const name = options.context ?? documents.map(({ fields }) => text(fields, 'current-context')).find((one) => one);
  if (name === undefined) throw new Error('the kubeconfig has no current context: use --context NAME');
  const find = (list: string, field: string, wanted: string): Placed => {
    for (const { file, fields } of documents) {
      for (const entry of entries(fields, list)) {
        const value = entry[field];
        if (entry['name'] === wanted && isFields(value)) return { fields: value, folder: dirname(resolve(file)) };
      }
    }
    throw new Error(`the kubeconfig has no ${field} "${wanted}"`);
  };
  const { fields: context } = find('contexts', 'context', name);
  const clusterName = text(context, 'cluster');
  const userName = text(context, 'user');
  if (clusterName === undefined) throw new Error(`the context "${name}" names no cluster`);
  const contexts = documents.flatMap(({ fields }) => entries(fields, 'contexts')).map((entry) => entry['context']);
  const namespaces = contexts
    .filter(isFields)
    .filter((one) => one['cluster'] === clusterName)
    .map((one) => text(one, 'namespace') ?? 'default');
  return {
    name,
    namespace: text(context, 'namespace'),
    clusterName,
    userName: userName ?? '',
    cluster: find('clusters', 'cluster', clusterName),
    user: userName === undefined ? { fields: {}, folder: '.' } : find('users', 'user', userName),
    namespaces: [...new Set(namespaces)],
    files: documents.map(({ file }) => file),
  };
}

function filesOf({ kubeconfig, env }: PersonOptions): string[] {
  if (kubeconfig !== undefined) {
    if (!existsSync(kubeconfig)) throw new Error(`there is no file ${kubeconfig}`);
    return [kubeconfig];
  }
  const listed = (env['KUBECONFIG'] ?? '').split(delimiter).filter((file) => file !== '');
  return listed.length > 0 ? listed : [join(env['HOME'] || homedir(), '.kube', 'config')];
}

function load(file: string): Fields {
  let document: unknown;
  try {
    document = parse(readFileSync(file, 'utf8'), { maxAliasCount: 100 });
  } catch (error) {
    // The parser's message quotes the line, which may be a credential.
    throw new Error(`${file}: ${(error as NodeJS.ErrnoException).code ?? 'not YAML'}`);
  }
  if (document === null || document === undefined) return {};
  if (!isFields(document)) throw new Error(`${file}: not a kubeconfig`);
  return document;
}

/** `<field>-data` (base64) goes before the file in `<field>`, as in client-go. */
export function material({ fields, folder }: Placed, field: string): Buffer | undefined {
  const data = text(fields, `${field}-data`);
  if (data !== undefined) return Buffer.from(data, 'base64');
  const file = text(fields, field);
  return file === undefined ? undefined : readFileSync(resolve(folder, file));
}

function entries(fields: Fields, list: string): Fields[] {
  const value = fields[list];
  return Array.isArray(value) ? value.filter(isFields) : [];
}

export function text(fields: Fields, field: string): string | undefined {
  const value = fields[field];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

export function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
