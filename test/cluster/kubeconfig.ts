import { writeFile } from 'node:fs/promises';
import { stringify } from 'yaml';
import type { KeyPair } from './certificates.ts';

export interface KubeconfigContent {
  url: string;
  caPem: string;
  /** One of the two ways in; neither gives a kubeconfig without credentials. */
  client?: KeyPair;
  token?: string;
  namespace?: string;
}

/** Writes a kubeconfig with one context (0600: it holds a credential) and gives its path. */
export async function writeKubeconfig(path: string, content: KubeconfigContent): Promise<string> {
  const user = {
    ...(content.client && {
      'client-certificate-data': base64(content.client.certPem),
      'client-key-data': base64(content.client.keyPem),
    }),
    ...(content.token !== undefined && { token: content.token }),
  };
  const config = {
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [
      { name: 'cluster', cluster: { server: content.url, 'certificate-authority-data': base64(content.caPem) } },
    ],
    users: [{ name: 'user', user }],
    contexts: [
      {
        name: 'context',
        context: { cluster: 'cluster', user: 'user', ...(content.namespace && { namespace: content.namespace }) },
      },
    ],
    'current-context': 'context',
  };
  await writeFile(path, stringify(config), { mode: 0o600 });
  return path;
}

function base64(text: string): string {
  return Buffer.from(text).toString('base64');
}
