import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { parse, stringify } from 'yaml';
import { type Cluster, sharedCluster } from '../cluster/cluster.ts';
import { GatewayProcess } from '../gateway/gateway-process.ts';
import { CLIENT_ID, TestProvider } from '../oidc/provider.ts';
import { browserProgram, type Folder, runCli } from './run-cli.ts';

/** What a person does: one command, then an unmodified kubectl. */
describe('sallyport kubeconfig and kubectl', { timeout: 240_000 }, () => {
  let cluster: Cluster;
  let provider: TestProvider;
  let gateway: GatewayProcess;
  let shop: string;
  let caFile: string;
  const place: Folder = { folder: mkdtempSync(join(tmpdir(), 'sallyport-person-')) };
  const home = join(place.folder, 'home');

  before(async () => {
    mkdirSync(home);
    cluster = await sharedCluster();
    provider = await TestProvider.start();
    gateway = await GatewayProcess.start(cluster, {
      configuration: {
        identity: {
          oidc: [
            {
              issuer: provider.url,
              insecureLoopbackHTTP: true,
              audiences: [CLIENT_ID],
              claimMappings: { username: { claim: 'sub' }, groups: { claim: 'groups' } },
            },
          ],
          sessions: {
            agents: [{ name: 'cursor', groups: ['ai-agents'] }],
            signIn: [{ issuer: provider.url, clientID: CLIENT_ID }],
          },
        },
      },
    });
    caFile = join(place.folder, 'ca.crt');
    writeFileSync(caFile, gateway.caPem);
    shop = await cluster.namespace('shop');
    await cluster.apply(`
apiVersion: sallyport.dev/v1alpha1
kind: AgentPolicy
metadata: {name: ${shop}}
spec:
  subjects: [{kind: Agent, name: cursor}]
  rules:
    - name: look-around
      action: Allow
      match: {verbs: [get, list, watch], apiGroups: [""], resources: ["*"], namespaces: [${shop}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: agents, namespace: ${shop}}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list, watch]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: agents, namespace: ${shop}}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: agents}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "sallyport:ai-agents"}]
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings, namespace: ${shop}}
`);
    await sleep(1_000);
  });
  after(async () => {
    await gateway?.stop();
    await provider?.stop();
    await cluster?.stop();
    rmSync(place.folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
  });

  const kubeconfig = (more: string[] = [], env: Record<string, string> = {}) =>
    runCli(
      ['kubeconfig', '--agent', 'cursor', '--gateway', gateway.url, '--ca', caFile, '--namespace', shop, ...more],
      { HOME: home, ...env },
    );
  const kubectl = (args: string[], file: string) =>
    cluster.kubectl(args, { kubeconfig: file, env: { HOME: home, BROWSER: browserProgram(place) } });

  test('the file: one context, no secret, 0600; kubectl signs the person in and works', async () => {
    const made = await kubeconfig();
    assert.equal(made.code, 0, made.stderr);
    assert.equal(made.stdout, '');
    const file = join(home, '.kube', 'sallyport-cursor.yaml');
    assert.match(made.stderr, new RegExp(`export KUBECONFIG=${file}`));
    assert.equal(statSync(file).mode & 0o777, 0o600);
    const text = readFileSync(file, 'utf8');
    const { contexts, users, clusters } = parse(text) as Record<string, { name: string; user: object }[]>;
    assert.deepEqual([contexts!.length, users!.length, clusters!.length], [1, 1, 1]);
    assert.deepEqual(Object.keys(users![0]!.user), ['exec']);
    assert.doesNotMatch(text, /token|password|client-key/i);

    const first = await kubectl(['get', 'configmaps', '-o', 'name'], file);
    assert.equal(first.code, 0, first.stderr);
    assert.equal(first.stdout, 'configmap/settings\n');
    const second = await kubectl(['get', 'configmaps', '-o', 'name'], file);
    assert.equal(second.stdout, 'configmap/settings\n');
    assert.equal(second.stderr, '', 'no further sign-in');
    assert.equal(provider.granted.length, 1);
  });

  test('revoked: the next kubectl is refused and signs the person in again, the one after it goes on', async () => {
    const file = join(home, '.kube', 'sallyport-cursor.yaml');
    await sleep(1_100);
    const revoked = await runCli(
      [
        'session',
        'revoke',
        '--agent',
        'cursor',
        '--kubeconfig',
        cluster.adminKubeconfig,
        '--namespace',
        gateway.namespace,
      ],
      { HOME: home },
    );
    assert.equal(revoked.code, 0, revoked.stderr);
    await sleep(1_100);
    const grants = provider.granted.length;
    // client-go asks the plugin again after a 401, but does not repeat the request that met it.
    const refused = await kubectl(['get', 'configmaps', '-o', 'name'], file);
    assert.equal(refused.code, 1);
    assert.match(refused.stderr, /was revoked: sign in anew[\s\S]*SP_NOT_AUTHENTICATED/);
    assert.ok(provider.granted.length > grants, 'a person signed in');
    const next = await kubectl(['get', 'configmaps', '-o', 'name'], file);
    assert.equal(next.code, 0, next.stderr);
    assert.equal(next.stdout, 'configmap/settings\n');
    assert.equal(next.stderr, '');
  });

  test('a kubeconfig that was bent to another server gets no credential', async () => {
    const file = join(home, '.kube', 'sallyport-cursor.yaml');
    const bent = join(place.folder, 'bent.yaml');
    writeFileSync(bent, readFileSync(file, 'utf8').replace(`server: ${gateway.url}`, `server: ${cluster.url}`));
    const result = await kubectl(['get', 'configmaps'], bent);
    assert.notEqual(result.code, 0);
    assert.match(result.stderr, /which does not get it/);
  });

  test('it warns of credentials that go around the gate, and of nothing else', async () => {
    const admin = parse(readFileSync(cluster.adminKubeconfig, 'utf8')) as Record<string, unknown[]>;
    writeFileSync(join(home, '.kube', 'config'), stringify(admin));
    const beside = await kubeconfig();
    assert.equal(beside.code, 0, beside.stderr);
    assert.match(beside.stderr, /Warning: credentials that go around the gate/);
    assert.ok(beside.stderr.includes(`(${cluster.url})`), beside.stderr);
    const listed = await kubeconfig([], { KUBECONFIG: `/nonexistent:${cluster.adminKubeconfig}` });
    assert.ok(listed.stderr.includes(`${cluster.adminKubeconfig}: context`), listed.stderr);
    rmSync(join(home, '.kube', 'config'));
    const harmless = join(place.folder, 'harmless.yaml');
    writeFileSync(harmless, stringify({ ...admin, users: [{ name: 'nobody', user: {} }] }));
    const own = join(home, '.kube', 'sallyport-cursor.yaml');
    const quiet = await kubeconfig([], { KUBECONFIG: `${harmless}:${own}` });
    assert.doesNotMatch(quiet.stderr, /Warning/);
  });

  test('it overwrites its own file only, and refuses what cannot work', async () => {
    const foreign = join(place.folder, 'foreign.yaml');
    writeFileSync(foreign, 'precious');
    const kept = await kubeconfig(['--output', foreign]);
    assert.equal(kept.code, 1);
    assert.match(kept.stderr, /was not written by this command/);
    assert.equal(readFileSync(foreign, 'utf8'), 'precious');
    assert.equal((await kubeconfig(['--output', foreign, '--force'])).code, 0);
    assert.equal(statSync(foreign).mode & 0o777, 0o600);

    const unknown = await runCli(['kubeconfig', '--agent', 'other', '--gateway', gateway.url, '--ca', caFile], {
      HOME: home,
    });
    assert.equal(unknown.code, 1);
    assert.match(unknown.stderr, /gives no sessions for "other" \(it knows: cursor\)/);
    const away = await runCli(
      ['kubeconfig', '--agent', 'cursor', '--gateway', 'https://127.0.0.1:1', '--output', '-'],
      { HOME: home },
    );
    assert.equal(away.code, 0);
    assert.match(away.stderr, /Warning: the gateway .* cannot be reached: ECONNREFUSED/);
    assert.equal((parse(away.stdout) as { kind: string }).kind, 'Config');
  });

  test('for CI: a token file that kubectl re-reads, and no plugin', async () => {
    const file = join(place.folder, 'ci.yaml');
    const token = join(place.folder, 'job.token');
    const made = await kubeconfig(['--output', file, '--token-file', token]);
    assert.equal(made.code, 0, made.stderr);
    const { users } = parse(readFileSync(file, 'utf8')) as { users: { user: object }[] };
    assert.deepEqual(users[0]!.user, { tokenFile: token });
  });
});
