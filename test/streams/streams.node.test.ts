import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { after, afterEach, before } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { SallyportError } from '../../src/errors.ts';
import type { UpgradeOutcome } from '../../src/gateway/upgrade/context.ts';
import { attachCluster, BUSYBOX_IMAGE, type Cluster, startCluster } from '../cluster/cluster.ts';
import { type BridgeProxy, type BridgeProxyOptions, bridgeTo } from './bridge-proxy.ts';

/** Both ways in which kubectl streams. */
const TRANSPORTS = {
  WebSocket: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'true', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'true' },
  SPDY: { KUBECTL_REMOTE_COMMAND_WEBSOCKETS: 'false', KUBECTL_PORT_FORWARD_WEBSOCKETS: 'false' },
} as const;

let cluster: Cluster;
let folder: string;
const proxies: BridgeProxy[] = [];
const children: ChildProcess[] = [];

before(async () => {
  const running = process.env['SALLYPORT_NODE_CLUSTER'];
  cluster = running === undefined ? await startCluster({ node: true }) : attachCluster(running);
  folder = await mkdtemp(join(tmpdir(), 'sallyport-streams-'));
  await cluster.apply(`
apiVersion: v1
kind: Pod
metadata: {name: streams}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: web
      image: ${BUSYBOX_IMAGE}
      imagePullPolicy: Never
      command: [sh, -c, "mkdir -p /www; head -c 2000000 /dev/urandom > /www/file; nc -ll -p 7 -e cat & exec httpd -f -p 80 -h /www"]
    - name: reader
      image: ${BUSYBOX_IMAGE}
      imagePullPolicy: Never
      stdin: true
      command: [sh, -c, "while read line; do echo read $line; echo also $line >&2; done; sleep infinity"]
`);
  const ready = await cluster.kubectl(['wait', '--for=condition=Ready', 'pod/streams', '--timeout=60s']);
  assert.equal(ready.code, 0, ready.stderr);
});

afterEach(async () => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  for (const proxy of proxies.splice(0)) await proxy.stop();
});

after(async () => {
  if (process.env['SALLYPORT_NODE_CLUSTER'] !== undefined) {
    await cluster.kubectl(['delete', 'pod', 'streams', '--now']);
  }
  await cluster.stop();
  await rm(folder, { recursive: true, force: true });
});

async function bridge(options: BridgeProxyOptions = {}) {
  const { proxy, kubeconfig } = await bridgeTo(cluster, options);
  proxies.push(proxy);
  const kubectl = (transport: keyof typeof TRANSPORTS, args: string[], input?: string) =>
    cluster.kubectl(args, { kubeconfig, env: TRANSPORTS[transport], ...(input === undefined ? {} : { input }) });
  const start = (transport: keyof typeof TRANSPORTS, args: string[]): ChildProcess => {
    const env = { ...process.env, ...TRANSPORTS[transport], KUBECONFIG: kubeconfig };
    const child = spawn(cluster.binaries.kubectl!, args, { env, stdio: ['pipe', 'pipe', 'pipe'] });
    children.push(child);
    return child;
  };
  return { proxy, kubectl, start };
}

async function lastOutcome(proxy: BridgeProxy, count = 1): Promise<UpgradeOutcome> {
  for (let tries = 0; tries < 500 && proxy.outcomes.length < count; tries++) await delay(10);
  const last = proxy.outcomes.at(-1);
  assert.ok(last !== undefined, 'the upgrade has ended');
  if (last instanceof SallyportError) throw last;
  return last;
}

const md5 = (bytes: Buffer): string => createHash('md5').update(bytes).digest('hex');

/** Waits for a text in a child's output. */
async function says(child: ChildProcess, text: string): Promise<string> {
  let all = '';
  for await (const chunk of child.stdout!.iterator({ destroyOnReturn: false })) {
    all += String(chunk);
    if (all.includes(text)) return all;
  }
  throw new Error(`ended without "${text}": ${all}`);
}

