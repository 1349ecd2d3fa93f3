import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { People } from '../approval/people.ts';
import type { CommandResult } from '../cluster/cluster.ts';
import type { Scene } from '../gateway/scene.ts';
import { whileMutated } from './mutation.ts';
import { SecondLeg } from './second-leg.ts';

const RULES = `
    - name: look
      action: Allow
      match: {verbs: [get, list, watch], apiGroups: ["", apps], resources: ["*"]}
    - name: services-wait
      action: RequireApproval
      match: {verbs: [create, update, patch, delete, deletecollection], apiGroups: [""], resources: [services, secrets]}
      approval: {requestTTL: 15m, impersonateGroups: [elevated]}
    - name: shells-wait
      action: RequireApproval
      match: {verbs: [create], apiGroups: [""], resources: [pods/exec]}
    - name: marked
      action: RequireApproval
      match: {verbs: [create], apiGroups: [""], resources: [configmaps]}
      matchConditions: [{name: marked, expression: "has(object.data) && 'marked' in object.data"}]
    - name: maps
      action: Allow
      match: {verbs: [create, update, patch, delete], apiGroups: [""], resources: [configmaps]}`;

let leg: SecondLeg;
let scene: Scene;
let people: People;

const create = (name: string, ...more: string[]) =>
  leg.direct(['create', 'service', 'clusterip', name, '--tcp=80', ...more]);
const all = async () => await people.all(scene.namespace);
/** @returns the name that the refusal says */
const asked = ({ code, stderr }: CommandResult): string => {
  assert.notEqual(code, 0);
  const name = /"kubectl approve -n \S+ (ar-[0-9a-z]{10}-\d+)"/.exec(stderr)?.[1];
  assert.ok(name, stderr);
  assert.match(stderr, /SP_APPROVAL_REQUIRED: .*services-wait|SP_APPROVAL_REQUIRED: .*shells-wait|marked/);
  return name;
};

before(async () => {
  leg = await SecondLeg.open('second-leg-approvals', RULES, { enabled: true });
  scene = leg.scene;
  people = new People(scene.cluster);
});
after(() => leg.close());

describe('what needs a person, straight at the API server', { timeout: 240_000 }, () => {
  it('asks one, is refused until they approve, and passes once', async () => {
    const name = asked(await create('web'));
    assert.equal(asked(await create('web')), name, 'the same again joins it');
    const [request] = await all();
    assert.equal(request!.spec.leg, 'Admission');
    assert.equal(request!.spec.requester.issuer, 'kubernetes');
    assert.equal(request!.spec.requester.username, scene.user);
    assert.equal(request!.spec.impersonateGroups, undefined, 'nothing can be added to this credential');
    assert.match(request!.spec.summary, /note: asked of the API server itself/);
    assert.match(request!.spec.diff!, /\+.*port: 80/);
    await people.approve(scene.namespace, name);
    const passed = await create('web');
    assert.equal(passed.code, 0, passed.stderr);
    const { status } = await people.get(scene.namespace, name);
    assert.deepEqual([status!.uses!.length, status!.uses![0]!.outcome], [1, 'Admitted']);
    assert.ok(status!.conditions!.some(({ type }) => type === 'Consumed'));
    await leg.scene.cluster.kubectl(['delete', 'service', 'web', '-n', scene.namespace]);
    const next = asked(await create('web'));
    assert.notEqual(next, name, 'used up: it is asked anew');
    await people.deny(scene.namespace, next, 'not today');
    const denied = await create('web');
    assert.match(denied.stderr, /SP_APPROVAL_DENIED.*not today/);
  });

  it('asks nobody for a dry run', async () => {
    const count = (await all()).length;
    const { stderr } = await create('dry', '--dry-run=server');
    assert.match(stderr, /SP_APPROVAL_REQUIRED.*a dry run asks nobody/);
    assert.equal((await all()).length, count);
  });

  it('an approval is of that very object: another name, another port, another caller asks anew', async () => {
    const name = asked(await create('exact'));
    await people.approve(scene.namespace, name);
    const others = [
      await create('exact2'),
      await leg.direct(['create', 'service', 'clusterip', 'exact', '--tcp=81']),
      await leg.direct(['create', 'service', 'clusterip', 'exact', '--tcp=80'], { user: 'someone-else' }),
    ];
    for (const other of others) assert.notEqual(asked(other), name);
    assert.equal((await people.get(scene.namespace, name)).status!.uses, undefined);
    const passed = await create('exact');
    assert.equal(passed.code, 0, passed.stderr);
  });

  it('a deletion is of the object that was seen: its successor of the same name is another', async () => {
    const secret = (value: string) =>
      scene.cluster.apply(
        `{apiVersion: v1, kind: Secret, metadata: {name: kept, namespace: ${scene.namespace}}, stringData: {a: ${value}}}`,
      );
    await secret('one');
    const name = asked(await leg.direct(['delete', 'secret', 'kept']));
    const { spec } = await people.get(scene.namespace, name);
    assert.ok(spec.target!.uid);
    assert.doesNotMatch(JSON.stringify(spec), /b25l/, 'the value is not shown');
    await people.approve(scene.namespace, name);
    await scene.cluster.kubectl(['delete', 'secret', 'kept', '-n', scene.namespace]);
    await secret('one');
    const void1 = await leg.direct(['delete', 'secret', 'kept']);
    assert.match(void1.stderr, /SP_APPROVAL_VOID/);
    const again = asked(await leg.direct(['delete', 'secret', 'kept']));
    await people.approve(scene.namespace, again);
    const { code, stderr } = await leg.direct(['delete', 'secret', 'kept']);
    assert.equal(code, 0, stderr);
  });

  it('a name that the API server draws does not make each try another request', async () => {
    const input = `{apiVersion: v1, kind: Service, metadata: {generateName: drawn-}, spec: {ports: [{port: 80}]}}`;
    const name = asked(await leg.direct(['create', '-f', '-'], { input }));
    await people.approve(scene.namespace, name);
    const { code, stderr } = await leg.direct(['create', '-f', '-'], { input });
    assert.equal(code, 0, stderr);
  });

  it('an exec is asked about with its command', async () => {
    const path = `/api/v1/namespaces/${scene.namespace}/pods/web/exec?command=id&stdout=true`;
    const exec = () => leg.direct(['create', '--raw', path, '-f', '-'], { input: '' });
    const name = asked(await exec());
    const { spec } = await people.get(scene.namespace, name);
    assert.deepEqual(spec.operation.command, ['id']);
    await people.approve(scene.namespace, name);
    const passed = await exec();
    assert.match(passed.stderr, /not found|[Uu]pgrade/, 'past the webhook, where there is no such Pod');
    assert.doesNotMatch(passed.stderr, /SP_/);
  });

  it('of eight at once that wait for one approval, one passes', async () => {
    const name = asked(await create('race'));
    await people.approve(scene.namespace, name);
    const results = await Promise.all(Array.from({ length: 8 }, () => create('race')));
    const passed = results.filter(({ code }) => code === 0).length;
    const reached = results.filter(({ stderr }) => /already exists/.test(stderr)).length;
    assert.equal(passed, 1);
    assert.equal(reached, 0, 'the others did not come past the webhook');
    assert.equal((await people.get(scene.namespace, name)).status!.uses!.length, 1);
  });
});

