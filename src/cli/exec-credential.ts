import { CommandError } from './command-io.ts';

/** client.authentication.k8s.io (KEP-541), as kubectl speaks it with a credential plugin. */
const VERSIONS = ['client.authentication.k8s.io/v1', 'client.authentication.k8s.io/v1beta1'];

export interface ClusterInfo {
  readonly server: string;
  /** PEM. */
  readonly ca: string | undefined;
}

export interface ExecInfo {
  readonly apiVersion: string;
  /** Given where the kubeconfig says `provideClusterInfo: true`. */
  readonly cluster: ClusterInfo | undefined;
}

/** Reads `KUBERNETES_EXEC_INFO`; undefined outside kubectl. @throws CommandError for one that cannot be understood. */
export function readExecInfo(text: string | undefined): ExecInfo | undefined {
  if (text === undefined || text === '') return undefined;
  let info: { apiVersion?: unknown; spec?: { cluster?: Record<string, unknown> } } | null;
  try {
    info = JSON.parse(text) as typeof info;
  } catch {
    throw new CommandError('KUBERNETES_EXEC_INFO is not JSON');
  }
  const apiVersion = info?.apiVersion;
  if (typeof apiVersion !== 'string' || !VERSIONS.includes(apiVersion)) {
    throw new CommandError(`KUBERNETES_EXEC_INFO: only ${VERSIONS.join(' and ')}`);
  }
  const cluster = info?.spec?.cluster;
  if (cluster === undefined) return { apiVersion, cluster: undefined };
  const { server, 'certificate-authority-data': data } = cluster;
  if (typeof server !== 'string') throw new CommandError('KUBERNETES_EXEC_INFO: a cluster without a server');
  if (cluster['insecure-skip-tls-verify'] === true) {
    throw new CommandError('the kubeconfig says insecure-skip-tls-verify: anyone in between could take the credential');
  }
  const ca = typeof data === 'string' && data !== '' ? Buffer.from(data, 'base64').toString('utf8') : undefined;
  return { apiVersion, cluster: { server, ca } };
}

/** @param expiresAt Unix milliseconds */
export function execCredential(apiVersion: string | undefined, token: string, expiresAt: number): string {
  return `${JSON.stringify({
    kind: 'ExecCredential',
    apiVersion: apiVersion ?? VERSIONS[0],
    status: { token, expirationTimestamp: new Date(expiresAt).toISOString().replace(/\.\d+Z$/, 'Z') },
  })}\n`;
}
