import { execFile } from 'node:child_process';
import { mkdir, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';

const ROOT = join(import.meta.dirname, '..', '..');
const CHART = join(ROOT, 'charts', 'sallyport');
export const NAMESPACE = 'sallyport-system';

/** Helm's own marks, which mean nothing without it. */
const HELM = /^\s+(helm\.sh\/chart|app\.kubernetes\.io\/managed-by|app\.kubernetes\.io\/instance): .*\n/gm;

/** Raw manifests for who has no helm: the kinds, and everything else with the chart's default values, for any version of Kubernetes. */
export async function manifests(helm: string): Promise<Map<string, string>> {
  const folder = join(CHART, 'crds');
  const names = (await readdir(folder)).sort((a, b) => a.localeCompare(b));
  const kinds = await Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
  const args = ['template', 'sallyport', CHART, '--namespace', NAMESPACE, '--no-hooks', '--kube-version', '1.35.0'];
  const { stdout } = await promisify(execFile)(helm, args, { maxBuffer: 1 << 26 });
  const namespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: NAMESPACE, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  };
  const head = (text: string): string => `# Made from charts/sallyport by "make manifests". ${text}\n`;
  return new Map([
    ['kinds.yaml', head('Apply these first.') + kinds.map((kind) => kind.trimEnd()).join('\n---\n') + '\n'],
    [
      'sallyport.yaml',
      `${head('The configuration is in the ConfigMap sallyport.')}${stringify(namespace)}${stdout.replace(HELM, '').trimEnd()}\n`,
    ],
  ]);
}

/** Writes them into a folder. */
export async function writeManifests(helm: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  for (const [name, text] of await manifests(helm)) await writeFile(join(target, name), text);
}