describe('what a person approved at the gateway', { timeout: 120_000 }, () => {
  it('counts for both legs, once, for every review that it causes', async () => {
    for (const name of ['all-a', 'all-b', 'all-c']) {
      await scene.cluster.apply(
        `{apiVersion: v1, kind: Secret, metadata: {name: ${name}, namespace: ${scene.namespace}, labels: {of: all}}}`,
      );
    }
    const before = (await all()).length;
    const path = `/api/v1/namespaces/${scene.namespace}/secrets?labelSelector=of%3Dall`;
    const first = await scene.ask(path, { method: 'DELETE' });
    assert.equal(first.status, 403);
    const name = first.json().details.name as string;
    await people.approve(scene.namespace, name);
    const second = await scene.ask(path, { method: 'DELETE' });
    assert.equal(second.status, 200, second.body);
    const left = await scene.cluster.kubectl(['get', 'secrets', '-l', 'of=all', '-n', scene.namespace, '-o', 'name']);
    assert.equal(left.stdout, '');
    const requests = await all();
    assert.equal(requests.length, before + 1, 'the second leg asked nobody');
    assert.equal((await people.get(scene.namespace, name)).status!.uses!.length, 1);
    for (const reviewed of ['all-a', 'all-b', 'all-c']) {
      await scene.gateway.logged(
        ({ message, way, operation }) =>
          message === 'admitted' && way === 'Gate' && (operation as { name?: string }).name === reviewed,
      );
    }
  });

  it('does not count for what other webhooks made of it: that is asked by the second leg', async () => {
    await whileMutated(scene, { name: 'marking', entry: 'marked' }, async () => {
      const kubeconfig = await scene.kubeconfig();
      const make = () =>
        scene.cluster.kubectl(['create', 'configmap', 'soon-marked', '--from-literal=a=1'], { kubeconfig });
      let result = await make();
      const end = Date.now() + 30_000;
      while (result.code === 0 && Date.now() < end) {
        await scene.cluster.kubectl(['delete', 'configmap', 'soon-marked', '-n', scene.namespace]);
        result = await make();
      }
      const name = asked(result);
      const { spec } = await people.get(scene.namespace, name);
      assert.deepEqual([spec.leg, spec.requester.issuer], ['Admission', 'gateway']);
      await people.approve(scene.namespace, name);
      const passed = await make();
      assert.equal(passed.code, 0, passed.stderr);
    });
  });
});