for (const transport of ['WebSocket', 'SPDY'] as const) {
  test(`${transport}: exec keeps stdout, stderr and the exit code`, async () => {
    const { proxy, kubectl } = await bridge();
    const script = 'echo out; echo err >&2; exit 7';
    const result = await kubectl(transport, ['exec', 'streams', '-c', 'web', '--', 'sh', '-c', script]);
    assert.deepEqual([result.code, result.stdout], [7, 'out\n']);
    assert.equal(result.stderr, 'err\ncommand terminated with exit code 7\n');
    const { exit, protocol } = await lastOutcome(proxy);
    assert.equal(exit?.exitCode, 7);
    assert.match(protocol, transport === 'SPDY' ? /^spdy / : /^websocket v5/);
  });

  test(`${transport}: stdin is closed on its own, and 20 MB pass both ways unharmed`, async () => {
    const { start } = await bridge();
    const bytes = randomBytes(20_000_000);
    const child = start(transport, ['exec', '-i', 'streams', '-c', 'web', '--', 'sh', '-c', 'cat; echo -n done >&2']);
    const output: Buffer[] = [];
    child.stdout!.on('data', (chunk: Buffer) => output.push(chunk));
    child.stdin!.end(bytes);
    const [code] = (await once(child, 'close')) as [number];
    assert.equal(code, 0);
    assert.equal(md5(Buffer.concat(output)), md5(bytes));
  });

  test(`${transport}: cp there and back`, async () => {
    const { kubectl } = await bridge();
    const bytes = randomBytes(3_000_000);
    await writeFile(join(folder, 'there'), bytes);
    const there = await kubectl(transport, ['cp', join(folder, 'there'), 'streams:/tmp/there', '-c', 'web']);
    assert.equal(there.code, 0, there.stderr);
    const back = await kubectl(transport, ['cp', 'streams:/tmp/there', join(folder, 'back'), '-c', 'web']);
    assert.equal(back.code, 0, back.stderr);
    assert.equal(md5(await readFile(join(folder, 'back'))), md5(bytes));
  });

  test(`${transport}: attach reads and writes the running process`, async () => {
    const { proxy, start } = await bridge();
    const child = start(transport, ['attach', '-i', 'streams', '-c', 'reader']);
    const line = `line-${randomBytes(4).toString('hex')}`;
    child.stdin!.write(`${line}\n`);
    await says(child, `read ${line}`);
    child.kill();
    assert.equal((await lastOutcome(proxy)).endedBy, 'client');
  });

  test(`${transport}: port-forward carries many connections at once, and one side’s end on its own`, async () => {
    const { proxy, kubectl, start } = await bridge();
    const sum = await kubectl(transport, ['exec', 'streams', '-c', 'web', '--', 'md5sum', '/www/file']);
    const child = start(transport, ['port-forward', 'pod/streams', ':80', ':7', '--address', '127.0.0.1']);
    const said = await says(child, '-> 7');
    const portOf = (remote: number): number =>
      Number(new RegExp(`127\\.0\\.0\\.1:(\\d+) -> ${remote}\n`).exec(said)![1]);
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const answer = await fetch(`http://127.0.0.1:${portOf(80)}/file`, { headers: { connection: 'close' } });
        assert.equal(md5(Buffer.from(await answer.arrayBuffer())), sum.stdout.slice(0, 32));
      }),
    );
    // The echo ends when this side has ended: what comes back is complete only if its end is passed on alone.
    const bytes = randomBytes(1_000_000);
    const socket = connect({ port: portOf(7), host: '127.0.0.1', allowHalfOpen: true });
    const got: Buffer[] = [];
    socket.on('data', (chunk: Buffer) => got.push(chunk));
    socket.end(bytes);
    await once(socket, 'end');
    assert.equal(md5(Buffer.concat(got)), md5(bytes));
    child.kill('SIGINT');
    const { ports, endedBy } = await lastOutcome(proxy, 2);
    assert.deepEqual([ports.toSorted((a, b) => a - b), endedBy], [[7, 80], 'client']);
  });

  test(`${transport}: a refused port is named on the client’s screen, and nothing reaches it`, async () => {
    const { proxy, start } = await bridge({
      judgePort: async (port) => {
        if (port === 80) throw new SallyportError('SP_POLICY_DENIED', 'port 80 is not for agents');
      },
    });
    const child = start(transport, ['port-forward', 'pod/streams', ':80', '--address', '127.0.0.1']);
    let stderr = '';
    child.stderr!.on('data', (chunk) => {
      stderr += String(chunk);
    });
    const port = Number(/127\.0\.0\.1:(\d+) -> 80/.exec(await says(child, '-> 80'))![1]);
    const socket = connect({ port, host: '127.0.0.1' });
    let got = '';
    socket.on('data', (chunk) => {
      got += String(chunk);
    });
    socket.on('error', () => {});
    const closed = new Promise((resolve) => socket.once('close', resolve));
    const ended = once(child, 'close');
    socket.write('GET / HTTP/1.0\r\n\r\n');
    await closed;
    await ended;
    // kubectl from 1.37 on logs it in fields.
    assert.equal(got, '');
    assert.match(
      stderr,
      /(?:an error occurred forwarding \d+ -> 80: |"An error occurred forwarding" err=")SP_POLICY_DENIED: port 80 is not for agents \(request /,
    );
    assert.deepEqual((await lastOutcome(proxy)).ports, []);
  });

  test(`${transport}: what the API server declines reads as it does without the gateway`, async () => {
    const { kubectl } = await bridge();
    for (const args of [
      ['exec', 'streams', '-c', 'nowhere', '--', 'true'],
      ['exec', 'streams', '-c', 'web', '--', '/no/such/program'],
      ['attach', 'streams', '-c', 'nowhere'],
    ]) {
      const through = await kubectl(transport, args);
      const direct = await cluster.kubectl(args, { env: TRANSPORTS[transport] });
      assert.deepEqual([through.code, plain(through.stderr)], [direct.code, plain(direct.stderr)], args.join(' '));
      assert.notEqual(through.code, 0);
    }
  });

  test(`${transport}: a revoked session ends the command with its reason on the screen`, async () => {
    const { proxy, start } = await bridge();
    const child = start(transport, ['exec', 'streams', '-c', 'web', '--', 'sh', '-c', 'echo working; sleep 60']);
    let stderr = '';
    child.stderr!.on('data', (chunk) => {
      stderr += String(chunk);
    });
    await says(child, 'working');
    for (const controller of proxy.live) {
      controller.abort(new SallyportError('SP_SESSION_REFUSED', 'the session was revoked'));
    }
    const [code] = (await once(child, 'close')) as [number];
    assert.notEqual(code, 0);
    assert.match(stderr, /^error: SP_SESSION_REFUSED: the session was revoked \(request [0-9a-f-]+\)\n$/);
  });
}

