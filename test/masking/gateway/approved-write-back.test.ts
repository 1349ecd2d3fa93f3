import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, test } from 'node:test';
import { People } from '../../approval/people.ts';
import { Scene } from '../../gateway/scene.ts';

const MERGE = 'application/merge-patch+json';
const b64 = (text: string): string => Buffer.from(text).toString('base64');

let scene: Scene;
let people: People;
let secret: string;
const password = `p${randomBytes(9).toString('hex')}`;

before(async () => {
  scene = await Scene.open('approvedback', {
    rules: `
    - name: look
      action: Allow
      match: {verbs: [get, list, watch], apiGroups: ["*"], resources: ["*"]}
    - name: writes
      action: RequireApproval
      match: {verbs: [patch], apiGroups: [""], resources: [secrets]}
      approval: {requestTTL: 15m, grantTTL: 5m}`,
  });
  people = new People(scene.cluster);
  secret = `/api/v1/namespaces/${scene.namespace}/secrets/db`;
  const made = { metadata: { name: 'db' }, data: { password: b64(password) } };
  await scene.cluster.admin('POST', secret.replace(/\/db$/, ''), made);
});
after(async () => {
  await scene?.close();
});

test('an approval is of the placeholders that were sent, and writes the value of the moment it is used', async () => {
  const { data } = (await scene.ask(secret)).json() as { data: object };
  const write = () =>
    scene.ask(secret, {
      method: 'PATCH',
      headers: ['Content-Type', MERGE],
      body: JSON.stringify({ data, metadata: { labels: { tier: 'db' } } }),
    });
  const stored = async () => (await scene.cluster.admin('GET', secret)).json();
  assert.equal((await write()).json().details.causes[0].reason, 'SP_APPROVAL_REQUIRED');
  const asked = await people.waiting(scene.namespace);
  const shown = JSON.stringify(asked);
  assert.ok(!shown.includes(password) && !shown.includes(b64(password)), shown);

  const rotated = `r${randomBytes(9).toString('hex')}`;
  await scene.cluster.admin('PATCH', secret, { data: { password: b64(rotated) } }, MERGE);
  assert.equal((await write()).json().details.name, asked.metadata.name, 'the same command is the same request');
  await people.approve(scene.namespace, asked.metadata.name!);
  const gone = (await write()).json();
  assert.equal(
    gone.details.causes[0].reason,
    'SP_APPROVAL_VOID',
    'what it would make of the object is not what was seen',
  );
  assert.equal((await stored()).data.password, b64(rotated));

  assert.equal((await write()).status, 403);
  const anew = await people.waiting(scene.namespace);
  assert.equal(anew.metadata.name, asked.metadata.name!.replace(/1$/, '2'), 'the same digest');
  await people.approve(scene.namespace, anew.metadata.name!);
  const passed = await write();
  assert.equal(passed.status, 200, passed.body);
  const { metadata, data: after } = await stored();
  assert.deepEqual([metadata.labels.tier, after.password], ['db', b64(rotated)]);
});
