import { randomBytes } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { CertificateAuthority, serviceAccountKeys, writeKeyPair } from './certificates.ts';

export type AuditLevel = 'None' | 'Metadata' | 'Request' | 'RequestResponse';

export interface FilesOptions {
  directory: string;
  /** Further addresses the API server is reached at, beside loopback. */
  addresses: string[];
  audit: AuditLevel;
  encryption: boolean;
}

export interface ApiServerFiles {
  pki: string;
  ca: CertificateAuthority;
  adminKubeconfig: string;
  audit: { policy: string; log: string };
  authentication: string;
  encryption?: string;
}

/** Everything kube-apiserver reads from disk: certificates, keys, audit policy, who may come anonymously. */
export async function writeApiServerFiles(options: FilesOptions): Promise<ApiServerFiles> {
  const { directory } = options;
  const pki = join(directory, 'pki');
  await mkdir(pki, { recursive: true, mode: 0o700 });
  const [ca] = await Promise.all([writeCertificates(pki, options.addresses), writeServiceAccountKeys(pki)]);
  const files: ApiServerFiles = {
    pki,
    ca,
    adminKubeconfig: join(directory, 'admin.kubeconfig'),
    audit: { policy: join(directory, 'audit-policy.yaml'), log: join(directory, 'audit.log') },
    authentication: join(directory, 'authentication.yaml'),
  };
  await writeFile(files.audit.policy, stringify(auditPolicy(options.audit)));
  await writeFile(files.authentication, stringify(AUTHENTICATION));
  if (options.encryption) {
    files.encryption = join(directory, 'encryption.yaml');
    await writeFile(files.encryption, stringify(encryptionOfSecrets()), { mode: 0o600 });
  }
  return files;
}

async function writeCertificates(pki: string, addresses: string[]): Promise<CertificateAuthority> {
  const [ca, frontProxy] = await Promise.all([
    CertificateAuthority.create('sallyport-test-ca'),
    CertificateAuthority.create('sallyport-test-front-proxy-ca'),
  ]);
  const kubernetes = [
    'kubernetes',
    'kubernetes.default',
    'kubernetes.default.svc',
    'kubernetes.default.svc.cluster.local',
  ];
  await Promise.all([
    writeKeyPair(pki, 'ca', ca),
    writeKeyPair(pki, 'front-proxy-ca', frontProxy),
    ca
      .server('kube-apiserver', ['localhost', '127.0.0.1', '::1', ...kubernetes, ...addresses])
      .then((pair) => writeKeyPair(pki, 'apiserver', pair)),
    ca
      .client({ user: 'kube-apiserver-kubelet-client', groups: ['system:masters'] })
      .then((pair) => writeKeyPair(pki, 'kubelet-client', pair)),
    frontProxy.client({ user: 'front-proxy-client' }).then((pair) => writeKeyPair(pki, 'front-proxy-client', pair)),
  ]);
  return ca;
}

async function writeServiceAccountKeys(pki: string): Promise<void> {
  const keys = await serviceAccountKeys();
  await writeFile(join(pki, 'sa.key'), keys.privatePem, { mode: 0o600 });
  await writeFile(join(pki, 'sa.pub'), keys.publicPem);
}

function auditPolicy(level: AuditLevel): unknown {
  return { apiVersion: 'audit.k8s.io/v1', kind: 'Policy', omitStages: ['RequestReceived'], rules: [{ level }] };
}

/** Anonymous callers reach the health checks and nothing else, as on a hardened server. */
const AUTHENTICATION = {
  apiVersion: 'apiserver.config.k8s.io/v1beta1',
  kind: 'AuthenticationConfiguration',
  anonymous: { enabled: true, conditions: [{ path: '/livez' }, { path: '/readyz' }, { path: '/healthz' }] },
};

function encryptionOfSecrets(): unknown {
  const secret = randomBytes(32).toString('base64');
  return {
    apiVersion: 'apiserver.config.k8s.io/v1',
    kind: 'EncryptionConfiguration',
    resources: [
      { resources: ['secrets'], providers: [{ aescbc: { keys: [{ name: 'key1', secret }] } }, { identity: {} }] },
    ],
  };
}
