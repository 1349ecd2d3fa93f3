import { stringify } from 'yaml';
import type { Cluster } from '../cluster/cluster.ts';
import type { GatewayProcess } from '../gateway/gateway-process.ts';

export const GROUP = 'ai-agents';
/** Whose requests are recorded, as much as there is, and not let through without. */
export const RECORDED = 'recorded';
/** Whose requests meet as many policies as those that are recorded, none of which wants a record. */
export const UNRECORDED = 'unrecorded';
/** Whoever is in it sees everything as it is: what masking costs is a question of its own. */
export const UNMASKED = 'unmasked';

/** How many policies agentManifests has: in force before any other. */
export const BED_POLICIES = 3;

/** What the agent of the benchmark may do, and the RBAC behind it. */
export function agentManifests(namespace: string): string {
  const reads = { verbs: ['get', 'list', 'watch'], apiGroups: [''], resources: ['*', 'pods/log'] };
  const lookAround = { name: 'look-around', action: 'Allow', match: { ...reads, namespaces: [namespace] } };
  const patch = { verbs: ['patch'], apiGroups: [''], resources: ['configmaps'], namespaces: [namespace] };
  const change = { name: 'change', action: 'Allow', match: patch };
  return [
    policy('bench-recorded', [lookAround, change], RECORDED),
    policy('bench-unrecorded', [lookAround, change], UNRECORDED),
    policy('bench', [
      lookAround,
      {
        name: 'shell',
        action: 'Allow',
        match: { verbs: ['create', 'get'], apiGroups: [''], resources: ['pods/exec'], namespaces: [namespace] },
      },
    ]),
    {
      apiVersion: 'sallyport.dev/v1alpha1',
      kind: 'MaskingRule',
      metadata: { name: 'bench-unmasked' },
      spec: {
        subjects: [{ kind: 'Group', name: UNMASKED }],
        match: { apiGroups: ['*'], resources: ['*', '*/*'] },
        exempt: true,
      },
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'Role',
      metadata: { name: 'agents', namespace },
      rules: [{ apiGroups: [''], resources: ['*'], verbs: ['*'] }],
    },
    {
      apiVersion: 'rbac.authorization.k8s.io/v1',
      kind: 'RoleBinding',
      metadata: { name: 'agents', namespace },
      roleRef: { apiGroup: 'rbac.authorization.k8s.io', kind: 'Role', name: 'agents' },
      subjects: [{ apiGroup: 'rbac.authorization.k8s.io', kind: 'Group', name: `sallyport:${GROUP}` }],
    },
  ]
    .map((object) => stringify(object))
    .join('---\n');
}

function policy(name: string, rules: object[], group = GROUP) {
  return {
    apiVersion: 'sallyport.dev/v1alpha1',
    kind: 'AgentPolicy',
    metadata: { name },
    spec: {
      subjects: [{ kind: 'Group', name: group }],
      recording: group === RECORDED ? { level: 'RequestResponse', mode: 'Strict' } : { level: 'None' },
      rules,
    },
  };
}

/**
 * So many policies more. Every one names the benchmark's own caller, half of them with a rule on the very verb and resource that
 * is measured, in other namespaces: none can be left aside because it speaks of somebody else.
 */
export function crowdOfPolicies(count: number): { metadata: { name: string } }[] {
  return Array.from({ length: count }, (_, index) => {
    const team = `team-${index}`;
    const rules = [
      {
        name: 'own-namespaces',
        action: 'Allow',
        match: {
          verbs: index % 2 === 0 ? ['get', 'list', 'watch'] : ['create', 'update', 'patch'],
          apiGroups: ['', 'apps'],
          resources: ['configmaps', 'pods', 'services', 'deployments'],
          namespaces: [team, `${team}-*`],
        },
      },
      {
        name: 'only-our-images',
        action: 'Deny',
        match: { verbs: ['create', 'update', 'patch'], apiGroups: ['', 'apps'], resources: ['*'], namespaces: [team] },
        matchConditions: [
          { name: 'foreign-image', expression: `images(object).exists(i, !i.startsWith('registry.${team}.example/'))` },
        ],
      },
      {
        name: 'not-at-night',
        action: 'Deny',
        match: { verbs: ['delete'], apiGroups: ['', 'apps'], resources: ['*'], namespaces: [team] },
        matchConditions: [{ name: 'night', expression: 'now.getHours() < 6' }],
      },
    ];
    return policy(`bench-${team}`, rules);
  });
}

const PATH = '/apis/sallyport.dev/v1alpha1/agentpolicies';

/** Puts policies in force, and waits until the gateway says so. */
export async function addPolicies(cluster: Cluster, gateway: GatewayProcess, count: number): Promise<void> {
  await many(crowdOfPolicies(count), async (one) => {
    const answer = await cluster.admin('POST', PATH, one);
    if (answer.status !== 201) throw new Error(`no policy: ${answer.body}`);
  });
  await inForce(gateway, BED_POLICIES + count);
}

export async function removePolicies(cluster: Cluster, gateway: GatewayProcess, count: number): Promise<void> {
  await many(crowdOfPolicies(count), async ({ metadata }) => {
    await cluster.admin('DELETE', `${PATH}/${metadata.name}`);
  });
  await inForce(gateway, BED_POLICIES);
}

export async function inForce(gateway: GatewayProcess, count: number): Promise<void> {
  const line = `sallyport_policies{enforcement="Enforce"} ${count}\n`;
  for (let attempt = 0; attempt < 1_200; attempt++) {
    if ((await gateway.probe('/metrics')).body.includes(line)) return;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`the gateway has not ${count} policies in force`);
}

/** A few at a time. */
export async function many<Item>(items: readonly Item[], work: (item: Item) => Promise<void>): Promise<void> {
  const left = [...items];
  const one = async (): Promise<void> => {
    for (let item = left.pop(); item !== undefined; item = left.pop()) await work(item);
  };
  await Promise.all(Array.from({ length: 8 }, one));
}
