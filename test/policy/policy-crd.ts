import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import type { Cluster } from '../cluster/cluster.ts';

export const POLICIES = '/apis/sallyport.dev/v1alpha1/agentpolicies';

/** Puts the kind AgentPolicy into a cluster and waits until it is served. */
export async function applyPolicyCRD(cluster: Cluster): Promise<void> {
  await cluster.apply(readFileSync(new URL('../../crds/agentpolicies.yaml', import.meta.url), 'utf8'));
  const deadline = Date.now() + 20_000;
  while ((await cluster.admin('GET', POLICIES)).status !== 200) {
    if (Date.now() > deadline) throw new Error('agentpolicies are not served');
    await setTimeout(100);
  }
}
