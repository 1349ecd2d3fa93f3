import fc from 'fast-check';

/**
 * Pods for the Pod Security oracle: valid for the API server, with every field that a check reads set well, badly or not
 * at all. Most fields are absent most of the time, or nothing would ever be accepted.
 */
const sometimes = <T>(arbitrary: fc.Arbitrary<T>, weight = 1): fc.Arbitrary<T | undefined> =>
  fc.oneof({ arbitrary: fc.constant(undefined), weight: 4 }, { arbitrary, weight });

/** Drops what is undefined, at every depth, so that the object is what would be sent. */
const sent = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

const profile = fc.oneof(
  fc.constant({ type: 'RuntimeDefault' }),
  fc.constant({ type: 'Localhost', localhostProfile: 'a.json' }),
  fc.constant({ type: 'Unconfined' }),
);
const seLinux = fc.record(
  {
    type: fc.constantFrom('', 'container_t', 'container_init_t', 'container_kvm_t', 'container_engine_t', 'spc_t'),
    user: fc.constantFrom('', 'system_u'),
    role: fc.constantFrom('', 'system_r'),
    level: fc.constant('s0:c1,c2'),
  },
  { requiredKeys: [] },
);
const capability = fc.constantFrom(
  'NET_BIND_SERVICE',
  'CHOWN',
  'KILL',
  'SYS_ADMIN',
  'NET_RAW',
  'ALL',
  'net_bind_service',
);
const good = {
  allowPrivilegeEscalation: false,
  capabilities: { drop: ['ALL'] },
  runAsNonRoot: true,
  seccompProfile: { type: 'RuntimeDefault' },
};

const containerContext = fc
  .record({
    base: fc.constantFrom({}, good, good),
    privileged: sometimes(fc.boolean()),
    allowPrivilegeEscalation: sometimes(fc.boolean()),
    runAsNonRoot: sometimes(fc.boolean()),
    runAsUser: sometimes(fc.constantFrom(0, 1, 1000)),
    capabilities: sometimes(
      fc.record(
        {
          add: fc.array(capability, { maxLength: 2 }),
          drop: fc.array(fc.constantFrom('ALL', 'KILL', 'all'), { maxLength: 2 }),
        },
        { requiredKeys: [] },
      ),
    ),
    procMount: sometimes(fc.constantFrom('Default', 'Unmasked')),
    seLinuxOptions: sometimes(seLinux),
    seccompProfile: sometimes(profile),
    appArmorProfile: sometimes(profile),
    windowsOptions: sometimes(fc.constant({ hostProcess: false })),
  })
  .map(({ base, ...rest }) => ({ ...base, ...(sent(rest) as object) }))
  // Of these two the API server refuses what contradicts itself.
  .map((context: Record<string, unknown>) =>
    context['privileged'] === true && context['allowPrivilegeEscalation'] === false
      ? { ...context, allowPrivilegeEscalation: true }
      : context,
  );

const host = fc.constantFrom('', '127.0.0.1', 'example.com');
const handler = fc.oneof(
  fc.record({
    httpGet: fc.record({ port: fc.constant(80), path: fc.constant('/'), host }, { requiredKeys: ['port'] }),
  }),
  fc.record({ tcpSocket: fc.record({ port: fc.constant(80), host }, { requiredKeys: ['port'] }) }),
  fc.constant({ exec: { command: ['true'] } }),
);
const ports = fc.array(
  fc.record(
    { containerPort: fc.integer({ min: 1, max: 9 }), hostPort: fc.constantFrom(0, 8080) },
    { requiredKeys: ['containerPort'] },
  ),
  { maxLength: 1 },
);

const container = fc
  .record({
    image: fc.constant('registry.example/app:1'),
    securityContext: fc.option(containerContext, { nil: undefined, freq: 6 }),
    ports: sometimes(ports),
    livenessProbe: sometimes(handler),
    readinessProbe: sometimes(handler),
    startupProbe: sometimes(handler),
    lifecycle: sometimes(fc.record({ postStart: handler, preStop: handler }, { requiredKeys: [] })),
  })
  .map(sent) as fc.Arbitrary<Record<string, unknown>>;

/** Init containers take no probes or hooks unless they are sidecars. */
const initContainer = container.map(({ livenessProbe, readinessProbe, startupProbe, lifecycle, ...rest }) => {
  const handlers = sent({ livenessProbe, readinessProbe, startupProbe, lifecycle }) as object;
  return Object.keys(handlers).length === 0 ? rest : { ...rest, ...handlers, restartPolicy: 'Always' };
});

