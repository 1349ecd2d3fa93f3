import { readdirSync, readFileSync } from 'node:fs';
import { request } from 'node:https';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApprovalRequest, ApprovalRequestSpec } from '../../src/approval/approval-request.generated.ts';
import type { Answer } from '../cluster/admin-client.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';

const CRDS = new URL('../../crds/', import.meta.url);
export const GATEWAY = 'system:serviceaccount:sallyport-system:sallyport-gateway';
const MERGE = 'application/merge-patch+json';

/** Whom the API server sees. */
export interface Person {
  readonly username: string;
  readonly uid?: string;
  readonly groups?: readonly string[];
  readonly extra?: Readonly<Record<string, string>>;
}

/** An API server with `crds/` as it is applied by a user, and people who ask it something. */
export class Bench {
  readonly cluster: Cluster;
  readonly namespace: string;
  #counter = 0;

  private constructor(cluster: Cluster, namespace: string) {
    this.cluster = cluster;
    this.namespace = namespace;
  }

  /** Applies all of `crds/` in one go, as the README does, and waits until kinds and guard are in force. */
  static async start(): Promise<Bench> {
    // Its own cluster: the guard would hold back the tests of others, who make these objects as cluster-admin.
    const cluster = await startCluster({ audit: 'None' });
    const applied = await cluster.kubectl(['apply', '-f', CRDS.pathname]);
    if (applied.code !== 0 || /warning/i.test(applied.stderr)) throw new Error(applied.stderr);
    const kinds = readdirSync(CRDS).filter((file) => /^kind: CustomResourceDefinition$/m.test(read(file)));
    const names = kinds.map((file) => `crd/${file.replace('.yaml', '')}.sallyport.dev`);
    const waited = await cluster.kubectl(['wait', '--for=condition=Established', '--timeout=30s', ...names]);
    if (waited.code !== 0) throw new Error(waited.stderr);
    const bench = new Bench(cluster, await cluster.namespace('approval'));
    // What the API server has stored it does not yet enforce.
    const deadline = Date.now() + 30_000;
    for (;;) {
      const probe = await bench.create({}, { username: 'nobody', groups: ['system:masters'] });
      if (probe.status === 403) break;
      if (Date.now() > deadline) throw new Error(`the guard is not in force: ${probe.status} ${probe.body}`);
      await sleep(100);
    }
    return bench;
  }

  async stop(): Promise<void> {
    await this.cluster.stop();
  }

  /** Grants `approve` on one policy, in one namespace or (empty) everywhere, and the right to patch the status anywhere. */
  async approver(username: string, policy: string, namespace = this.namespace): Promise<void> {
    const name = `${username.replaceAll(/[^a-z0-9]/g, '-')}-${++this.#counter}`;
    const subjects = [{ kind: 'User', apiGroup: 'rbac.authorization.k8s.io', name: username }];
    const own = {
      apiGroups: ['sallyport.dev'],
      resources: ['agentpolicies'],
      resourceNames: [policy],
      verbs: ['approve'],
    };
    const kind = namespace === '' ? 'Cluster' : '';
    const objects = [
      { kind: `${kind}Role`, metadata: { name, namespace }, rules: [own] },
      { kind: `${kind}RoleBinding`, metadata: { name, namespace }, roleRef: roleRef(`${kind}Role`, name), subjects },
      {
        kind: 'ClusterRole',
        metadata: { name: `${name}-patch` },
        rules: [
          { apiGroups: ['sallyport.dev'], resources: ['approvalrequests', 'approvalrequests/status'], verbs: ['*'] },
        ],
      },
      {
        kind: 'ClusterRoleBinding',
        metadata: { name: `${name}-patch` },
        roleRef: roleRef('ClusterRole', `${name}-patch`),
        subjects,
      },
    ];
    const list = objects.map((object) => JSON.stringify({ apiVersion: 'rbac.authorization.k8s.io/v1', ...object }));
    await this.cluster.apply(list.join('\n---\n'));
  }

