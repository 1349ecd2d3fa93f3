import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { Scene } from '../gateway/scene.ts';
import { People } from './people.ts';
import { WRITES_WAIT } from './writes-wait.ts';

/** ConfigMaps named `open-…` need nobody; all others need a person. */
const RULES = `${WRITES_WAIT}
      approval: {requestTTL: 15m, grantTTL: 5m}`;

let scene: Scene;
let people: People;
let maps: string;

before(async () => {
  scene = await Scene.open('exact', { rules: RULES });
  people = new People(scene.cluster);
  maps = `/api/v1/namespaces/${scene.namespace}/configmaps`;
});
after(async () => {
  await scene?.close();
});

const map = (name: string, data: object = { a: 'b' }) => ({
  method: 'POST',
  headers: ['Content-Type', 'application/json'],
  body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data }),
});

test('asked, approved, run once, asked anew', async () => {
  const asked = await scene.ask(maps, map('plain'));
  assert.equal(asked.status, 403, asked.body);
  const { message, details, reason } = asked.json();
  assert.equal(reason, 'Forbidden');
  const request = await people.waiting(scene.namespace);
  const { name } = request.metadata;
  assert.match(name, /^ar-[0-9a-hjkmnp-tv-z]{10}-1$/);
  assert.match(
    message,
    new RegExp(
      `^SP_APPROVAL_REQUIRED: ${scene.namespace}/writes: create configmaps .*; this needs a person's approval: ask a person to run ` +
        `"kubectl approve -n ${scene.namespace} ${name}" before \\S+Z, then run the same command again \\(request [0-9a-f-]{36}\\)$`,
    ),
  );
  assert.equal(details.name, name);
  assert.ok(Number(asked.headers['retry-after']) > 0);
  assert.match(request.spec.summary, /^requester: /m);
  assert.match(request.spec.diff ?? '', /^\+ {2}a: b$/m);
  assert.equal(request.spec.target?.uid, undefined, 'nothing is there yet');

  const again = await scene.ask(maps, map('plain'));
  assert.equal(again.status, 403);
  assert.equal(again.json().details.name, name, 'the same request joins');
  assert.equal((await people.all(scene.namespace)).length, 1);

  await people.approve(scene.namespace, name);
  const passed = await scene.ask(maps, map('plain'));
  assert.equal(passed.status, 201, passed.body);
  const used = await people.get(scene.namespace, name);
  assert.equal(used.status?.uses?.length, 1);
  assert.equal(used.status?.uses?.[0]?.requestID, passed.headers['audit-id']);
  assert.equal(used.status?.phase, 'Used');
  for (let i = 0; i < 100 && (await people.get(scene.namespace, name)).status?.uses?.[0]?.outcome === undefined; i++) {
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  const { outcome, code } = (await people.get(scene.namespace, name)).status!.uses![0]!;
  assert.deepEqual([outcome, code], ['Succeeded', 201]);

  const third = await scene.ask(maps, map('plain'));
  assert.equal(third.status, 403, 'it is used up');
  assert.equal(third.json().details.name, name.replace(/1$/, '2'));

  // A line for every step; what the controller does (notified, decided, expired) is told by its own tests.
  const last = await scene.gateway.logged(
    ({ approval, name: of }) => approval === 'requested' && /-2$/.test(String(of)),
  );
  const steps = scene.gateway.log.filter(({ message, name: of }) => message === 'approval' && /\/ar-/.test(String(of)));
  assert.deepEqual(
    steps.slice(0, steps.indexOf(last) + 1).map(({ approval }) => approval),
    ['requested', 'joined', 'joined', 'used', 'outcome', 'requested'],
  );
  const [requested] = steps;
  const { requester, operation, policy, rule } = requested as Record<string, unknown>;
  assert.deepEqual(
    [requested!['name'], policy, rule, (requester as { username: string }).username],
    [`${scene.namespace}/${name}`, scene.namespace, 'writes', scene.user],
  );
  assert.deepEqual(operation, { verb: 'create', resource: 'configmaps', subresource: '' });
  const [use] = steps.filter(({ approval }) => approval === 'used');
  assert.equal(use!['requestID'], passed.headers['audit-id'], 'one id joins the line, the object and the recording');
  assert.deepEqual(
    steps
      .filter(({ approval }) => approval === 'outcome')
      .map((line) => [line['requestID'], line['outcome'], line['code']]),
    [[passed.headers['audit-id'], 'Succeeded', 201]],
  );
});
