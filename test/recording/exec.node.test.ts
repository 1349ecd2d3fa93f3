import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { connect } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { WebSocket } from 'ws';
import { decodeData, type EventLine, type Line } from '../../src/recording/line.ts';
import { BUSYBOX_IMAGE, startCluster } from '../cluster/cluster.ts';
import { Scene } from '../gateway/scene.ts';
import { events, spooledLines, storedRecordings, stream, verifyStored } from './recorded.ts';

const TRANSPORTS = { WebSocket: 'true', SPDY: 'false' } as const;

describe('streams of a real pod are recorded, behind masking', () => {
  let scene: Scene;
  let kubeconfig: string;
  const token = `ghp_${randomBytes(18).toString('hex')}`;

  before(async () => {
    scene = await Scene.open('execs', {
      cluster: await startCluster({ node: true }),
      recording: true,
      rules: `
    - name: everything
      action: Allow
      match: {verbs: ["*"], apiGroups: ["*"], resources: ["*", "*/*"]}
    - name: proxied
      action: Allow
      match: {verbs: ["*"], apiGroups: [""], resources: [pods/proxy]}
  recording: {level: RequestResponse, mode: Strict}`,
    });
    kubeconfig = await scene.kubeconfig();
    await scene.cluster.apply(`
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: ${scene.namespace}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - {name: web, image: "${BUSYBOX_IMAGE}", imagePullPolicy: Never, command: [sh, -c, "echo started; exec nc -ll -p 7 -e cat"]}
    - name: shell
      image: "${BUSYBOX_IMAGE}"
      imagePullPolicy: Never
      stdin: true
      tty: true
      command: [sh, -c, "stty -echo; while read line; do echo heard $line; done"]
    - name: clock
      image: "${BUSYBOX_IMAGE}"
      imagePullPolicy: Never
      command: [sh, -c, "while true; do echo tick; sleep 1; done"]
    - name: site
      image: "${BUSYBOX_IMAGE}"
      imagePullPolicy: Never
      command: [sh, -c, "mkdir /tmp/site; echo TOKEN=${token} > /tmp/site/index.html; exec httpd -f -p 8080 -h /tmp/site"]
`);
    const ready = ['wait', '-n', scene.namespace, '--for=condition=Ready', '--timeout=60s', 'pod/web'];
    const { code, stderr } = await scene.cluster.kubectl(ready);
    assert.equal(code, 0, stderr);
  });
  after(() => scene?.close());

  /** kubectl through the gateway, and the events of the last connect that it made. */
  async function kubectl(
    args: string[],
    input: string,
    transport: keyof typeof TRANSPORTS,
  ): Promise<{ stdout: string; code: number; lines: Line[]; first: EventLine; last: EventLine }> {
    const child = spawn(scene.cluster.binaries.kubectl!, args, {
      env: { ...process.env, KUBECONFIG: kubeconfig, KUBECTL_REMOTE_COMMAND_WEBSOCKETS: TRANSPORTS[transport] },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => (stdout += chunk.toString()));
    child.stderr.on('data', (chunk: Buffer) => (stderr += chunk.toString()));
    child.stdin.end(input);
    const code = await new Promise<number>((resolve) => child.once('close', (value) => resolve(value ?? -1)));
    return { stdout: stdout + stderr, code, ...(await ended(args[0]!.replace('logs', 'log'))) };
  }
  const seen = new Set<string>();

  /** The events of the last one of its kind, once it is over. */
  async function ended(subresource: string): Promise<{ lines: Line[]; first: EventLine; last: EventLine }> {
    for (let attempt = 0; attempt < 400; attempt += 1) {
      const lines = spooledLines(scene.gateway);
      const last = events(lines)
        .filter(({ objectRef, stage }) => objectRef?.subresource === subresource && stage === 'ResponseComplete')
        .at(-1);
      const first = events(lines, last?.auditID ?? '')[0];
      if (last !== undefined && first !== undefined && !seen.has(last.auditID)) {
        seen.add(last.auditID);
        return { lines, first, last };
      }
      await sleep(50);
    }
    throw new Error(`no event of ${subresource}`);
  }

  for (const transport of ['WebSocket', 'SPDY'] as const) {
    it(`exec over ${transport}: argv, stdin, stdout, stderr, in order, with time; no secret that the agent did not see`, async () => {
      const script = 'read line; echo "out $line"; echo "err" >&2; exit 3';
      const { stdout, code, lines, first, last } = await kubectl(
        ['exec', '-i', 'web', '--', 'sh', '-c', script],
        `${token}\n`,
        transport,
      );
      assert.equal(code, 3);
      assert.equal(first.stage, 'RequestReceived');
      assert.deepEqual(first.exec!.command, ['sh', '-c', script]);
      assert.equal(last.responseStatus!.code, 101);
      assert.equal(last.outcome, 'Complete');
      const out = stream(lines, last.auditID, 'stdout');
      assert.match(out, /^out sallyport\.masked\.[a-z2-7]{26}\n$/);
      assert.ok(stdout.includes(out), 'what the agent saw');
      assert.equal(stream(lines, last.auditID, 'stderr'), 'err\n');
      assert.match(stream(lines, last.auditID, 'stdin'), /sallyport\.masked/);
      assert.ok(!JSON.stringify(lines).includes(token), 'the token is nowhere');
      const times = lines.flatMap((line) =>
        line.kind === 'Frame' && line.auditID === last.auditID ? [line.elapsed] : [],
      );
      assert.deepEqual(
        times,
        times.toSorted((a, b) => a - b),
      );
      assert.ok(last.bytes!.request > 0 && last.bytes!.response > 0);
    });
  }

  it('what is no text is kept byte by byte', async () => {
    const { lines, last } = await kubectl(['exec', 'web', '--', 'printf', '\\377\\000\\001'], '', 'WebSocket');
    const frames = lines.flatMap((line) =>
      line.kind === 'Frame' && line.auditID === last.auditID && line.channel === 'stdout' ? [line] : [],
    );
    assert.equal(Buffer.concat(frames.map(decodeData)).toString('hex'), 'ff0001');
  });

  it('a log leaves its stream', async () => {
    const { stdout, lines, last } = await kubectl(['logs', 'web', '-c', 'web'], '', 'WebSocket');
    assert.equal(stdout, 'started\n');
    assert.equal(stream(lines, last.auditID, 'log'), stdout);
  });

  it('a log that is followed leaves its stream, as far as it was seen', async () => {
    const child = spawn(scene.cluster.binaries.kubectl!, ['logs', '-f', 'web', '-c', 'clock'], {
      env: { ...process.env, KUBECONFIG: kubeconfig },
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let shown = '';
    // What was logged before may come in several pieces; ticks come a second apart.
    let pieces = 0;
    let lastAt = Number.NEGATIVE_INFINITY;
    await new Promise<void>((resolve, reject) => {
      child.once('close', () => reject(new Error(`it ended by itself: ${shown}`)));
      child.stdout.on('data', (chunk: Buffer) => {
        shown += chunk.toString();
        if (performance.now() - lastAt > 500) pieces += 1;
        lastAt = performance.now();
        if (pieces >= 3) resolve();
      });
    }).finally(() => child.kill('SIGKILL'));
    const { lines, first, last } = await ended('log');
    assert.match(first.requestURI, /follow=true/);
    assert.equal(first.stage, 'RequestReceived');
    assert.equal(last.outcome, 'ClientLeft');
    const kept = stream(lines, last.auditID, 'log');
    assert.ok(kept.startsWith(shown), 'all that was shown');
    assert.match(kept, /^(?:tick\n)+$/);
    const frames = lines.filter((line) => line.kind === 'Frame' && line.auditID === last.auditID);
    assert.ok(frames.length >= 3, `as it came: ${frames.length} pieces`);
  });

  it('what a proxied program answers leaves its stream, masked', async () => {
    const page = `/api/v1/namespaces/${scene.namespace}/pods/web:8080/proxy/index.html`;
    let answer = await scene.ask(page);
    // Its container runs; whether it listens already nobody says.
    for (const end = Date.now() + 30_000; answer.status !== 200 && Date.now() < end; await sleep(100))
      answer = await scene.ask(page);
    assert.equal(answer.status, 200, answer.body);
    assert.match(answer.body, /^TOKEN=sallyport\.masked\.[a-z2-7]{26}\n$/);
    const { lines, first, last } = await ended('proxy');
    assert.equal(first.stage, 'RequestReceived');
    assert.equal(last.auditID, answer.headers['x-request-id']);
    assert.equal(stream(lines, last.auditID, 'body'), answer.body);
    assert.equal(last.responseBody, undefined);
    assert.ok(!JSON.stringify(lines).includes(token));
  });

  it('attach to a terminal: what is typed, what is shown, and every size of it', async () => {
    const { url, caPem } = scene.gateway;
    const query = 'container=shell&stdin=1&stdout=1&tty=1';
    const path = `/api/v1/namespaces/${scene.namespace}/pods/web/attach?${query}`;
    const socket = new WebSocket(`${url.replace('https', 'wss')}${path}`, ['v5.channel.k8s.io'], {
      ca: caPem,
      headers: { Authorization: `Bearer ${scene.token}` },
    });
    let shown = '';
    socket.on('message', (data: Buffer) => {
      if (data[0] === 1) shown += data.subarray(1).toString();
    });
    await once(socket, 'open');
    const send = (channel: number, text: string): void =>
      socket.send(Buffer.concat([Buffer.of(channel), Buffer.from(text)]));
    send(4, '{"Width":80,"Height":24}');
    send(0, 'hello\n');
    for (let tries = 0; tries < 400 && !shown.includes('heard hello'); tries += 1) await sleep(25);
    send(4, '{"Width":120,"Height":40}');
    send(0, 'again\n');
    for (let tries = 0; tries < 400 && !shown.includes('heard again'); tries += 1) await sleep(25);
    socket.close();
    const { lines, first, last } = await ended('attach');
    assert.deepEqual([first.exec!.tty, first.exec!.stdin, first.exec!.container], [true, true, 'shell']);
    assert.deepEqual(first.exec!.command, []);
    assert.equal(stream(lines, last.auditID, 'stdin'), 'hello\nagain\n');
    assert.equal(stream(lines, last.auditID, 'stdout'), shown);
    const frames = lines.flatMap((line) => (line.kind === 'Frame' && line.auditID === last.auditID ? [line] : []));
    const sizes = frames.filter(({ channel }) => channel === 'resize').map(({ data }) => JSON.parse(data));
    assert.deepEqual(sizes, [
      { Width: 80, Height: 24 },
      { Width: 120, Height: 40 },
    ]);
    const order = frames.map(({ channel }) => channel);
    assert.ok(
      order.indexOf('resize') < order.indexOf('stdin') && order.lastIndexOf('resize') < order.lastIndexOf('stdin'),
    );
    assert.equal(last.outcome, 'ClientLeft');
  });

  for (const transport of ['WebSocket', 'SPDY'] as const) {
    it(`port-forward over ${transport}: its ports and bytes, and nothing of what passes`, async () => {
      const secret = randomBytes(12).toString('hex');
      const child = spawn(scene.cluster.binaries.kubectl!, ['port-forward', 'pod/web', ':7'], {
        env: { ...process.env, KUBECONFIG: kubeconfig, KUBECTL_PORT_FORWARD_WEBSOCKETS: TRANSPORTS[transport] },
        stdio: ['ignore', 'pipe', 'ignore'],
      });
      try {
        let said = '';
        child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
        for (let tries = 0; tries < 400 && !said.includes('127.0.0.1:'); tries += 1) await sleep(25);
        const socket = connect(Number(/127\.0\.0\.1:(\d+)/.exec(said)![1]), '127.0.0.1');
        socket.write(secret);
        let back = '';
        socket.on('data', (chunk: Buffer) => (back += chunk.toString()));
        for (let tries = 0; tries < 400 && back !== secret; tries += 1) await sleep(25);
        assert.equal(back, secret);
        socket.destroy();
      } finally {
        child.kill('SIGINT');
      }
      const { lines, first, last } = await ended('portforward');
      assert.equal(first.stage, 'RequestReceived');
      assert.deepEqual(last.ports, [7]);
      assert.ok(last.bytes!.request >= secret.length && last.bytes!.response >= secret.length);
      assert.ok(!lines.some((line) => line.kind === 'Frame' && line.auditID === last.auditID), 'no frame');
      assert.ok(!JSON.stringify(lines).includes(secret));
    });
  }

  it('the whole of it seals and verifies', async () => {
    await scene.gateway.kill('SIGTERM');
    for (const name of storedRecordings(scene.gateway))
      assert.equal((await verifyStored(scene.gateway, name)).sound, true);
  });
});