  /** Makes a request; by the gateway, where nobody else is given. */
  async create(change: Partial<ApprovalRequestSpec>, by: Person = gateway, name = this.name()): Promise<Answer> {
    const spec = { ...specOf(this.namespace), ...change };
    const object = { apiVersion: 'sallyport.dev/v1alpha1', kind: 'ApprovalRequest', metadata: { name }, spec };
    return await this.send(by, 'POST', this.path(), object);
  }

  /** A pending request, made by the gateway. */
  async pending(change: Partial<ApprovalRequestSpec> = {}): Promise<string> {
    const name = this.name();
    const made = await this.create(change, gateway, name);
    if (made.status !== 201) throw new Error(made.body);
    return name;
  }

  async patch(by: Person, name: string, body: object, subresource = '/status'): Promise<Answer> {
    return await this.send(by, 'PATCH', `${this.path(name)}${subresource}`, body, MERGE);
  }

  async get(name: string): Promise<ApprovalRequest> {
    return (await this.cluster.admin('GET', this.path(name))).json();
  }

  path(name = ''): string {
    return `/apis/sallyport.dev/v1alpha1/namespaces/${this.namespace}/approvalrequests${name === '' ? '' : `/${name}`}`;
  }

  name(): string {
    return `ar-0123456789-${++this.#counter}`;
  }

  /** As somebody, by impersonation: admission sees the same as from a certificate or a token. */
  async send(by: Person, method: string, path: string, body?: unknown, type = 'application/json'): Promise<Answer> {
    const pki = (name: string): string => readFileSync(join(this.cluster.directory, 'pki', name), 'utf8');
    const headers: Record<string, string | string[]> = { 'content-type': type, 'impersonate-user': by.username };
    if (by.uid !== undefined) headers['impersonate-uid'] = by.uid;
    headers['impersonate-group'] = ['system:authenticated', ...(by.groups ?? [])];
    for (const [key, value] of Object.entries(by.extra ?? {})) {
      headers[`impersonate-extra-${encodeURIComponent(key)}`] = value;
    }
    return await new Promise((resolve, reject) => {
      const tls = { ca: this.cluster.caPem, cert: pki('kubelet-client.crt'), key: pki('kubelet-client.key') };
      const asked = request(this.cluster.url + path, { method, headers, ...tls, agent: false }, (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => (text += part));
        answer.on('end', () => resolve({ status: answer.statusCode!, body: text, json: () => JSON.parse(text) }));
      });
      asked.on('error', reject);
      asked.end(body === undefined ? undefined : JSON.stringify(body));
    });
  }
}

/** The gateway, allowed everything by RBAC here: these tests are about what stands in its way nevertheless. */
export const gateway: Person = { username: GATEWAY, groups: ['system:masters'] };

export function specOf(namespace: string): ApprovalRequestSpec {
  return {
    requester: {
      issuer: 'https://login.example',
      username: 'alice@shop.example',
      agent: 'cursor',
      onBehalfOf: 'alice@shop.example',
      session: 'cursor-1',
    },
    operation: {
      display: `create pods/exec ${namespace}/web`,
      verb: 'create',
      apiGroup: '',
      apiVersion: 'v1',
      resource: 'pods',
      subresource: 'exec',
      namespace,
      name: 'web',
      method: 'POST',
      path: `/api/v1/namespaces/${namespace}/pods/web/exec`,
      command: ['nginx', '-s', 'reload'],
    },
    leg: 'Gateway',
    digest: '0123456789abcdef'.repeat(4),
    policyRef: { name: 'cursor-in-production', uid: 'f0e1', generation: 3 },
    ruleName: 'other-exec',
    reason: 'exec in production',
    summary: 'kubectl exec web -- nginx -s reload',
    expirationTime: new Date(Date.now() + 900_000).toISOString().replace(/\.\d+/, ''),
    requiredApprovals: 1,
    approvers: 'Others',
    maxUses: 1,
    grantTTL: '5m',
  };
}

function roleRef(kind: string, name: string): object {
  return { apiGroup: 'rbac.authorization.k8s.io', kind, name };
}

function read(file: string): string {
  return readFileSync(new URL(file, CRDS), 'utf8');
}
