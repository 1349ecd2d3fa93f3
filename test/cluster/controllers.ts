import { join } from 'node:path';
import type { ControlPlane } from './control-plane.ts';
import { Daemon } from './daemon.ts';
import type { Guardian } from './guardian.ts';
import { writeKubeconfig } from './kubeconfig.ts';

/** Starts kube-controller-manager and kube-scheduler beside a control plane; neither opens a port. */
export async function startControllers(
  plane: ControlPlane,
  options: {
    directory: string;
    guardian: Guardian;
    programs: { 'kube-controller-manager': string; 'kube-scheduler': string };
  },
): Promise<Daemon[]> {
  const { pki } = plane.files;
  const flags = {
    'kube-controller-manager': [
      '--use-service-account-credentials=true',
      `--service-account-private-key-file=${join(pki, 'sa.key')}`,
      `--root-ca-file=${join(pki, 'ca.crt')}`,
      `--cluster-signing-cert-file=${join(pki, 'ca.crt')}`,
      `--cluster-signing-key-file=${join(pki, 'ca.key')}`,
      // Made at start if absent, and by default in a folder of the system's.
      `--flex-volume-plugin-dir=${join(options.directory, 'volume-plugins')}`,
    ],
    'kube-scheduler': [],
  };
  const start = async (name: keyof typeof flags) => {
    const kubeconfig = await componentKubeconfig(plane, options.directory, name, { user: `system:${name}` });
    const common = [`--kubeconfig=${kubeconfig}`, '--leader-elect=false', '--secure-port=0'];
    const logFile = join(options.directory, `${name}.log`);
    return new Daemon(options.programs[name], [...common, ...flags[name]], { logFile, guardian: options.guardian });
  };
  return [await start('kube-controller-manager'), await start('kube-scheduler')];
}

/** A kubeconfig for one of the cluster's own programs. */
export async function componentKubeconfig(
  plane: ControlPlane,
  directory: string,
  name: string,
  subject: { user: string; groups?: string[] },
  url: string = plane.url,
): Promise<string> {
  const client = await plane.files.ca.client(subject);
  return await writeKubeconfig(join(directory, `${name}.kubeconfig`), { url, caPem: plane.files.ca.certPem, client });
}
