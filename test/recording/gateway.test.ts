import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { Scene } from '../gateway/scene.ts';
import { events, keptLines, spooledLines, storedLines, storedRecordings, stream, verifyStored } from './recorded.ts';

const RULES = `
    - name: no-nodes
      action: Deny
      match: {verbs: ["*"], apiGroups: [""], resources: [nodes]}
    - name: everything
      action: Allow
      match: {verbs: ["*"], apiGroups: ["*"], resources: ["*", "*/*"]}`;

describe('what goes through the gateway is recorded', () => {
  let scene: Scene;
  const configMaps = (): string => `/api/v1/namespaces/${scene.namespace}/configmaps`;

  before(async () => {
    scene = await Scene.open('record', { rules: RULES, recording: true });
    await level('RequestResponse', 'Strict');
  });
  after(() => scene?.close());

  async function level(value: string, mode: string): Promise<void> {
    await scene.cluster.apply(`
apiVersion: sallyport.dev/v1alpha1
kind: AgentPolicy
metadata: {name: ${scene.namespace}}
spec:
  subjects: [{kind: Group, name: ${scene.group}}]
  recording: {level: ${value}, mode: ${mode}}
  rules:${RULES}
`);
    for (;;) {
      const { headers } = await scene.ask(configMaps());
      const [event] = events(spooledLines(scene.gateway), String(headers['x-request-id'])).slice(-1);
      if (event?.level === value) return;
      await sleep(50);
    }
  }

  const post = (name: string, data: Record<string, string>) =>
    scene.ask(configMaps(), {
      method: 'POST',
      headers: ['Content-Type', 'application/json'],
      body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data }),
    });

  it('a read leaves one event, kept before its answer ends', async () => {
    const answer = await scene.ask(configMaps(), { headers: ['User-Agent', 'a test'] });
    const lines = events(spooledLines(scene.gateway), String(answer.headers['x-request-id']));
    assert.deepEqual(
      lines.map(({ stage }) => stage),
      ['ResponseComplete'],
    );
    const [event] = lines;
    assert.equal(event!.verb, 'list');
    assert.equal(event!.requestURI, configMaps());
    assert.equal(event!.user.username, scene.user);
    assert.equal(event!.impersonatedUser!.username, `sallyport:${scene.user}`);
    assert.equal(event!.caller.method, 'OIDC');
    assert.deepEqual(event!.sourceIPs, ['127.0.0.1']);
    assert.equal(event!.userAgent, 'a test');
    assert.deepEqual(event!.objectRef, { resource: 'configmaps', namespace: scene.namespace, apiVersion: 'v1' });
    assert.equal(event!.decision!.rule, 'everything');
    assert.equal(event!.responseStatus!.code, 200);
    assert.equal(event!.responseBody!.data, answer.body);
    assert.equal(event!.outcome, 'Complete');
    assert.ok(event!.durations!.total > 0 && event!.durations!.upstream! > 0);
    assert.equal(event!.bytes!.response, Buffer.byteLength(answer.body));
  });

  it('a write leaves its first event before the forward, with its body, and its last one after', async () => {
    const { headers, status } = await post('one', { greeting: 'hello' });
    assert.equal(status, 201);
    const lines = events(spooledLines(scene.gateway), String(headers['x-request-id']));
    assert.deepEqual(
      lines.map(({ stage }) => stage),
      ['RequestReceived', 'ResponseComplete'],
    );
    assert.match(lines[0]!.requestBody!.data!, /"greeting":"hello"/);
    assert.equal(lines[1]!.requestBody, undefined);
    assert.equal(lines[1]!.responseStatus!.code, 201);
    assert.match(lines[1]!.responseBody!.data!, /"greeting":"hello"/);
  });

  it('what is refused leaves an event that says by what rule', async () => {
    const { headers, status } = await scene.ask('/api/v1/nodes');
    assert.equal(status, 403);
    const [event] = events(spooledLines(scene.gateway), String(headers['x-request-id']));
    assert.equal(event!.outcome, 'Refused');
    assert.equal(event!.error!.code, 'SP_POLICY_DENIED');
    assert.equal(event!.decision!.rule, 'no-nodes');
    assert.equal(event!.responseStatus!.code, 403);
  });

  it('no secret that the agent cannot see is in it, of answers or of what it wrote', async () => {
    const secret = randomBytes(24).toString('hex');
    const path = `/api/v1/namespaces/${scene.namespace}/secrets`;
    const body = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'hidden' }, stringData: { password: secret } };
    const created = await scene.ask(path, {
      method: 'POST',
      headers: ['Content-Type', 'application/json'],
      body: JSON.stringify(body),
    });
    assert.equal(created.status, 201, created.body);
    const read = await scene.ask(`${path}/hidden`);
    assert.ok(!read.body.includes(Buffer.from(secret).toString('base64')), 'the answer is masked');
    const text = JSON.stringify(spooledLines(scene.gateway));
    assert.ok(!text.includes(secret), 'in clear');
    assert.ok(!text.includes(Buffer.from(secret).toString('base64')), 'in base64');
    const [event] = events(spooledLines(scene.gateway), String(read.headers['x-request-id']));
    assert.ok(Object.values(event!.masked!).reduce((sum, count) => sum + count, 0) > 0, 'counts of what was masked');
  });

  it('a long answer is told of before its first byte, and kept in part', async () => {
    for (let number = 0; number < 12; number += 1) await post(`big-${number}`, { text: 'x'.repeat(60_000) });
    const answer = await scene.ask(configMaps());
    const lines = events(spooledLines(scene.gateway), String(answer.headers['x-request-id']));
    assert.deepEqual(
      lines.map(({ stage }) => stage),
      ['ResponseStarted', 'ResponseComplete'],
    );
    const body = lines[1]!.responseBody!;
    assert.equal(body.truncated, true);
    assert.equal(body.bytes, Buffer.byteLength(answer.body));
    assert.equal(body.data, answer.body.slice(0, 256 << 10));
  });

  it('a watch leaves its stream', async () => {
    const path = `${configMaps()}?watch=1&timeoutSeconds=2&fieldSelector=metadata.name%3Dwatched`;
    const watching = scene.ask(path);
    await sleep(300);
    await post('watched', { a: 'seen' });
    const answer = await watching;
    const lines = spooledLines(scene.gateway);
    const id = String(answer.headers['x-request-id']);
    assert.deepEqual(
      events(lines, id).map(({ stage }) => stage),
      ['RequestReceived', 'ResponseComplete'],
    );
    assert.equal(stream(lines, id, 'watch'), answer.body);
    assert.match(answer.body, /"a":"seen"/);
  });

  it('less is kept at lower levels, nothing at None', async () => {
    await level('Request', 'Strict');
    const { headers } = await post('two', { greeting: 'hello' });
    const [first, last] = events(spooledLines(scene.gateway), String(headers['x-request-id']));
    assert.match(first!.requestBody!.data!, /hello/);
    assert.equal(last!.responseBody, undefined);
    await level('Metadata', 'Strict');
    const { headers: third } = await post('three', { greeting: 'hello' });
    const metadata = events(spooledLines(scene.gateway), String(third['x-request-id']));
    assert.equal(metadata.length, 2);
    assert.ok(!JSON.stringify(metadata).includes('hello'));
    await scene.policy(`
    - name: everything
      action: Allow
      match: {verbs: ["*"], apiGroups: ["*"], resources: ["*", "*/*"]}
  recording: {level: None}`);
    for (let kept = true; kept; await sleep(50)) {
      const { headers: last } = await scene.ask(configMaps());
      kept = events(spooledLines(scene.gateway), String(last['x-request-id'])).length > 0;
    }
    await level('RequestResponse', 'Strict');
  });

  it('killed during a watch: the next start says that its outcome is unknown', async () => {
    const path = `${configMaps()}?watch=1&timeoutSeconds=30`;
    scene.ask(path).catch(() => {});
    await sleep(300);
    await scene.gateway.kill('SIGKILL');
    await scene.gateway.launch();
    const lines = await keptLines(scene.gateway);
    assert.equal(lines.filter((line) => line.kind === 'Resume').length, 1);
    const unknown = events(lines).filter(({ outcome }) => outcome === 'Unknown');
    assert.equal(unknown.length, 1);
    const [received] = events(lines, unknown[0]!.auditID);
    assert.equal(received!.stage, 'RequestReceived');
    assert.equal(received!.verb, 'watch');
    await scene.effective();
  });

  it('a stop seals: the store has a recording that verifies, and the index says where', async () => {
    const answer = await scene.ask(configMaps());
    await scene.gateway.kill('SIGTERM');
    const names = storedRecordings(scene.gateway);
    assert.equal(names.length, 1);
    const report = await verifyStored(scene.gateway, names[0]!);
    assert.equal(report.state, 'Complete');
    const lines = await storedLines(scene.gateway, names[0]!);
    assert.equal(events(lines, String(answer.headers['x-request-id'])).length, 2);
    assert.equal(lines.at(-1)!.kind, 'End');
    const { stdout } = await scene.cluster.kubectl([
      'get',
      'sessionrecording',
      names[0]!,
      '-n',
      scene.gateway.namespace,
      '-o',
      'json',
    ]);
    const object = JSON.parse(stdout);
    assert.equal(object.status.phase, 'Sealed');
    assert.equal(object.status.chainHead, report.hash);
    assert.equal(object.status.signature.keyID, report.keyID);
    assert.ok(object.status.location.endsWith(`/recordings/${names[0]}/`));
    assert.equal(object.status.counts.denied, 1);
    assert.deepEqual(spooledLines(scene.gateway), [], 'nothing is left in the spool');
  });
});
