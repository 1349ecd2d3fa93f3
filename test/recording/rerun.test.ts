import assert from 'node:assert/strict';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { CommandIO } from '../../src/cli/command-io.ts';
import { type Cluster, startCluster } from '../cluster/cluster.ts';
import { Scene } from '../gateway/scene.ts';
import { recordingCommand } from './made-recording.ts';
import { storedRecordings, storeOf } from './recorded.ts';

const RULES = `
    - name: no-nodes
      action: Deny
      match: {verbs: ["*"], apiGroups: [""], resources: [nodes]}
    - name: everything
      action: Allow
      match: {verbs: ["*"], apiGroups: ["*"], resources: ["*", "*/*"]}`;

/** What an agent did on one real API server, sent again to another. */
describe('rerun, between two API servers', () => {
  let scene: Scene;
  let other: Cluster;
  let store: string;
  let recording: string;
  /** As the recording has it, and as the dry run names it. */
  let placeholder: string;
  const value = `correct-horse-${Math.random().toString(36).slice(2)}`;

  const ask = async (method: string, path: string, body?: unknown, contentType = 'application/json') =>
    await scene.ask(path, {
      method,
      headers: body === undefined ? [] : ['Content-Type', contentType],
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });

  before(async () => {
    scene = await Scene.open('rerun', { rules: RULES, recording: true });
    await scene.cluster.apply(`
apiVersion: sallyport.dev/v1alpha1
kind: AgentPolicy
metadata: {name: ${scene.namespace}}
spec:
  subjects: [{kind: Group, name: ${scene.group}}]
  recording: {level: RequestResponse, mode: Strict}
  rules:${RULES}
`);
    await sleep(1_000);
    const maps = `/api/v1/namespaces/${scene.namespace}/configmaps`;
    const made = await ask('POST', maps, {
      kind: 'ConfigMap',
      apiVersion: 'v1',
      metadata: { name: 'one' },
      data: { a: '1' },
    });
    assert.equal(made.status, 201);
    const one = made.json() as { metadata: { uid: string; resourceVersion: string }; data: object };
    // An update with its revision, an owner with its uid, a delete with a precondition: none of these mean anything elsewhere.
    assert.equal((await ask('PUT', `${maps}/one`, { ...one, data: { a: '2' } })).status, 200);
    const patch = [
      { op: 'test', path: '/metadata/uid', value: one.metadata.uid },
      { op: 'add', path: '/data/b', value: '3' },
    ];
    assert.equal((await ask('PATCH', `${maps}/one`, patch, 'application/json-patch+json')).status, 200);
    const about = {
      apiVersion: 'v1',
      kind: 'ConfigMap',
      namespace: scene.namespace,
      name: 'one',
      uid: one.metadata.uid,
    };
    const event = { kind: 'Event', apiVersion: 'v1', metadata: { name: 'seen' }, involvedObject: about };
    assert.equal((await ask('POST', `/api/v1/namespaces/${scene.namespace}/events`, event)).status, 201);
    const owner = { apiVersion: 'v1', kind: 'ConfigMap', name: 'one', uid: one.metadata.uid };
    const owned = { kind: 'ConfigMap', apiVersion: 'v1', metadata: { name: 'two', ownerReferences: [owner] } };
    assert.equal((await ask('POST', maps, owned)).status, 201);
    assert.equal((await ask('GET', `${maps}/one`)).status, 200);
    await ask('GET', '/api/v1/nodes');
    const secrets = `/api/v1/namespaces/${scene.namespace}/secrets`;
    const secret = {
      kind: 'Secret',
      apiVersion: 'v1',
      metadata: { name: 'key' },
      data: { password: Buffer.from(value).toString('base64') },
    };
    await scene.cluster.apply(
      JSON.stringify({ ...secret, metadata: { ...secret.metadata, namespace: scene.namespace } }),
    );
    const read = await ask('GET', `${secrets}/key`);
    // Written back as it was read: the gateway restores it; the recording has the placeholder only.
    const { metadata, data } = read.json() as { metadata: { resourceVersion: string }; data: object };
    const back = { ...secret, metadata: { name: 'key', resourceVersion: metadata.resourceVersion }, data };
    assert.equal((await ask('PUT', `${secrets}/key`, back)).status, 200);
    assert.equal((await ask('DELETE', `${maps}/two`, { preconditions: { uid: 'to-be-replaced' } })).status, 409);
    store = storeOf(scene.gateway);
    for (let tries = 0; tries < 200 && !(await listed()); tries += 1) await sleep(100);
    other = await startCluster({ name: 'rerun' });
    await other.apply(`apiVersion: v1\nkind: Namespace\nmetadata: {name: ${scene.namespace}}`);
  });
  after(async () => {
    await scene?.close();
    await other?.stop();
  });

  /** The last request is in the store. */
  async function listed(): Promise<boolean> {
    for (const name of storedRecordings(scene.gateway)) {
      const { stdout } = await recordingCommand(store, ['show', name, '-o', 'json']);
      if (!stdout.includes('to-be-replaced')) continue;
      recording = name;
      return true;
    }
    return false;
  }

  const rerun = async (args: readonly string[], terminal?: CommandIO['terminal']) =>
    await recordingCommand(store, ['rerun', recording, '--kubeconfig', other.adminKubeconfig, ...args], terminal);
  const exists = async (path: string): Promise<boolean> =>
    (await other.kubectl(['get', '--raw', `/api/v1/namespaces/${scene.namespace}/${path}`])).code === 0;

  it('a dry run changes nothing, and says what differs, what is skipped and why', async () => {
    const { code, stdout, stderr } = await rerun([]);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /^to https:\/\/[^,]+, writes as dry runs\n/);
    assert.match(stdout, /same +kubectl create -n \S+ -f configmaps\n {4}201 \(dry run\)/);
    // Nothing was made, so what comes after finds nothing there.
    assert.match(stdout, /differs +kubectl get configmaps -n \S+ one\n {4}200, now 404 NotFound/);
    assert.match(stdout, /skipped +kubectl create -n \S+ -f configmaps\n {4}its owner ConfigMap\/one is not there/);
    assert.match(stdout, /skipped +kubectl get nodes.*\n {4}it was refused then/);
    const skipped =
      /skipped +kubectl replace .* secrets\/key\n {4}what was masked stands in it, and there is no value for it: (sallyport\.masked\.\w{26})\n/;
    placeholder = skipped.exec(stdout)?.[1] ?? '';
    assert.notEqual(placeholder, '', stdout);
    assert.equal(await exists('configmaps/one'), false);
  });

  it('--apply asks before each write; a no is a no', async () => {
    const refused = await rerun(['--apply']);
    assert.equal(refused.code, 2);
    const asked: string[] = [];
    const ask = async (question: string): Promise<string> => {
      asked.push(question);
      return 'n';
    };
    const terminal = { colours: false, ask };
    const { stdout } = await rerun(['--apply'], terminal);
    assert.ok(asked.length >= 2, `${asked}`);
    assert.match(asked[0]!, /kubectl create -n .*\n {2}send it to https:/);
    assert.match(stdout, /you said no/);
    assert.equal(await exists('configmaps/one'), false);
  });

  it('for real: uids and revisions are those of the other cluster, and every answer is as it was', async () => {
    const { code, stdout, stderr } = await rerun(['--apply', '--yes']);
    assert.equal(code, 0, stderr);
    assert.match(stdout, /same +kubectl replace -n \S+ -f configmaps\/one\n {4}200/);
    assert.match(stdout, /same +kubectl get configmaps -n \S+ one\n {4}200/);
    // The precondition, put right, is met there: what was refused for its uid is done.
    assert.match(stdout, /differs +kubectl delete configmaps two .*\n {4}409, now 200/);
    assert.match(stdout, /same +kubectl patch configmaps one -n \S+\n {4}200/);
    const get = async (...what: string[]) =>
      JSON.parse((await other.kubectl(['get', ...what, '-n', scene.namespace, '-o', 'json'])).stdout);
    const one = (await get('configmap', 'one')) as { data: object; metadata: { uid: string } };
    assert.deepEqual(one.data, { a: '2', b: '3' });
    const seen = (await get('event', 'seen')) as { involvedObject: { uid: string } };
    assert.equal(seen.involvedObject.uid, one.metadata.uid);
    assert.equal(await exists('secrets/key'), false, 'no placeholder was sent');
  });

  it('--values gives what was masked its value; nothing shows it', async () => {
    await other.apply(
      `apiVersion: v1\nkind: Secret\nmetadata: {name: key, namespace: ${scene.namespace}}\ndata: {password: eA==}`,
    );
    const file = join(scene.gateway.directory, 'values.yaml');
    const fresh = `fresh-${Math.random().toString(36).slice(2)}`;
    writeFileSync(file, JSON.stringify({ [placeholder]: fresh }));
    const { code, stdout, stderr } = await rerun(['--apply', '--yes', '--values', file]);
    assert.equal(code, 0, stderr);
    const { stdout: read } = await other.kubectl(['get', 'secret', 'key', '-n', scene.namespace, '-o', 'json']);
    const { data } = JSON.parse(read) as { data: { password: string } };
    assert.equal(Buffer.from(data.password, 'base64').toString(), fresh, stdout);
    assert.ok(!stdout.includes(fresh) && !stdout.includes(data.password) && !stdout.includes(value));
    assert.match(stdout, /same +kubectl replace .* secrets\/key/);
  });

  it('where to is said, or nothing is sent; wrong values are refused', async () => {
    assert.equal((await recordingCommand(store, ['rerun', recording])).code, 2);
    assert.equal((await rerun(['--context', 'nowhere'])).code, 2);
    const file = join(scene.gateway.directory, 'wrong.yaml');
    writeFileSync(file, 'password: x');
    assert.equal((await rerun(['--values', file])).code, 2);
  });
});
