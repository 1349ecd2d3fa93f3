import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ApprovalRequest } from '../../src/approval/approval-request.generated.ts';
import type { Answer, Asked, Scene } from '../gateway/scene.ts';
import { People } from './people.ts';
import { TappedScene } from './tapped-scene.ts';
import { WRITES_WAIT } from './writes-wait.ts';

const JSON_TYPE = ['Content-Type', 'application/json'];
const MERGE = ['Content-Type', 'application/merge-patch+json'];
const JSON_PATCH = ['Content-Type', 'application/json-patch+json'];

describe('an approval is good for what was approved, once', { timeout: 240_000 }, () => {
  let scene: Scene;
  let people: People;
  let tapped: TappedScene;
  let counter = 0;

  before(async () => {
    tapped = await TappedScene.open('faults');
    scene = tapped.scene;
    people = new People(scene.cluster);
  });
  after(() => tapped?.close());

  const path = (name = '', namespace = scene.namespace, resource = 'configmaps'): string =>
    `/api/v1/namespaces/${namespace}/${resource}${name === '' ? '' : `/${name}`}`;
  /** A ConfigMap that is there already. */
  const made = async (data: object = { a: 'b' }, name = `map-${++counter}`): Promise<string> => {
    const object = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data };
    const answer = await scene.cluster.admin('POST', path(), object);
    assert.equal(answer.status, 201, answer.body);
    return name;
  };
  const live = async (name: string) => (await scene.cluster.admin('GET', path(name))).json();
  const change = (name: string, patch: object) =>
    scene.cluster.admin('PATCH', path(name), patch, 'application/merge-patch+json');
  /** Sends it, expects that a person is asked, and gives what they are asked. */
  const asks = async (target: string, asked: Asked): Promise<ApprovalRequest> => {
    const answer = await scene.ask(target, asked);
    required(answer);
    return await people.get(scene.namespace, answer.json().details.name);
  };
  const approved = async (target: string, asked: Asked): Promise<ApprovalRequest> => {
    const { metadata } = await asks(target, asked);
    return await people.approve(scene.namespace, metadata.name);
  };
  const patch = (body: object): Asked => ({ method: 'PATCH', headers: MERGE, body: JSON.stringify(body) });

  describe('replays', () => {
    it('with another body, query, argv, name, namespace, verb or user ask anew', async () => {
      const name = await made();
      const other = await made();
      const body = { data: { a: 'c' } };
      const approval = await approved(path(name), patch(body));
      const elsewhere = await scene.cluster.namespace('elsewhere');
      await scene.cluster.admin('POST', path('', elsewhere), {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name },
      });
      const someone = await scene.tokenOf({ sub: 'someone-else' });
      const agent = await scene.tokenOf({ agent: 'another-agent' });
      const replays: Record<string, [string, Asked]> = {
        body: [path(name), patch({ data: { a: 'd' } })],
        'one value more': [path(name), patch({ data: { a: 'c', e: 'f' } })],
        'type of patch': [
          path(name),
          { ...patch(body), headers: ['Content-Type', 'application/strategic-merge-patch+json'] },
        ],
        query: [`${path(name)}?dryRun=All`, patch(body)],
        name: [path(other), patch(body)],
        namespace: [path(name, elsewhere), patch(body)],
        user: [path(name), { ...patch(body), token: someone }],
        agent: [path(name), { ...patch(body), token: agent }],
      };
      const names = new Set([approval.metadata.name]);
      for (const [what, [target, asked]] of Object.entries(replays)) {
        const answer = await scene.ask(target, asked);
        required(answer, what);
        names.add(answer.json().details.name);
      }
      assert.equal(names.size, Object.keys(replays).length + 1, 'each is asked about by itself');
      assert.equal((await live(name)).data.a, 'b', 'nothing passed');
      // The one that was approved still passes: in a new job, with a new token, spelled another way.
      const token = await scene.tokenOf({ jti: 'another job', iat: Math.floor(Date.now() / 1000) - 5 });
      const again = { ...patch(body), token, body: ' { "data" : {"\\u0061":"c"} } ' };
      const passed = await scene.ask(`${path(name)}?fieldManager=x&pretty=true`, again);
      assert.equal(passed.status, 200, passed.body);
      assert.equal((await live(name)).data.a, 'c');
    });

    it('a denied one is refused with the reason, and not asked again for a while', async () => {
      const name = await made();
      const { metadata } = await asks(path(name), patch({ data: { a: 'x' } }));
      await people.deny(scene.namespace, metadata.name, 'not on a \u001b[31mFriday\u202e');
      const denied = await scene.ask(path(name), patch({ data: { a: 'x' } }));
      assert.equal(denied.status, 403);
      assert.match(
        denied.json().message,
        /^SP_APPROVAL_DENIED: faults-\S+\/writes: ar-\S+ was denied by bob@shop\.example: not on a \\u\{1b\}\[31mFriday\\u\{202e\}; the same can be asked again in \d+ s \(request /,
      );
      const wait = Number(denied.headers['retry-after']);
      assert.ok(wait > 590 && wait <= 600, `${wait}`);
      assert.equal((await live(name)).data.a, 'b');
    });
  });

  describe('the target', () => {
    it('changed since it was approved: void, and asked anew', async () => {
      const name = await made({ a: 'b', other: '1' });
      const approval = await approved(path(name), patch({ data: { a: 'c' } }));
      await change(name, { data: { other: '2' } });
      const answer = await scene.ask(path(name), patch({ data: { a: 'c' } }));
      refused(answer, 'SP_APPROVAL_VOID', /another result than when it was asked; run the same command again/);
      const voided = await people.get(scene.namespace, approval.metadata.name);
      assert.equal(voided.status?.conditions?.find(({ type }) => type === 'Expired')?.reason, 'TargetChanged');
      assert.equal(voided.status?.uses, undefined);
      assert.equal((await live(name)).data.a, 'b');
      const anew = await asks(path(name), patch({ data: { a: 'c' } }));
      assert.equal(anew.metadata.name, approval.metadata.name.replace(/1$/, '2'));
      assert.match(anew.spec.summary, /^asked before: ar-\S+: TargetChanged/m);
    });

    it('deleted and made again with the same content: void', async () => {
      const name = await made();
      await approved(path(name), patch({ data: { a: 'c' } }));
      await approved(path(name), { method: 'DELETE' });
      await scene.cluster.admin('DELETE', path(name));
      await made({ a: 'b' }, name);
      for (const asked of [patch({ data: { a: 'c' } }), { method: 'DELETE' }]) {
        refused(await scene.ask(path(name), asked), 'SP_APPROVAL_VOID', /not the one it was when this was asked/);
      }
      assert.equal((await live(name)).data.a, 'b');
    });

    it('gone: void, and nothing is made in its place', async () => {
      const name = await made();
      await approved(path(name), patch({ data: { a: 'c' } }));
      const put = {
        method: 'PUT',
        headers: JSON_TYPE,
        body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { a: 'put' } }),
      };
      await approved(path(name), put);
      await scene.cluster.admin('DELETE', path(name));
      refused(await scene.ask(path(name), patch({ data: { a: 'c' } })), 'SP_APPROVAL_VOID', /void/);
      refused(await scene.ask(path(name), put), 'SP_APPROVAL_VOID', /void/);
      assert.equal((await scene.cluster.admin('GET', path(name))).status, 404);
    });

    it('a copy by JSON patch from a field that was changed meanwhile: void', async () => {
      const name = await made({ from: 'harmless', to: '' });
      const body = JSON.stringify([{ op: 'copy', from: '/data/from', path: '/data/to' }]);
      const copy = { method: 'PATCH', headers: JSON_PATCH, body };
      await approved(path(name), copy);
      await change(name, { data: { from: 'what nobody approved' } });
      refused(await scene.ask(path(name), copy), 'SP_APPROVAL_VOID', /another result/);
      assert.equal((await live(name)).data.to, '');
    });

    it('touched without changing what is approved: passes, and the forward carries its precondition', async () => {
      const name = await made({ a: 'b' });
      const writes: Record<string, Asked> = {
        'merge patch': patch({ data: { a: 'merge' } }),
        'strategic merge patch': {
          ...patch({ data: { a: 'strategic' } }),
          headers: ['Content-Type', 'application/strategic-merge-patch+json'],
        },
        'JSON patch': {
          method: 'PATCH',
          headers: JSON_PATCH,
          body: JSON.stringify([{ op: 'replace', path: '/data/a', value: 'json' }]),
        },
        PUT: {
          method: 'PUT',
          headers: JSON_TYPE,
          body: JSON.stringify({ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { a: 'put' } }),
        },
        apply: {
          method: 'PATCH',
          headers: ['Content-Type', 'application/apply-patch+yaml'],
          body: `apiVersion: v1\nkind: ConfigMap\nmetadata: {name: ${name}}\ndata: {applied: "yes"}\n`,
        },
      };
      for (const [what, asked] of Object.entries(writes)) {
        const target = `${path(name)}${what === 'apply' ? '?fieldManager=me&force=true' : ''}`;
        await approved(target, asked);
        const { resourceVersion } = (await live(name)).metadata;
        const passed = await scene.ask(target, asked);
        assert.equal(passed.status, 200, `${what}: ${passed.body}`);
        const sent = tapped.tap.text.slice(tapped.tap.text.lastIndexOf(`\r\nAudit-ID: ${passed.headers['audit-id']}`));
        assert.match(sent, new RegExp(`"(?:resourceVersion|value)":"${resourceVersion}"`), what);
        const [event] = scene
          .heard(({ auditID, verb }) => auditID === passed.headers['audit-id'] && verb !== 'get')
          .filter(({ requestURI }) => !requestURI.includes('dryRun'));
        const extra = event!.impersonatedUser?.extra?.['sallyport.dev/approved']?.[0];
        assert.ok(extra?.startsWith(`${scene.namespace}/ar-`), extra);
      }
      await approved(path(name), { method: 'DELETE' });
      const { uid } = (await live(name)).metadata;
      const deleted = await scene.ask(path(name), { method: 'DELETE' });
      assert.equal(deleted.status, 200, deleted.body);
      assert.ok(tapped.tap.text.includes(`DELETE ${path(name)}?uid=${uid} `), 'the uid is named');
    });

    it('touched between the look and the forward: a 409 is looked at again, up to three times', async () => {
      const name = await made({ a: 'b' });
      for (const [touches, status] of [
        [3, 200],
        [4, 409],
      ] as const) {
        await change(name, { data: { a: 'b' } });
        const asked = patch({ data: { a: `${touches}` } });
        const approval = await approved(path(name), asked);
        let left = touches;
        tapped.meddle = (text) => {
          if (!text.startsWith(`PATCH ${path(name)} `) || left-- <= 0) return undefined;
          // Ownership of fields is no part of the result, and yet a new version.
          const owned = { method: 'PATCH', type: 'application/apply-patch+yaml' };
          const body = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name }, data: { a: 'b' } };
          const as = `${path(name)}?force=true&fieldManager=touch-${touches}-${left}`;
          return scene.cluster.admin(owned.method, as, JSON.stringify(body), owned.type).then(() => 'Pass');
        };
        const answer = await scene.ask(path(name), asked);
        tapped.meddle = () => undefined;
        assert.equal(answer.status, status, answer.body);
        const use = await people.outcome(scene.namespace, approval.metadata.name);
        assert.deepEqual([use.outcome, use.code], [status === 200 ? 'Succeeded' : 'Failed', status]);
        assert.equal((await live(name)).data.a, status === 200 ? '3' : 'b');
      }
    });

    it('changed between the look and the forward: nothing is done', async () => {
      const name = await made({ a: 'b' });
      for (const asked of [
        patch({ data: { a: 'c' } }),
        {
          method: 'PATCH',
          headers: JSON_PATCH,
          body: JSON.stringify([{ op: 'copy', from: '/data/a', path: '/data/copied' }]),
        },
      ]) {
        const approval = await approved(path(name), asked);
        let meddled = false;
        tapped.meddle = (text) => {
          if (meddled || !text.startsWith(`PATCH ${path(name)} `)) return undefined;
          meddled = true;
          return change(name, { data: { a: 'someone else’s', other: `${counter}` } }).then(() => 'Pass');
        };
        const answer = await scene.ask(path(name), asked);
        tapped.meddle = () => undefined;
        assert.ok(meddled);
        refused(answer, 'SP_APPROVAL_VOID', /another result/);
        assert.deepEqual((await live(name)).data, { a: 'someone else’s', other: `${counter}` });
        const use = await people.outcome(scene.namespace, approval.metadata.name);
        assert.deepEqual([use.outcome, use.code], ['Failed', 409]);
        await change(name, { data: { a: 'b', other: null } });
      }
    });
  });

  it('what a dry run says never reaches the agent, neither its answer nor its error', async () => {
    const secret = `s-${Math.random().toString(36).slice(2)}`;
    const name = await made({ setting: secret });
    const guesses = [secret, 'wrong'].map((value) => ({
      method: 'PATCH',
      headers: JSON_PATCH,
      body: JSON.stringify([{ op: 'test', path: '/data/setting', value }]),
    }));
    const [right, wrong] = [await scene.ask(path(name), guesses[0]!), await scene.ask(path(name), guesses[1]!)];
    const shape = (answer: Answer): string =>
      answer.body.replaceAll(/ar-[0-9a-z]{10}|\d{4}-\d\d-\d\dT[\d:]+Z|[0-9a-f]{8}-[0-9a-f-]{27}/g, '…');
    required(right);
    required(wrong);
    assert.equal(shape(right), shape(wrong), 'a right guess cannot be told from a wrong one');
    const asked = await people.get(scene.namespace, wrong.json().details.name);
    assert.match(asked.spec.summary, /^note: the API server would refuse this as things are: HTTP 422/m);
    const copy = {
      method: 'PATCH',
      headers: JSON_PATCH,
      body: JSON.stringify([{ op: 'copy', from: '/data/setting', path: '/metadata/annotations' }]),
    };
    const answer = await scene.ask(path(name), copy);
    required(answer);
    assert.ok(!answer.body.includes(secret));
  });

  it('a Deny that came while it waited wins', async () => {
    await sleep(0);
    const name = await made();
    const held = await approved(path(name), patch({ data: { a: 'c' } }));
    await scene.policy(`${WRITES_WAIT}
    - name: frozen
      action: Deny
      match: {verbs: [patch], apiGroups: [""], resources: [configmaps]}`);
    for (let i = 0; i < 100; i++) {
      const answer = await scene.ask(path(name), patch({ data: { never: 'mind' } }));
      if (answer.body.includes('SP_POLICY_DENIED')) break;
      await sleep(25);
    }
    refused(await scene.ask(path(name), patch({ data: { a: 'c' } })), 'SP_POLICY_DENIED', /frozen/);
    assert.equal((await people.get(scene.namespace, held.metadata.name)).status?.uses, undefined);
    await scene.policy(WRITES_WAIT);
  });
});

function required(answer: Answer, what = ''): void {
  assert.equal(answer.status, 403, `${what} ${answer.body}`);
  assert.match(answer.json().message, /^SP_APPROVAL_REQUIRED: /, what);
}

function refused(answer: Answer, code: string, message: RegExp): void {
  assert.equal(answer.status, 403, answer.body);
  assert.match(answer.json().message, new RegExp(`^${code}: `));
  assert.match(answer.json().message, message);
}
