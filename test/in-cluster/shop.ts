import { readFileSync } from 'node:fs';
import { SHOP_IMAGE } from './installation.ts';

const ROOT = new URL('../../', import.meta.url).pathname;

/** The example's policy as it is, but that nobody waits for half a minute; beside it what streams need. */
export function policies(): string {
  const example = readFileSync(`${ROOT}examples/policies/cursor-in-production.yaml`, 'utf8');
  return `${example.replace('waitTimeout: 30s', 'waitTimeout: 1s')}
---
apiVersion: sallyport.dev/v1alpha1
kind: AgentPolicy
metadata: {name: cursor-forwards}
spec:
  subjects: [{kind: Group, name: ai-agents}]
  rules:
    - name: the-page
      action: Allow
      match: {verbs: [create], apiGroups: [""], resources: [pods/portforward], namespaces: [shop], ports: [80]}
`;
}

/** The shop; RBAC behind the gate for a name that only the gate asserts, and the same for who goes around it. */
export const SHOP = `
apiVersion: v1
kind: Namespace
metadata: {name: shop, labels: {team: shop}}
---
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: shop, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: web
      image: ${SHOP_IMAGE}
      imagePullPolicy: Never
      command: [sh, -c, "mkdir -p /www && echo a page > /www/index.html && echo started && exec httpd -f -p 80 -h /www"]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: greeting, namespace: shop}
data: {hello: world}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: ai-agents, namespace: shop}
rules:
  - {apiGroups: ["", apps, batch], resources: ["*"], verbs: ["*"]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: ai-agents, namespace: shop}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: ai-agents}
subjects:
  - {apiGroup: rbac.authorization.k8s.io, kind: Group, name: "sallyport:ai-agents"}
  - {apiGroup: rbac.authorization.k8s.io, kind: Group, name: ai-agents}
`;
