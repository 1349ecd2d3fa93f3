import type { Field } from './field.ts';
import { sourcesOf } from './pod-contents.ts';
import type { Check, CheckedPod, Violation } from './pod-security.ts';
import { procMount } from './pod-security-baseline.ts';
import { eachContext, violation } from './pod-security-context.ts';

const VOLUMES = new Set([
  'configMap',
  'csi',
  'downwardAPI',
  'emptyDir',
  'ephemeral',
  'image',
  'persistentVolumeClaim',
  'projected',
  'secret',
]);
const PROFILE_TYPES = new Set(['RuntimeDefault', 'Localhost']);

/** For Windows some fields cannot be set at all, so they are not asked for. */
const onLinux =
  (run: (pod: CheckedPod) => Violation[]) =>
  (pod: CheckedPod): Violation[] =>
    pod.isWindows ? [] : run(pod);

const withoutUserNamespace =
  (run: (pod: CheckedPod) => Violation[]) =>
  (pod: CheckedPod): Violation[] =>
    pod.hasUserNamespace ? [] : run(pod);

export const RESTRICTED: readonly Check[] = [
  {
    id: 'allowPrivilegeEscalation',
    run: onLinux(({ containers }) =>
      containers
        .map((container) => container.at('securityContext', 'allowPrivilegeEscalation'))
        .filter((field) => field.bool() !== false)
        .map((field) => violation(field, 'must be false')),
    ),
  },
  {
    id: 'capabilities_restricted',
    replaces: ['capabilities_baseline'],
    run: onLinux(({ containers }) => containers.flatMap(capabilities)),
  },
  { id: 'procMount_restricted', replaces: ['procMount'], run: procMount },
  {
    id: 'restrictedVolumes',
    replaces: ['hostPathVolumes'],
    run: ({ spec }) =>
      spec
        .get('volumes')
        .items()
        .filter((volume) => {
          const sources = sourcesOf(volume);
          return sources.length > 0 && !sources.some((source) => VOLUMES.has(source));
        })
        .map((volume) => violation(volume, `uses a restricted volume type: ${sourcesOf(volume).join(', ')}`)),
  },
  { id: 'runAsNonRoot', run: withoutUserNamespace(runAsNonRoot) },
  {
    id: 'runAsUser',
    run: withoutUserNamespace((pod) =>
      eachContext(pod, ['runAsUser'], (field) => Number(field.int()) !== 0, 'must not be 0'),
    ),
  },
  { id: 'seccompProfile_restricted', replaces: ['seccompProfile_baseline'], run: onLinux(seccompProfile) },
];

function capabilities(container: Field): Violation[] {
  const field = container.at('securityContext', 'capabilities');
  const found: Violation[] = [];
  const dropped = field.get('drop');
  if (!dropped.items().some((capability) => capability.string() === 'ALL')) {
    found.push(violation(dropped, 'must drop ALL'));
  }
  for (const capability of field.get('add').items()) {
    if (capability.string() !== 'NET_BIND_SERVICE') found.push(violation(capability, 'may only add NET_BIND_SERVICE'));
  }
  return found;
}

/** Explicitly false anywhere violates; missing at a container only where the Pod does not set it. */
function runAsNonRoot({ spec, containers }: CheckedPod): Violation[] {
  const pod = spec.at('securityContext', 'runAsNonRoot');
  const found: Violation[] = pod.bool() === false ? [violation(pod, 'must not be false')] : [];
  for (const container of containers) {
    const field = container.at('securityContext', 'runAsNonRoot');
    const value = field.bool();
    if (value === false) found.push(violation(field, 'must not be false'));
    else if (value === undefined && pod.bool() !== true) found.push(violation(field, 'must be true'));
  }
  return found;
}

function seccompProfile({ spec, containers }: CheckedPod): Violation[] {
  const must = 'the seccomp profile must be RuntimeDefault or Localhost';
  const permitted = (profile: Field): boolean => PROFILE_TYPES.has(profile.get('type').string());
  const pod = spec.at('securityContext', 'seccompProfile');
  const found: Violation[] = pod.present && !permitted(pod) ? [violation(pod.get('type'), must)] : [];
  const podSets = pod.present && permitted(pod);
  for (const container of containers) {
    const profile = container.at('securityContext', 'seccompProfile');
    if (profile.present ? !permitted(profile) : !podSets) found.push(violation(profile.get('type'), must));
  }
  return found;
}
