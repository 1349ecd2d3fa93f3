import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Scene } from '../gateway/scene.ts';

/** Whoever reads needs nobody, whoever writes a person. */
export const RULES = `
    - name: look
      action: Allow
      match: {verbs: [get, list, watch], apiGroups: ["*"], resources: ["*"]}
    - name: writes
      action: RequireApproval
      match: {verbs: [create, update, patch, delete, deletecollection], apiGroups: ["*"], resources: ["*", "*/*"]}`;

/** Whoever speaks for the agent of a session is in no group that other tests know. */
export function ownAgents({ identity }: { identity: { sessions: object } }): void {
  identity.sessions = { agents: [{ name: 'cursor' }] };
}

/** A policy beside it that holds connections and lets sessions be granted, for people of a group of their own. */
export async function holding(scene: Scene): Promise<void> {
  const group = `held-${scene.namespace}`;
  await scene.cluster.apply(`
apiVersion: sallyport.dev/v1alpha1
kind: AgentPolicy
metadata: {name: ${group}}
spec:
  subjects: [{kind: Group, name: ${group}}]
  rules:${RULES}
      approval: {waitTimeout: 60s, maxGrantDuration: 30m}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: ${group}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "sallyport:${group}"}]
`);
  await sleep(1_000);
}

/** Of an agent session: what a rule grants, it grants to one. */
export async function sessionKubeconfig(scene: Scene): Promise<string> {
  const token = await scene.gateway.token({
    sub: `alice-${scene.namespace}`,
    groups: [`held-${scene.namespace}`],
    uid: 'a',
  });
  const body = 'grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange&agent=cursor';
  const headers = ['Content-Type', 'application/x-www-form-urlencoded'];
  const answer = await scene.ask('/sallyport/v1/token', { method: 'POST', headers, body, token });
  assert.equal(answer.status, 200, answer.body);
  return await scene.kubeconfig(answer.json().access_token);
}
