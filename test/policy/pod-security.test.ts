import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import fc from 'fast-check';
import { Budget, fromJson } from '../../src/policy/cel/engine.ts';
import { podSecurity } from '../../src/policy/functions/pod-security.ts';
import { type Cluster, sharedCluster } from '../cluster/cluster.ts';
import { type GeneratedPod, generatedPod } from './pod-generator.ts';

/** The words of the API server's admission for each check; the message lists those that were violated. */
const REASONS: Record<string, RegExp> = {
  appArmorProfile: /forbidden AppArmor profiles? \(/,
  capabilities_baseline: /non-default capabilities \(/,
  hostNamespaces: /host namespaces \(/,
  hostPathVolumes: /hostPath volumes \(/,
  hostPorts: /hostPort \(/,
  hostProbesAndHostLifecycle: /probe or lifecycle host \(/,
  privileged: /(?:^|, |: )privileged \(/,
  procMount: /procMount \(/,
  seLinuxOptions: /seLinuxOptions \(/,
  seccompProfile: /seccompProfile \(/,
  sysctls: /forbidden sysctls \(/,
  windowsHostProcess: /hostProcess \(/,
  allowPrivilegeEscalation: /allowPrivilegeEscalation != false \(/,
  capabilities_restricted: /unrestricted capabilities \(/,
  restrictedVolumes: /restricted volume types \(/,
  runAsNonRoot: /runAsNonRoot != true \(/,
  runAsUser: /runAsUser=0 \(/,
};
/** One check in words, two in levels. */
const asReason = (id: string): string => id.replace(/^(procMount|seccompProfile)_.*/, '$1');

const LEVELS = ['baseline', 'restricted'] as const;
let cluster: Cluster;
const namespaces = new Map<string, string>();

before(async () => {
  cluster = await sharedCluster();
  for (const level of LEVELS) {
    const labels = {
      'pod-security.kubernetes.io/enforce': level,
      'pod-security.kubernetes.io/enforce-version': 'latest',
    };
    const namespace = await cluster.namespace(`psa-${level}`, labels);
    namespaces.set(level, namespace);
    await cluster.admin('POST', `/api/v1/namespaces/${namespace}/serviceaccounts`, { metadata: { name: 'default' } });
  }
});
after(async () => {
  for (const namespace of namespaces.values()) await cluster.admin('DELETE', `/api/v1/namespaces/${namespace}`);
  await cluster?.stop();
});

function ours(pod: GeneratedPod, level: string): string[] {
  const violations = podSecurity(fromJson(pod), level, new Budget()) as readonly { id: string }[];
  const violated = new Set(violations.map(({ id }) => asReason(id)));
  const unknown = [...violated].filter((id) => !(id in REASONS));
  return [...Object.keys(REASONS).filter((id) => violated.has(id)), ...unknown];
}

async function theirs(pod: GeneratedPod, level: string): Promise<string[] | string> {
  const path = `/api/v1/namespaces/${namespaces.get(level)}/pods?dryRun=All`;
  const answer = await cluster.admin('POST', path, pod);
  if (answer.status === 201) return [];
  const { message } = answer.json() as { message: string };
  const words = /violates PodSecurity "[^"]*": (.*)$/s.exec(message)?.[1];
  // Not the standard: the Pod is refused by validation.
  if (words === undefined) return message;
  return Object.keys(REASONS).filter((id) => REASONS[id]!.test(`: ${words}`));
}

test('the API server and podSecurity accept and refuse alike, for the same checks', { timeout: 300_000 }, async (t) => {
  const pods = fc.sample(generatedPod, { numRuns: 700, seed: 20_260_101 });
  const invalid: string[] = [];
  const seen = new Set<string>();
  let accepted = 0;
  let compared = 0;
  const queue = pods.flatMap((pod) => LEVELS.map((level) => ({ pod, level })));
  const worker = async (): Promise<void> => {
    for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
      const { pod, level } = next;
      const expected = await theirs(pod, level);
      if (typeof expected === 'string') {
        invalid.push(expected);
        continue;
      }
      const found = ours(pod, level);
      assert.deepEqual(found, expected, `${level}: ${JSON.stringify(pod)}`);
      for (const id of found) seen.add(id);
      if (found.length === 0) accepted++;
      compared++;
    }
  };
  await Promise.all(Array.from({ length: 8 }, worker));
  t.diagnostic(`${compared} compared, ${accepted} accepted, ${invalid.length} not valid as Pods`);
  assert.ok(
    compared >= 600,
    `only ${compared} were comparable; the others: ${[...new Set(invalid)].slice(0, 5).join('\n')}`,
  );
  assert.ok(accepted >= 50, `only ${accepted} were accepted`);
  const never = Object.keys(REASONS).filter((id) => !seen.has(id));
  assert.deepEqual(never, [], 'every check was violated by some Pod');
});

const fine = {
  containers: [
    {
      name: 'c',
      image: 'i',
      securityContext: {
        allowPrivilegeEscalation: false,
        capabilities: { drop: ['ALL'] },
        runAsNonRoot: true,
        seccompProfile: { type: 'RuntimeDefault' },
      },
    },
  ],
};

test('ephemeral containers are judged as the API server judges them', async () => {
  const namespace = namespaces.get('restricted')!;
  const pods = `/api/v1/namespaces/${namespace}/pods`;
  const pod = { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'base', annotations: {} }, spec: fine };
  const made = await cluster.admin('POST', pods, pod);
  assert.equal(made.status, 201, made.body);
  const good = fine.containers[0]!.securityContext;
  const contexts: object[] = [
    good,
    { ...good, privileged: true, allowPrivilegeEscalation: true },
    { ...good, runAsUser: 0 },
    { ...good, capabilities: { drop: ['ALL'], add: ['SYS_PTRACE'] } },
    { ...good, seccompProfile: { type: 'Unconfined' } },
    {},
  ];
  for (const securityContext of contexts) {
    const ephemeralContainers = [{ name: 'debug', image: 'i', securityContext }];
    const path = `${pods}/base/ephemeralcontainers?dryRun=All`;
    const patch = JSON.stringify({ spec: { ephemeralContainers } });
    const answer = await cluster.admin('PATCH', path, patch, 'application/strategic-merge-patch+json');
    const found = ours({ ...pod, kind: 'Pod', apiVersion: 'v1', spec: { ...fine, ephemeralContainers } }, 'restricted');
    assert.equal(answer.status, found.length === 0 ? 200 : 403, `${found} ${answer.body}`);
  }
});
