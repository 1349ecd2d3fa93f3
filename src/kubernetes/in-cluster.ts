import { existsSync } from 'node:fs';
import { assemble, type Connection, serverURL } from './connection.ts';
import { caFile, tokenFile } from './credential.ts';

const SERVICE_ACCOUNT = '/var/run/secrets/kubernetes.io/serviceaccount';

/** The pod's own ServiceAccount: a projected token and the cluster's CA. */
export function inCluster(
  environment: Readonly<Record<string, string | undefined>>,
  onError: (error: unknown) => void,
  folder: string = SERVICE_ACCOUNT,
): Connection {
  const host = environment['KUBERNETES_SERVICE_HOST'];
  const port = environment['KUBERNETES_SERVICE_PORT_HTTPS'] ?? environment['KUBERNETES_SERVICE_PORT'] ?? '443';
  if (host === undefined || host === '' || !existsSync(`${folder}/token`)) {
    throw new Error(
      'not in a pod with a ServiceAccount token (KUBERNETES_SERVICE_HOST and its token file are absent): set upstream.kubeconfig',
    );
  }
  return assemble({
    server: serverURL(`https://${host.includes(':') ? `[${host}]` : host}:${port}`, 'KUBERNETES_SERVICE_HOST'),
    serverName: undefined,
    ca: caFile(`${folder}/ca.crt`, onError),
    token: tokenFile(`${folder}/token`, onError),
    certificate: undefined,
    description: `the pod's ServiceAccount (${folder})`,
  });
}
