import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { get } from 'node:https';
import { after, before, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { attachCluster, type Cluster, startCluster } from './cluster.ts';
import { readState } from './cluster-state.ts';
import { isRunning } from './process-record.ts';

let one: Cluster;
let two: Cluster;
before(async () => {
  [one, two] = await Promise.all([
    startCluster(),
    startCluster({ audit: 'Request', apiServerFlags: ['--max-requests-inflight=123'] }),
  ]);
});
after(async () => {
  await Promise.all([one?.stop(), two?.stop()]);
});

test('two clusters run side by side and know nothing of each other', async () => {
  const namespace = await one.namespace('side');
  assert.notEqual(one.url, two.url);
  assert.equal((await one.kubectl(['get', 'namespace', namespace, '-o', 'name'])).stdout, `namespace/${namespace}\n`);
  const other = await two.kubectl(['get', 'namespace', namespace]);
  assert.equal(other.code, 1);
  assert.match(other.stderr, /NotFound/);
});

test('client and server report the version that was asked for', async () => {
  const { stdout } = await one.kubectl(['version', '-o', 'json']);
  const versions = JSON.parse(stdout) as Record<string, { gitVersion: string }>;
  assert.equal(versions['serverVersion']?.gitVersion, `v${one.version}`);
  assert.equal(versions['clientVersion']?.gitVersion, `v${one.version}`);
});

test('a client certificate is its user and groups, however they are spelled', async () => {
  const client = await one.clientCertificate({ user: 'a,b=c', groups: ['plain', 'O=x, y'] });
  const kubeconfig = await one.kubeconfig({ client });
  const { stdout } = await one.kubectl(['auth', 'whoami', '-o', 'json'], { kubeconfig });
  const { userInfo } = (JSON.parse(stdout) as { status: { userInfo: { username: string; groups: string[] } } }).status;
  assert.equal(userInfo.username, 'a,b=c');
  assert.deepEqual(userInfo.groups, ['plain', 'O=x, y', 'system:authenticated']);
});

test('a service-account token for another audience is refused, one for the API server accepted', async () => {
  const namespace = await one.namespace('token');
  const ask = async (audiences: string[]) => {
    const token = await one.serviceAccountToken(namespace, 'robot', { audiences });
    return await one.kubectl(['auth', 'whoami'], { kubeconfig: await one.kubeconfig({ token }) });
  };
  assert.match((await ask([one.apiAudience])).stdout, new RegExp(`system:serviceaccount:${namespace}:robot`));
  assert.match((await ask(['sallyport'])).stderr, /Unauthorized/);
});

test('who comes without credentials reaches nothing but the health checks', async () => {
  assert.equal(await statusForNobody('/readyz'), 200);
  assert.equal(await statusForNobody('/version'), 401);
  assert.equal(await statusForNobody('/api/v1/namespaces'), 401);
});

async function statusForNobody(path: string): Promise<number | undefined> {
  return await new Promise((resolve, reject) => {
    const asked = get(one.url + path, { ca: one.caPem, agent: false }, (answer) => {
      answer.resume();
      resolve(answer.statusCode);
    });
    asked.on('error', reject);
  });
}

test('what arrives can be seen in the audit log, with bodies where asked for', async () => {
  const name = `seen-${process.pid}`;
  for (const cluster of [one, two]) {
    await cluster.apply(
      `{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "${name}", "namespace": "default"}, "data": {"k": "v"}}`,
    );
  }
  const find = (cluster: Cluster) =>
    cluster.auditEvents((event) => event.verb === 'create' && event.objectRef?.name === name);
  assert.equal(find(one).length, 1);
  assert.equal(find(one)[0]?.user.username, 'admin');
  assert.equal(find(one)[0]?.requestObject, undefined);
  const body = find(two)[0]?.requestObject as { data: unknown } | undefined;
  assert.deepEqual(body?.data, { k: 'v' });
});

test('another process can use a cluster that runs, and cannot end it', async () => {
  const attached = attachCluster(one.directory);
  assert.equal((await attached.admin('GET', '/version')).status, 200);
  assert.ok(await attached.clientCertificate({ user: 'x' }));
  await attached.stop();
  assert.equal((await one.admin('GET', '/version')).status, 200);
  assert.throws(() => attachCluster('/nowhere'), /no cluster runs in \/nowhere/);
});

test('a stopped cluster leaves neither processes nor files', async () => {
  const cluster = await startCluster();
  const processes = readState(cluster.directory)?.processes ?? [];
  assert.deepEqual(
    processes.map((record) => [record.name, isRunning(record)]),
    [
      ['etcd', true],
      ['kube-apiserver', true],
    ],
  );
  await cluster.stop();
  assert.ok(!processes.some(isRunning));
  assert.ok(!existsSync(cluster.directory));
});

test('a server that refuses its flags ends the start with the reason, and leaves nothing', async () => {
  await assert.rejects(
    startCluster({ apiServerFlags: ['--no-such-flag'] }),
    /kube-apiserver ended with exit code 1:.*no-such-flag/s,
  );
});

test('a process that is killed takes its cluster with it', async () => {
  const script = `
    import { startCluster } from ${JSON.stringify(new URL('./cluster.ts', import.meta.url).href)};
    console.log((await startCluster()).directory);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const directory = await new Promise<string>((resolve) =>
    child.stdout.once('data', (line: Buffer) => resolve(line.toString().trim())),
  );
  const processes = readState(directory)?.processes ?? [];
  assert.equal(processes.filter(isRunning).length, 2);
  child.kill('SIGKILL');
  for (let waited = 0; waited < 5000 && (processes.some(isRunning) || existsSync(directory)); waited += 50)
    await sleep(50);
  assert.ok(!processes.some(isRunning));
  assert.ok(!existsSync(directory));
});
