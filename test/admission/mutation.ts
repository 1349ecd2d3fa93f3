import assert from 'node:assert/strict';
import type { Scene } from '../gateway/scene.ts';

/** While something is tried, another party of the cluster puts an entry into the data of ConfigMaps that are made: after the gateway, before the webhook. */
export async function whileMutated(
  { cluster, namespace }: Scene,
  { name, entry, of = 'true' }: { readonly name: string; readonly entry: string; readonly of?: string },
  tried: () => Promise<void>,
): Promise<void> {
  const mutation = `
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicy
metadata: {name: ${name}}
spec:
  failurePolicy: Fail
  reinvocationPolicy: Never
  matchConstraints:
    namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ${namespace}}}
    resourceRules: [{apiGroups: [""], apiVersions: [v1], operations: [CREATE], resources: [configmaps]}]
  matchConditions: [{name: one, expression: "${of}"}]
  mutations:
    - patchType: JSONPatch
      jsonPatch: {expression: "[JSONPatch{op: 'add', path: '/data/${entry}', value: '1'}]"}
---
apiVersion: admissionregistration.k8s.io/v1
kind: MutatingAdmissionPolicyBinding
metadata: {name: ${name}}
spec: {policyName: ${name}}
`;
  const applied = await cluster.kubectl(['apply', '-f', '-'], { input: mutation });
  assert.equal(applied.code, 0, applied.stderr);
  try {
    await tried();
  } finally {
    for (const kind of ['mutatingadmissionpolicybinding', 'mutatingadmissionpolicy']) {
      await cluster.kubectl(['delete', kind, name, '--ignore-not-found']);
    }
  }
}
