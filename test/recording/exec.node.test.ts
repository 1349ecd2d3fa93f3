import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
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
  recording: {level: RequestResponse, mode: Strict}`,
    });
    kubeconfig = await scene.kubeconfig();
    await scene.cluster.apply(`
apiVersion: v1
kind: Pod
metadata: {name: web, namespace: ${scene.namespace}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: web, image: "${BUSYBOX_IMAGE}", imagePullPolicy: Never, command: [sh, -c, "echo started; sleep 3600"]}]
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
    for (let attempt = 0; attempt < 100; attempt += 1) {
      const lines = spooledLines(scene.gateway);
      const last = events(lines)
        .filter(
          ({ objectRef, stage }) =>
            objectRef?.subresource === args[0]!.replace('logs', 'log') && stage === 'ResponseComplete',
        )
        .at(-1);
      const first = events(lines, last?.auditID ?? '')[0];
      if (last !== undefined && first !== undefined && !seen.has(last.auditID)) {
        seen.add(last.auditID);
        return { stdout: stdout + stderr, code, lines, first, last };
      }
      await sleep(50);
    }
    throw new Error(`no event: ${stdout}${stderr}`);
  }
  const seen = new Set<string>();

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
    const { stdout, lines, last } = await kubectl(['logs', 'web'], '', 'WebSocket');
    assert.equal(stdout, 'started\n');
    assert.equal(stream(lines, last.auditID, 'log'), stdout);
  });

  it('the whole of it seals and verifies', async () => {
    await scene.gateway.kill('SIGTERM');
    for (const name of storedRecordings(scene.gateway))
      assert.equal((await verifyStored(scene.gateway, name)).sound, true);
  });
});
