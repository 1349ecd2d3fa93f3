import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { stringify } from 'yaml';

const ROOT = join(import.meta.dirname, '..', '..');
const CHART = join(ROOT, 'charts', 'sallyport');
export const NAMESPACE = 'sallyport-system';

/** Helm's own marks, which mean nothing without it. */
const HELM = /^\s+(helm\.sh\/chart|app\.kubernetes\.io\/managed-by|app\.kubernetes\.io\/instance): .*\n/gm;

/** The raw manifests for who has no helm: the chart with its default values, for any version of Kubernetes. */
export async function manifests(helm: string): Promise<string> {
  const args = ['template', 'sallyport', CHART, '--namespace', NAMESPACE, '--no-hooks', '--kube-version', '1.35.0'];
  const { stdout } = await promisify(execFile)(helm, args, { maxBuffer: 1 << 26 });
  const namespace = {
    apiVersion: 'v1',
    kind: 'Namespace',
    metadata: { name: NAMESPACE, labels: { 'pod-security.kubernetes.io/enforce': 'restricted' } },
  };
  // The guard goes with the kinds.
  const own = stdout
    .split(/^(?=---\n# Source: )/m)
    .filter((part) => !part.includes('sallyport/templates/guards.yaml'))
    .join('');
  const head = '# Made from charts/sallyport by "make manifests". The configuration is in the ConfigMap sallyport.\n';
  return `${head}${stringify(namespace)}${own.replace(HELM, '').trimEnd()}\n`;
}

/** Writes them into a folder. */
export async function writeManifests(helm: string, target: string): Promise<void> {
  await mkdir(target, { recursive: true });
  await writeFile(join(target, 'sallyport.yaml'), await manifests(helm));
}