const permitted = fc.constantFrom<object>(
  {},
  { emptyDir: {} },
  { configMap: { name: 'a', optional: true } },
  { secret: { secretName: 'a', optional: true } },
  { downwardAPI: { items: [] } },
  { projected: { sources: [{ serviceAccountToken: { path: 'token' } }, { secret: { name: 'a', optional: true } }] } },
  { csi: { driver: 'csi.example' } },
  { persistentVolumeClaim: { claimName: 'a' } },
  {
    ephemeral: {
      volumeClaimTemplate: { spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Mi' } } } },
    },
  },
  { image: { reference: 'registry.example/data:1' } },
);
const restricted = fc.constantFrom<object>(
  { hostPath: { path: '/var' } },
  { nfs: { server: 's', path: '/' } },
  { iscsi: { targetPortal: '1.2.3.4:3260', iqn: 'iqn.2001-04.com.example:x', lun: 0 } },
  { rbd: { monitors: ['a'], image: 'b' } },
  { cephfs: { monitors: ['a'] } },
  { fc: { targetWWNs: ['a'], lun: 0 } },
  { flexVolume: { driver: 'a/b' } },
  { glusterfs: { endpoints: 'a', path: 'b' } },
  { azureFile: { secretName: 'a', shareName: 'b' } },
  { azureDisk: { diskName: 'a', diskURI: 'https://blob/a', kind: 'Shared' } },
  { gcePersistentDisk: { pdName: 'a' } },
  { awsElasticBlockStore: { volumeID: 'a' } },
  { cinder: { volumeID: 'a' } },
  { quobyte: { registry: 'a:1', volume: 'b' } },
  { scaleIO: { gateway: 'a', system: 'b', volumeName: 'c', secretRef: { name: 'd' } } },
  { storageos: { volumeName: 'a' } },
  { vsphereVolume: { volumePath: 'a' } },
  { portworxVolume: { volumeID: 'a' } },
  { photonPersistentDisk: { pdID: 'a' } },
  { flocker: { datasetName: 'a' } },
);

const podContext = fc
  .record({
    runAsNonRoot: sometimes(fc.boolean(), 2),
    runAsUser: sometimes(fc.constantFrom(0, 1000)),
    seccompProfile: sometimes(profile, 2),
    appArmorProfile: sometimes(profile),
    seLinuxOptions: sometimes(seLinux),
    sysctls: sometimes(
      fc.uniqueArray(
        fc.constantFrom(
          { name: 'kernel.shm_rmid_forced', value: '1' },
          { name: 'net.ipv4.ip_local_reserved_ports', value: '1' },
          { name: 'net.ipv4.tcp_keepalive_time', value: '1' },
          { name: 'net.ipv4.tcp_rmem', value: '1' },
          { name: 'kernel.msgmax', value: '1' },
          { name: 'net.core.somaxconn', value: '1' },
        ),
        { maxLength: 3, selector: ({ name }) => name },
      ),
    ),
  })
  .map(sent) as fc.Arbitrary<Record<string, unknown>>;

const annotations = fc.dictionary(
  fc.constantFrom(
    'container.apparmor.security.beta.kubernetes.io/c0',
    'container.apparmor.security.beta.kubernetes.io/i0',
    'seccomp.security.alpha.kubernetes.io/pod',
    'example.com/note',
  ),
  fc.constantFrom('runtime/default', 'localhost/a', 'unconfined'),
  { maxKeys: 1 },
);

const linux = fc
  .record({
    annotations: sometimes(annotations),
    securityContext: fc.option(podContext, { nil: undefined, freq: 6 }),
    containers: fc.array(container, { minLength: 1, maxLength: 2 }),
    initContainers: sometimes(fc.array(initContainer, { minLength: 1, maxLength: 1 })),
    volumes: sometimes(
      fc.array(fc.oneof({ arbitrary: permitted, weight: 5 }, { arbitrary: restricted, weight: 2 }), {
        minLength: 1,
        maxLength: 2,
      }),
      2,
    ),
    hostNetwork: sometimes(fc.boolean()),
    hostPID: sometimes(fc.boolean()),
    hostIPC: sometimes(fc.boolean()),
    hostUsers: sometimes(fc.boolean(), 2),
    os: sometimes(fc.constant({ name: 'linux' })),
  })
  .map((pod) => named(sent(pod) as Shape));

/** Of a Windows Pod the API server refuses what has no meaning there, so it has shapes of its own. */
const windowsOptions = fc.record(
  { hostProcess: fc.boolean(), runAsUserName: fc.constant('user') },
  { requiredKeys: [] },
);
const windows = fc
  .record({
    containers: fc.array(
      fc.record(
        {
          image: fc.constant('registry.example/app:1'),
          securityContext: fc.record(
            { runAsNonRoot: fc.boolean(), windowsOptions: fc.constant({}) },
            { requiredKeys: [] },
          ),
          ports,
        },
        { requiredKeys: ['image'] },
      ),
      { minLength: 1, maxLength: 2 },
    ),
    securityContext: fc.record({ runAsNonRoot: fc.boolean(), windowsOptions }, { requiredKeys: [] }),
    volumes: sometimes(fc.array(fc.oneof(permitted, restricted), { minLength: 1, maxLength: 1 })),
    hostNetwork: fc.boolean(),
  })
  .map((pod) => {
    const options = (pod.securityContext as { windowsOptions?: { hostProcess?: boolean } }).windowsOptions;
    // A process of the host must be in the host's network.
    return named({ ...(sent(pod) as Shape), hostNetwork: options?.hostProcess === true, os: { name: 'windows' } });
  });

interface Shape {
  annotations?: Record<string, string>;
  containers: object[];
  initContainers?: object[];
  volumes?: object[];
  [field: string]: unknown;
}

export interface GeneratedPod {
  apiVersion: 'v1';
  kind: 'Pod';
  metadata: { name: string; annotations: Record<string, string> };
  spec: Record<string, unknown>;
}

function named({ annotations: notes = {}, containers, initContainers, volumes, ...spec }: Shape): GeneratedPod {
  const list = (items: object[] | undefined, prefix: string) =>
    items?.map((item, i) => ({ name: `${prefix}${i}`, ...item }));
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'generated', annotations: notes },
    spec: sent({
      ...spec,
      containers: list(containers, 'c'),
      initContainers: list(initContainers, 'i'),
      volumes: list(volumes, 'v'),
    }) as Record<string, unknown>,
  };
}

export const generatedPod: fc.Arbitrary<GeneratedPod> = fc.oneof(
  { arbitrary: linux, weight: 9 },
  { arbitrary: windows, weight: 1 },
);
