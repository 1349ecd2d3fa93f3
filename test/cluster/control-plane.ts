import { request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ApiServerFiles, type AuditLevel, writeApiServerFiles } from './api-server-files.ts';
import { Daemon } from './daemon.ts';
import { freePort } from './free-port.ts';
import type { Guardian } from './guardian.ts';
import { writeKubeconfig } from './kubeconfig.ts';
import type { ProcessRecord } from './process-record.ts';

const STARTS_WITHIN_MS = 60_000;

export interface ControlPlaneOptions {
  directory: string;
  programs: { etcd: string; 'kube-apiserver': string };
  guardian: Guardian;
  audit: AuditLevel;
  encryption: boolean;
  apiServerFlags: string[];
  /** Set when pods will run: the address at which they reach this API server, and the Services' addresses. */
  network?: { address: string; serviceCIDR: string; kubernetesService: string };
  /** Whether a controller-manager will run; without one nobody makes the ServiceAccounts that pods are checked against. */
  controllers: boolean;
  port?: number;
}

export interface ControlPlane {
  url: string;
  files: ApiServerFiles;
  processes: ProcessRecord[];
}

/** Starts etcd (on a socket in the cluster's folder) and kube-apiserver (on a free port), and waits until it is ready. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  const { directory, guardian, network } = options;
  const etcd = new Daemon(options.programs.etcd, etcdFlags(directory), {
    logFile: join(directory, 'etcd.log'),
    guardian,
  });
  try {
    const addresses = network === undefined ? [] : [network.address, network.kubernetesService];
    const files = await writeApiServerFiles({
      directory,
      addresses,
      audit: options.audit,
      encryption: options.encryption,
    });
    for (let attempt = 1; ; attempt++) {
      const port = options.port ?? (await freePort());
      const url = `https://127.0.0.1:${port}`;
      const flags = [...apiServerFlags(options, files, port, url), ...options.apiServerFlags];
      const server = new Daemon(options.programs['kube-apiserver'], flags, {
        logFile: join(directory, `kube-apiserver.log`),
        guardian,
      });
      try {
        await untilReady(url, files.ca.certPem, [etcd, server]);
        await writeKubeconfig(files.adminKubeconfig, {
          url,
          caPem: files.ca.certPem,
          client: await files.ca.client({ user: 'admin', groups: ['system:masters'] }),
        });
        return { url, files, processes: [etcd.record, server.record] };
      } catch (error) {
        await server.stop();
        // Between the look for a free port and its use, another process may have taken it.
        if (options.port === undefined && attempt < 4 && String(error).includes('address already in use')) continue;
        throw error;
      }
    }
  } catch (error) {
    await etcd.stop();
    throw error;
  }
}

export function etcdSocket(directory: string): string {
  const url = `unix://${join(directory, 'etcd.sock')}`;
  if (url.length > 110) throw new Error(`${directory} is too long a path for a socket in it: choose a shorter one`);
  return url;
}

function etcdFlags(directory: string): string[] {
  return [
    `--data-dir=${join(directory, 'etcd')}`,
    // A socket in a folder that only its owner may enter: no port to collide on, and no way around the API server.
    `--listen-client-urls=${etcdSocket(directory)}`,
    '--advertise-client-urls=http://127.0.0.1:0',
    '--listen-peer-urls=http://127.0.0.1:0',
    '--initial-advertise-peer-urls=http://127.0.0.1:0',
    '--initial-cluster=default=http://127.0.0.1:0',
    // The data need not outlive a power cut, and syncing them is most of a start's time on a slow disk.
    '--unsafe-no-fsync',
    '--log-level=warn',
  ];
}

function apiServerFlags(options: ControlPlaneOptions, files: ApiServerFiles, port: number, url: string): string[] {
  const { network } = options;
  const pki = (name: string) => join(files.pki, name);
  const ownAuthentication = options.apiServerFlags.some((flag) =>
    /^--(authentication-config|anonymous-auth|oidc-)/.test(flag),
  );
  return [
    `--etcd-servers=${etcdSocket(options.directory)}`,
    `--secure-port=${port}`,
    // Pods come from other addresses than loopback; without pods nobody has to.
    `--bind-address=${network === undefined ? '127.0.0.1' : '0.0.0.0'}`,
    `--advertise-address=${network?.address ?? '127.0.0.1'}`,
    ...(network === undefined ? ['--endpoint-reconciler-type=none'] : []),
    `--service-cluster-ip-range=${network?.serviceCIDR ?? '10.96.0.0/24'}`,
    `--tls-cert-file=${pki('apiserver.crt')}`,
    `--tls-private-key-file=${pki('apiserver.key')}`,
    `--client-ca-file=${pki('ca.crt')}`,
    `--service-account-issuer=${url}`,
    `--service-account-jwks-uri=${url}/openid/v1/jwks`,
    `--service-account-signing-key-file=${pki('sa.key')}`,
    `--service-account-key-file=${pki('sa.pub')}`,
    '--api-audiences=https://kubernetes.default.svc',
    '--authorization-mode=Node,RBAC',
    ...(ownAuthentication ? [] : [`--authentication-config=${files.authentication}`]),
    '--enable-admission-plugins=NodeRestriction',
    ...(options.controllers ? [] : ['--disable-admission-plugins=ServiceAccount']),
    '--allow-privileged=true',
    `--kubelet-certificate-authority=${pki('ca.crt')}`,
    `--kubelet-client-certificate=${pki('kubelet-client.crt')}`,
    `--kubelet-client-key=${pki('kubelet-client.key')}`,
    '--kubelet-preferred-address-types=InternalIP',
    `--requestheader-client-ca-file=${pki('front-proxy-ca.crt')}`,
    '--requestheader-allowed-names=front-proxy-client',
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    `--proxy-client-cert-file=${pki('front-proxy-client.crt')}`,
    `--proxy-client-key-file=${pki('front-proxy-client.key')}`,
    ...(options.audit === 'None'
      ? []
      : [`--audit-policy-file=${files.audit.policy}`, `--audit-log-path=${files.audit.log}`]),
    ...(files.encryption === undefined ? [] : [`--encryption-provider-config=${files.encryption}`]),
    '--profiling=false',
  ];
}

async function untilReady(url: string, caPem: string, daemons: Daemon[]): Promise<void> {
  const giveUpAt = Date.now() + STARTS_WITHIN_MS;
  for (;;) {
    for (const daemon of daemons) await daemon.mustRun();
    if (await answers(`${url}/readyz`, caPem)) return;
    if (Date.now() > giveUpAt)
      throw new Error(`kube-apiserver was not ready within ${STARTS_WITHIN_MS / 1000} s (its log is beside its data)`);
    await sleep(50);
  }
}

async function answers(url: string, ca: string): Promise<boolean> {
  return await new Promise((resolve) => {
    const asked = request(url, { ca, agent: false, timeout: 2000 }, (answer) => {
      answer.resume();
      resolve(answer.statusCode === 200);
    });
    asked.on('error', () => resolve(false)).on('timeout', () => asked.destroy(new Error('no answer')));
    asked.end();
  });
}
