import { randomUUID } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseAllDocuments, stringify } from 'yaml';
import { helm } from '../cluster/binaries.ts';
import { type CommandResult, runCommand } from '../cluster/command.ts';

const ROOT = join(import.meta.dirname, '..', '..');
export const CHART = join(ROOT, 'charts', 'sallyport');
export const NAMESPACE = 'sallyport-system';

export interface Manifest {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: {
    readonly name: string;
    readonly namespace?: string;
    readonly annotations?: Record<string, string>;
  };
  // biome-ignore lint/suspicious/noExplicitAny: manifests of many kinds, read where they are looked at
  readonly [field: string]: any;
}

const home = mkdtempSync(join(tmpdir(), 'sallyport-helm-'));
process.once('exit', () => rmSync(home, { recursive: true, force: true }));

/** helm with folders of its own, so that nothing of this machine's user matters. */
export async function runHelm(
  args: string[],
  env: Record<string, string> = {},
  timeout = 60_000,
  program?: string,
): Promise<CommandResult> {
  const folders = { HELM_CACHE_HOME: home, HELM_CONFIG_HOME: home, HELM_DATA_HOME: home };
  return await runCommand(program ?? (await helm()), args, { env: { ...process.env, ...folders, ...env }, timeout });
}

/** What the chart makes of values. @throws Error with helm's words */
export async function render(values: object, ...flags: string[]): Promise<Manifest[]> {
  const { code, stdout, stderr } = await template(values, ...flags);
  if (code !== 0) throw new Error(stderr);
  return manifestsIn(stdout);
}

export function manifestsIn(stdout: string): Manifest[] {
  return parseAllDocuments(stdout)
    .map((document) => document.toJS() as Manifest | null)
    .filter((manifest) => manifest !== null);
}

export async function template(values: object, ...flags: string[]): Promise<CommandResult> {
  const file = valuesFile(values);
  return await runHelm(['template', 'sallyport', CHART, '--namespace', NAMESPACE, '--values', file, ...flags]);
}

export function valuesFile(values: object): string {
  const file = join(home, `values-${randomUUID()}.yaml`);
  writeFileSync(file, stringify(values));
  return file;
}
