import type { Field } from './field.ts';
import type { Check, CheckedPod, Violation } from './pod-security.ts';
import { eachContext, eachProfile, violation } from './pod-security-context.ts';

const BASELINE_CAPABILITIES = new Set([
  'AUDIT_WRITE',
  'CHOWN',
  'DAC_OVERRIDE',
  'FOWNER',
  'FSETID',
  'KILL',
  'MKNOD',
  'NET_BIND_SERVICE',
  'SETFCAP',
  'SETGID',
  'SETPCAP',
  'SETUID',
  'SYS_CHROOT',
]);
const SELINUX_TYPES = new Set(['', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t']);
const SAFE_SYSCTLS = new Set([
  'kernel.shm_rmid_forced',
  'net.ipv4.ip_local_port_range',
  'net.ipv4.ip_unprivileged_port_start',
  'net.ipv4.tcp_syncookies',
  'net.ipv4.ping_group_range',
  'net.ipv4.ip_local_reserved_ports',
  'net.ipv4.tcp_keepalive_time',
  'net.ipv4.tcp_fin_timeout',
  'net.ipv4.tcp_keepalive_intvl',
  'net.ipv4.tcp_keepalive_probes',
  'net.ipv4.tcp_rmem',
  'net.ipv4.tcp_wmem',
]);
const PROFILE_TYPES = new Set(['RuntimeDefault', 'Localhost']);
const APPARMOR_ANNOTATION = 'container.apparmor.security.beta.kubernetes.io/';

export const BASELINE: readonly Check[] = [
  {
    id: 'appArmorProfile',
    run: (pod) => [
      ...eachProfile(pod, 'appArmorProfile', PROFILE_TYPES, 'the AppArmor profile must be RuntimeDefault or Localhost'),
      ...appArmorAnnotations(pod),
    ],
  },
  {
    id: 'capabilities_baseline',
    run: (pod) =>
      pod.containers.flatMap((container) =>
        container
          .at('securityContext', 'capabilities', 'add')
          .items()
          .filter((capability) => !BASELINE_CAPABILITIES.has(capability.string()))
          .map((capability) => violation(capability, 'adds a capability beyond the default set')),
      ),
  },
  {
    id: 'hostNamespaces',
    run: ({ spec }) =>
      ['hostNetwork', 'hostPID', 'hostIPC']
        .map((name) => spec.get(name))
        .filter((field) => field.bool() === true)
        .map((field) => violation(field, 'shares a namespace of the host')),
  },
  {
    id: 'hostPathVolumes',
    run: ({ spec }) =>
      spec
        .get('volumes')
        .items()
        .map((volume) => volume.get('hostPath'))
        .filter((hostPath) => hostPath.present)
        .map((hostPath) => violation(hostPath, 'mounts a path of the host')),
  },
  { id: 'hostPorts', run: hostPorts },
  { id: 'hostProbesAndHostLifecycle', run: ({ containers }) => containers.flatMap(probeHosts) },
  {
    id: 'privileged',
    run: ({ containers }) =>
      containers
        .map((container) => container.at('securityContext', 'privileged'))
        .filter((privileged) => privileged.bool() === true)
        .map((privileged) => violation(privileged, 'the container is privileged')),
  },
  { id: 'procMount', run: (pod) => (pod.hasUserNamespace ? [] : procMount(pod)) },
  { id: 'seLinuxOptions', run: seLinuxOptions },
  {
    id: 'seccompProfile_baseline',
    run: (pod) =>
      eachProfile(pod, 'seccompProfile', PROFILE_TYPES, 'the seccomp profile must be RuntimeDefault or Localhost'),
  },
  {
    id: 'sysctls',
    run: ({ spec }) =>
      spec
        .at('securityContext', 'sysctls')
        .items()
        .map((sysctl) => sysctl.get('name'))
        .filter((name) => !SAFE_SYSCTLS.has(name.string()))
        .map((name) => violation(name, 'sets a sysctl that is not known as safe')),
  },
  {
    id: 'windowsHostProcess',
    run: (pod) =>
      eachContext(
        pod,
        ['windowsOptions', 'hostProcess'],
        (field) => field.bool() !== true,
        'runs as a process of the host',
      ),
  },
];

/** The annotations of before 1.30 still work; a container that does not exist may be named in them. */
function appArmorAnnotations({ metadata }: CheckedPod): Violation[] {
  return metadata
    .get('annotations')
    .entries()
    .filter(([key, value]) => key.startsWith(APPARMOR_ANNOTATION) && !isAppArmorValue(value.string()))
    .map(([, value]) => violation(value, 'the AppArmor profile must be runtime/default or localhost/…'));
}

const isAppArmorValue = (value: string): boolean =>
  value === '' || value === 'runtime/default' || value.startsWith('localhost/');

/** With hostNetwork the API server gives each port without a hostPort its containerPort as one. */
function hostPorts({ spec, containers }: CheckedPod): Violation[] {
  const hostNetwork = spec.get('hostNetwork').bool() === true;
  const isSet = (port: Field): boolean => port.present && Number(port.int()) !== 0;
  return containers.flatMap((container) =>
    container
      .get('ports')
      .items()
      .filter((port) => isSet(port.get('hostPort')) || (hostNetwork && isSet(port.get('containerPort'))))
      .map((port) => violation(port.get('hostPort'), 'uses a port of the host')),
  );
}

/** A host of their own makes the kubelet's probes reach anything in its network. */
function probeHosts(container: Field): Violation[] {
  const handlers = [
    ...['livenessProbe', 'readinessProbe', 'startupProbe'].map((probe) => container.get(probe)),
    ...['postStart', 'preStop'].map((hook) => container.at('lifecycle', hook)),
  ];
  return handlers
    .flatMap((handler) => [handler.at('httpGet', 'host'), handler.at('tcpSocket', 'host')])
    .filter((host) => host.string() !== '')
    .map((host) => violation(host, 'a probe or lifecycle handler must not name a host'));
}

export function procMount({ containers }: CheckedPod): Violation[] {
  return containers
    .map((container) => container.at('securityContext', 'procMount'))
    .filter((field) => field.present && field.string() !== 'Default')
    .map((field) => violation(field, 'must be Default'));
}

function seLinuxOptions(pod: CheckedPod): Violation[] {
  return [
    ...eachContext(
      pod,
      ['seLinuxOptions', 'type'],
      (field) => SELINUX_TYPES.has(field.string()),
      'the SELinux type must be container_t, container_init_t, container_kvm_t or container_engine_t',
    ),
    ...['user', 'role'].flatMap((name) =>
      eachContext(
        pod,
        ['seLinuxOptions', name],
        (field) => field.string() === '',
        `the SELinux ${name} must not be set`,
      ),
    ),
  ];
}