/** Ids and times differ between two runs of the same thing. */
const plain = (text: string): string => text.replace(/[0-9a-f]{64}|[0-9a-f]{8}-[0-9a-f-]{27}/g, 'ID');

test('a refused WebSocket makes kubectl try SPDY at once: both get the same answer, the user sees one line', async () => {
  const error = new SallyportError('SP_POLICY_DENIED', 'look-around/no-shells: ask a person');
  const { proxy, kubectl } = await bridge({ refuse: error });
  for (const [args, words] of [
    [['exec', 'streams', '-c', 'web', '--', 'true'], 'error: unable to upgrade connection: '],
    [['attach', 'streams', '-c', 'web'], 'error: unable to upgrade connection: '],
    [['port-forward', 'pod/streams', ':80'], 'error: error upgrading connection: unable to upgrade connection: '],
    [['cp', 'streams:/etc/passwd', join(folder, 'passwd'), '-c', 'web'], 'error: unable to upgrade connection: '],
  ] as const) {
    proxy.upgrades.length = 0;
    const result = await cluster.kubectl([...args], { kubeconfig: await kubeconfigOf(proxy) });
    assert.equal(result.code, 1);
    // attach says of itself that it records, and asks to press enter.
    const lines = result.stderr.split('\n').filter((line) => /^error|SP_/.test(line));
    assert.equal(lines.length, 1, result.stderr);
    assert.ok(
      lines[0]!.startsWith(`${words}SP_POLICY_DENIED: look-around/no-shells: ask a person (request `),
      lines[0],
    );
    assert.deepEqual(
      proxy.upgrades.map((line) => line.slice(0, 4)),
      ['GET ', 'POST'],
      args[0],
    );
  }
  const { code } = await kubectl('SPDY', ['exec', 'streams', '--', 'true']);
  assert.equal(code, 1);
});

