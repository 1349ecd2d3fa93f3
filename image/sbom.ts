import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { SystemLibrary } from './system-libraries.ts';

const run = promisify(execFile);
const ROOT = join(import.meta.dirname, '..');

interface Component {
  type: string;
  name: string;
  version: string;
  purl?: string;
  'bom-ref'?: string;
  [more: string]: unknown;
}

interface Bom {
  metadata: { timestamp?: string; [more: string]: unknown };
  components: Component[];
  dependencies?: { ref: string; dependsOn?: string[] }[];
  [more: string]: unknown;
}

export interface Contents {
  /** `name@version`. */
  packages: readonly string[];
  nodeVersion?: string;
  libraries?: readonly SystemLibrary[];
}

/** A CycloneDX bill of materials: what npm knows of the packages that are in the bundle, Node.js, and Debian's libraries. */
export async function billOfMaterials(contents: Contents): Promise<string> {
  const args = ['sbom', '--package-lock-only', '--sbom-format=cyclonedx'];
  const { stdout } = await run('npm', args, { cwd: ROOT, maxBuffer: 1 << 26 });
  const bom = JSON.parse(stdout) as Bom;
  const packages = bom.components.filter((component) => contents.packages.includes(component['bom-ref'] ?? ''));
  const known = new Set(packages.map((component) => component['bom-ref']));
  const missing = contents.packages.filter((each) => !known.has(each));
  if (missing.length > 0) throw new Error(`npm knows nothing of what is in the bundle: ${missing.join(', ')}`);
  bom.components = [...packages, ...systemComponents(contents)];
  const references = new Set(bom.components.map((component) => component['bom-ref']));
  const main = bom.metadata['component'] as Component;
  // npm takes the folder's name.
  main.name = 'sallyport';
  bom.dependencies = (bom.dependencies ?? [])
    .filter(({ ref }) => references.has(ref) || ref === main['bom-ref'])
    .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((each) => references.has(each)) }));
  // The same contents, the same bill: the image's digest depends on it.
  delete bom.metadata.timestamp;
  delete bom['serialNumber'];
  const id = createHash('sha256').update(JSON.stringify(bom)).digest('hex');
  bom['serialNumber'] =
    `urn:uuid:${id.slice(0, 8)}-${id.slice(8, 12)}-5${id.slice(13, 16)}-8${id.slice(17, 20)}-${id.slice(20, 32)}`;
  return `${JSON.stringify(bom, null, 1)}\n`;
}

function systemComponents({ nodeVersion, libraries = [] }: Contents): Component[] {
  const components: Component[] = libraries.map(({ package: name, version }) => {
    const purl = `pkg:deb/debian/${name}@${encodeURIComponent(version)}`;
    return { type: 'library', name, version, purl, 'bom-ref': purl };
  });
  if (nodeVersion !== undefined) {
    const purl = `pkg:generic/node@${nodeVersion}`;
    components.push({ type: 'platform', name: 'node', version: nodeVersion, purl, 'bom-ref': purl });
  }
  return [...new Map(components.map((component) => [component.purl, component])).values()];
}
