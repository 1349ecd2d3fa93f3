import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { BUSYBOX_IMAGE, type Cluster, runCommand, startCluster, whyNoNode } from './cluster.ts';
import { type ClusterState, readState } from './cluster-state.ts';
import { isRunning } from './process-record.ts';

const why = whyNoNode();
const POD = `
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: default, labels: {app: web}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: web
      image: ${BUSYBOX_IMAGE}
      stdin: true
      command: [sh, -c, "mkdir /www; echo hello > /www/index.html; httpd -p 80 -h /www; echo started; while read line; do echo got $line; done; sleep 3600"]
      readinessProbe: {httpGet: {port: 80}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: web, namespace: default}
spec: {selector: {app: web}, ports: [{port: 8080, targetPort: 80}]}
`;

describe('a node', { skip: why === undefined ? false : `left out: ${why}` }, () => {
  let cluster: Cluster;
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-node-test-'));
  let neighbour: { process: ChildProcess; state: ClusterState };
  before(async () => {
    [cluster, neighbour] = await Promise.all([startCluster({ node: true }), startInAnotherProcess()]);
    await cluster.apply(POD);
    const waited = await cluster.kubectl(['wait', '--for=condition=Ready', 'pod/web', '--timeout=60s']);
    assert.equal(waited.code, 0, waited.stderr);
  });
  after(async () => {
    const state = readState(cluster.directory);
    await cluster.stop();
    rmSync(folder, { recursive: true });
    assert.deepEqual(state && leftBy(state), []);
  });

  test('a process that is killed takes its node with it, and its neighbour runs on', async () => {
    assert.deepEqual(leftBy(neighbour.state).slice(0, 3), ['processes', 'cgroups', 'network link']);
    neighbour.process.kill('SIGKILL');
    for (let waited = 0; waited < 10_000 && leftBy(neighbour.state).length > 0; waited += 100) await sleep(100);
    assert.deepEqual(leftBy(neighbour.state), []);
    assert.equal((await cluster.kubectl(['exec', 'web', '--', 'true'])).code, 0);
  });

  test('an image made from a folder runs', async () => {
    const root = join(folder, 'root');
    mkdirSync(root);
    copyFileSync('/bin/busybox', join(root, 'busybox'));
    await cluster.loadImage({
      name: 'sallyport.test/own:1',
      layers: [root],
      entrypoint: ['/busybox', 'echo'],
      command: ['own words'],
    });
    await cluster.kubectl([
      'run',
      'own',
      '--image=sallyport.test/own:1',
      '--image-pull-policy=Never',
      '--restart=Never',
    ]);
    const ended = await cluster.kubectl([
      'wait',
      '--for=jsonpath={.status.phase}=Succeeded',
      'pod/own',
      '--timeout=30s',
    ]);
    assert.equal(ended.code, 0, ended.stderr);
    assert.equal((await cluster.kubectl(['logs', 'own'])).stdout, 'own words\n');
  });

  for (const [transport, flag] of [
    ['WebSocket', 'true'],
    ['SPDY', 'false'],
  ] as const) {
    const env = { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: flag, KUBECTL_PORT_FORWARD_WEBSOCKETS: flag };

    test(`exec over ${transport}: input, both outputs, exit code`, async () => {
      const args = ['exec', '-i', 'web', '--', 'sh', '-c', 'cat; echo problem >&2; exit 7'];
      const result = await cluster.kubectl(args, { input: 'given\n', env });
      assert.equal(result.code, 7);
      assert.equal(result.stdout, 'given\n');
      assert.match(result.stderr, /^problem\n/);
    });

    test(`exec with a terminal over ${transport}`, async () => {
      const command = `'${cluster.binaries.kubectl}' exec -it web -- sh -c 'tty; exit 5'`;
      const options = { env: { ...process.env, ...env, KUBECONFIG: cluster.adminKubeconfig }, timeout: 20_000 };
      const result = await runCommand('script', ['-qec', command, '/dev/null'], options);
      assert.equal(result.code, 5);
      assert.match(result.stdout, /\/dev\/pts\/\d/);
    });

    test(`cp there and back over ${transport}`, async () => {
      const there = join(folder, 'there');
      const back = join(folder, 'back');
      const content = `${transport} ${'x'.repeat(200_000)}`;
      writeFileSync(there, content);
      assert.equal((await cluster.kubectl(['cp', there, 'default/web:/tmp/copy'], { env })).code, 0);
      assert.equal((await cluster.kubectl(['cp', 'default/web:/tmp/copy', back], { env })).code, 0);
      assert.equal(readFileSync(back, 'utf8'), content);
    });

    test(`port-forward over ${transport}`, async () => {
      const child = spawn(cluster.binaries.kubectl ?? '', ['port-forward', 'pod/web', ':80'], {
        env: { ...process.env, ...env, KUBECONFIG: cluster.adminKubeconfig },
      });
      try {
        const port = await new Promise<string>((resolve, reject) => {
          child.on('exit', () => reject(new Error('port-forward ended')));
          child.stdout.on('data', (text: Buffer) => {
            const found = /127\.0\.0\.1:(\d+)/.exec(text.toString())?.[1];
            if (found !== undefined) resolve(found);
          });
        });
        assert.equal(await (await fetch(`http://127.0.0.1:${port}/`)).text(), 'hello\n');
      } finally {
        child.kill();
      }
    });
  }

  test('attach reaches the running process, and logs -f shows what it says', async () => {
    const logs = spawn(cluster.binaries.kubectl ?? '', ['logs', '-f', 'web'], {
      env: { ...process.env, KUBECONFIG: cluster.adminKubeconfig },
    });
    try {
      const seen = new Promise<void>((resolve) => {
        let text = '';
        logs.stdout.on('data', (part: Buffer) => {
          text += part.toString();
          if (/started\n.*got something\n/s.test(text)) resolve();
        });
      });
      await cluster.kubectl(['attach', '-i', 'web'], { input: 'something\n', timeout: 3000 });
      await seen;
    } finally {
      logs.kill();
    }
  });

  test('a pod reaches a Service, and the API server under its own account', async () => {
    const service = (await cluster.admin('GET', '/api/v1/namespaces/default/services/web')).json() as {
      spec: { clusterIP: string };
    };
    const asked = await cluster.kubectl([
      'exec',
      'web',
      '--',
      'wget',
      '-qO-',
      `http://${service.spec.clusterIP}:8080/`,
    ]);
    assert.equal(asked.stdout, 'hello\n');
    const viaHost = await fetch(`http://${service.spec.clusterIP}:8080/`);
    assert.equal(await viaHost.text(), 'hello\n');
    const script =
      'nc -w 2 $KUBERNETES_SERVICE_HOST $KUBERNETES_SERVICE_PORT < /dev/null && ls /var/run/secrets/kubernetes.io/serviceaccount';
    assert.match(
      (await cluster.kubectl(['exec', 'web', '--', 'sh', '-c', script])).stdout,
      /ca\.crt\nnamespace\ntoken/,
    );
  });
});

async function startInAnotherProcess(): Promise<{ process: ChildProcess; state: ClusterState }> {
  const script = `
    import { startCluster } from ${JSON.stringify(new URL('./cluster.ts', import.meta.url).href)};
    console.log((await startCluster({ node: true })).directory);
    setInterval(() => {}, 1000);`;
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const directory = await new Promise<string>((resolve, reject) => {
    child.stdout.once('data', (line: Buffer) => resolve(line.toString().trim()));
    child.once('exit', () => reject(new Error('the other process ended')));
  });
  const state = readState(directory);
  assert.ok(state);
  return { process: child, state };
}

/** What of a cluster with a node is still on the machine. */
function leftBy(state: ClusterState): string[] {
  assert.ok(state.node);
  const { init, cgroups, network } = state.node;
  const left = {
    processes: [...state.processes, init].some(isRunning),
    cgroups: cgroups.some((path) => existsSync(path)),
    'network link': networkInterfaces()[network.hostLink] !== undefined,
    mounts: readFileSync('/proc/mounts', 'utf8').includes(state.directory),
    files: existsSync(state.directory),
  };
  return Object.entries(left)
    .filter(([, is]) => is)
    .map(([what]) => what);
}
