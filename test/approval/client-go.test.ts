import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { goClient, whyNot } from '../clients/programs.ts';
import { Scene } from '../gateway/scene.ts';
import { People } from './people.ts';
import { WRITES_WAIT } from './writes-wait.ts';

const skip = await whyNot(goClient);

describe('approved changes by client-go', { skip: skip ?? false, timeout: 120_000 }, () => {
  let scene: Scene;
  let people: People;
  let kubeconfig: string;

  before(async () => {
    scene = await Scene.open('client-go', { rules: WRITES_WAIT });
    people = new People(scene.cluster);
    kubeconfig = await scene.kubeconfig();
  });
  after(async () => {
    await scene?.close();
  });

  const map = (name: string): string => `/api/v1/namespaces/${scene.namespace}/configmaps/${name}`;
  const make = async (name: string): Promise<void> => {
    const object = { metadata: { name }, data: { a: 'before' } };
    const made = await scene.cluster.admin('POST', map('').replace(/\/$/, ''), object);
    assert.equal(made.status, 201, made.body);
  };
  const go = async (args: string[], env: Record<string, string> = {}) =>
    await scene.cluster.kubectl(args, { program: await goClient(), kubeconfig, env });
  /** Refused, approved; the next run passes. */
  const approved = async (args: string[]): Promise<void> => {
    const first = await go(args);
    assert.equal(first.code, 1);
    assert.match(first.stderr, /SP_APPROVAL_REQUIRED: .* then run the same command again/);
    const [, name] = /kubectl approve -n \S+ (ar-\S+)"/.exec(first.stderr)!;
    await people.approve(scene.namespace, name!);
    const second = await go(args);
    assert.equal(second.code, 0, second.stderr);
    const use = await people.outcome(scene.namespace, name!);
    assert.deepEqual([use.outcome, use.code], ['Succeeded', 200]);
  };

  for (const type of ['application/json', 'application/vnd.kubernetes.protobuf']) {
    it(`in ${type}: an update and a deletion`, async () => {
      const name = `changed-${type.replace(/.*[/.]/, '')}`;
      await make(name);
      await approved(['change', type, name, 'after']);
      assert.equal((await scene.cluster.admin('GET', map(name))).json().data.a, 'after');
      await approved(['remove', type, name]);
      assert.equal((await scene.cluster.admin('GET', map(name))).status, 404);
    });
  }

  it('in CBOR: refused before anyone is asked, with what to do', async () => {
    await make('cbor');
    const env = { KUBE_FEATURE_ClientsAllowCBOR: 'true', KUBE_FEATURE_ClientsPreferCBOR: 'true' };
    const before = (await people.all(scene.namespace)).length;
    const { code, stderr } = await go(['change', 'application/cbor', 'cbor', 'after'], env);
    assert.equal(code, 1);
    assert.match(stderr, /update: .*SP_UNSUPPORTED_MEDIA_TYPE: .*send it as JSON, YAML or Kubernetes protobuf/);
    assert.equal((await people.all(scene.namespace)).length, before, 'nobody was asked');
  });
});