async function kubeconfigOf(proxy: BridgeProxy): Promise<string> {
  const path = join(folder, 'refused.kubeconfig');
  await writeFile(
    path,
    JSON.stringify({
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [
        {
          name: 'c',
          cluster: { server: proxy.url, 'certificate-authority-data': Buffer.from(cluster.caPem).toString('base64') },
        },
      ],
      users: [{ name: 'u', user: { token: 'not-looked-at' } }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
    }),
  );
  return path;
}

const execPath = (command: string[], options: string): string =>
  `/api/v1/namespaces/default/pods/streams/exec?container=web&${options}&${command.map((word) => `command=${encodeURIComponent(word)}`).join('&')}`;

/** The `ws` package as the client, v4 as the Python client speaks it and v5. */
async function session(
  proxy: BridgeProxy,
  path: string,
  protocol: string,
  act: (socket: WebSocket, text: string) => void,
) {
  const socket = new WebSocket(`${proxy.url.replace('https', 'wss')}${path}`, [protocol], { ca: cluster.caPem });
  const channels = new Map<number, string>();
  socket.on('message', (data: Buffer) => {
    channels.set(data[0]!, (channels.get(data[0]!) ?? '') + data.subarray(1).toString());
    act(socket, channels.get(1) ?? '');
  });
  await once(socket, 'close');
  return channels;
}

for (const protocol of ['v4.channel.k8s.io', 'v5.channel.k8s.io']) {
  test(`${protocol}: a TTY has the size that the client says, and changes with it`, async () => {
    const { proxy } = await bridge();
    const path = execPath(['sh'], 'stdin=true&stdout=true&tty=true');
    const resize = (socket: WebSocket, width: number, height: number): void =>
      socket.send(Buffer.concat([Buffer.from([4]), Buffer.from(JSON.stringify({ Width: width, Height: height }))]));
    let step = 0;
    const channels = await session(proxy, path, protocol, (socket, text) => {
      if (step === 0) {
        step = 1;
        resize(socket, 77, 33);
        setTimeout(() => socket.send('\u0000stty size\n'), 300);
      } else if (step === 1 && text.includes('33 77')) {
        step = 2;
        resize(socket, 120, 50);
        setTimeout(() => socket.send('\u0000stty size; exit 5\n'), 300);
      }
    });
    assert.match(channels.get(1)!, /33 77[\s\S]*50 120/);
    assert.match(channels.get(3)!, /"message":"5"/);
  });
}

test('an exec whose client does not read is held, and 200 execs leave nothing behind', async () => {
  const { proxy } = await bridge();
  const path = execPath(['echo', 'x'], 'stdout=true&stderr=true');
  for (let round = 0; round < 20; round++) {
    await Promise.all(
      Array.from({ length: 10 }, async () => {
        const channels = await session(proxy, path, 'v5.channel.k8s.io', () => {});
        assert.equal(channels.get(1), 'x\n');
        assert.match(channels.get(3)!, /"status":"Success"/);
      }),
    );
  }
  const slow = new WebSocket(
    `${proxy.url.replace('https', 'wss')}${execPath(['cat', '/dev/zero'], 'stdout=true')}`,
    ['v5.channel.k8s.io'],
    { ca: cluster.caPem },
  );
  await once(slow, 'open');
  slow.pause();
  await delay(1_000);
  const { heapUsed, external } = process.memoryUsage();
  await delay(2_000);
  const now = process.memoryUsage();
  assert.ok(now.heapUsed + now.external - heapUsed - external < 16 * 1024 * 1024);
  slow.terminate();
  for (let tries = 0; tries < 500 && (proxy.sockets.size > 0 || proxy.live.size > 0); tries++) await delay(20);
  assert.deepEqual([proxy.sockets.size, proxy.live.size], [0, 0]);
  assert.equal(proxy.outcomes.filter((outcome) => outcome instanceof SallyportError).length, 0);
});
