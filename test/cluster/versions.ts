/**
 * The versions this project runs and tests against. A minor stands for one pinned patch, so that two machines that
 * ask for "1.36" test the same server.
 */
const PATCHES: Record<string, string> = {
  '1.29': '1.29.6',
  '1.30': '1.30.14',
  '1.34': '1.34.4',
  '1.35': '1.35.4',
  '1.36': '1.36.3',
  '1.37': '1.37.2',
};

/** What docs/operations.md promises to work on, oldest first: test/admission/versions.test.ts runs on each. */
export const SUPPORTED_MINORS: readonly string[] = ['1.35', '1.36', '1.37'];

/** What runs when nothing else is asked for: the newest minor whose server has been built from Go modules and tested. */
export const DEFAULT_VERSION = '1.37.2';

/** etcd 3.6 serves every Kubernetes minor named here. */
export const ETCD_VERSION = '3.6.8';
export const HELM_VERSION = '4.3.1';
/** Many clusters are still served by it; the chart is for both. */
export const HELM3_VERSION = '3.22.0';

/**
 * Takes "1.36", "v1.36", "1.36.3" or nothing (then `KUBERNETES_VERSION`, then the default); gives a full version
 * without "v". Throws for anything else, naming the minors that can be chosen.
 */
export function resolveVersion(asked: string | undefined = process.env['KUBERNETES_VERSION']): string {
  if (asked === undefined || asked === '') return DEFAULT_VERSION;
  const plain = asked.replace(/^v/, '');
  if (/^1\.\d{1,3}\.\d{1,3}$/.test(plain)) return plain;
  const patch = PATCHES[plain];
  if (patch !== undefined) return patch;
  throw new Error(
    `"${asked}" is not a Kubernetes version: give a full one such as ${DEFAULT_VERSION}, or one of ${Object.keys(PATCHES).join(', ')}`,
  );
}

/** "1.36.3" → ["1", "36", "3"]. */
export function versionParts(version: string): [string, string, string] {
  const [major = '', minor = '', patch = ''] = version.split('.');
  return [major, minor, patch];
}
