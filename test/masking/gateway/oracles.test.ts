import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { type Answer, POLICY_ALL, Scene } from '../../gateway/scene.ts';

const b64 = (text: string): string => Buffer.from(text).toString('base64');
// biome-ignore lint/suspicious/noExplicitAny: tests look into objects of every kind.
type Any = any;
const MERGE = 'application/merge-patch+json';
const JSON_PATCH = 'application/json-patch+json';
const STRATEGIC = 'application/strategic-merge-patch+json';
const APPLY = 'application/apply-patch+yaml';

/**
 * Ways to find a masked value out without seeing it. Each is shown to work on the API server itself, then refused by the gateway
 * for a right guess and for a wrong one alike.
 */
describe('what may not be seen may not be used', { timeout: 300_000 }, () => {
  let scene: Scene;
  let base: string;
  let group: string;
  let things: string;
  const password = `p${randomBytes(9).toString('hex')}`;
  const city = `c${randomBytes(6).toString('hex')}`;
  const wrong = `w${randomBytes(9).toString('hex')}`;

  before(async () => {
    scene = await Scene.open('oracles');
    base = `/api/v1/namespaces/${scene.namespace}`;
    group = `${scene.namespace}.example`;
    things = `/apis/${group}/v1/namespaces/${scene.namespace}/things`;
    await scene.cluster.apply(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.${group}}
spec:
  group: ${group}
  scope: Namespaced
  names: {kind: Thing, plural: things, singular: thing}
  versions:
    - name: v1
      served: true
      storage: true
      selectableFields: [{jsonPath: .spec.city}]
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: {type: object, properties: {city: {type: string}, gone: {type: string}, open: {type: string}}}
---
apiVersion: sallyport.dev/v1alpha1
kind: MaskingRule
metadata: {name: ${scene.namespace}}
spec:
  subjects: [{kind: Group, name: ${scene.group}}]
  match: {apiGroups: [${group}], resources: [things]}
  fields: [{path: spec.city}, {path: spec.gone, action: Drop}, {path: 'metadata.labels["town"]'}]
`);
    await scene.cluster.kubectl(['wait', '--for=condition=Established', `crd/things.${group}`]);
    const secret = { metadata: { name: 'db' }, data: { password: b64(password), user: b64('anna') } };
    await scene.cluster.admin('POST', `${base}/secrets`, secret);
    const thing = {
      apiVersion: `${group}/v1`,
      kind: 'Thing',
      metadata: { name: 'one', labels: { town: city, plain: 'x' } },
      spec: { city, gone: city, open: 'x' },
    };
    for (let i = 0; i < 100; i++) {
      const { status } = await scene.cluster.admin('POST', things, thing);
      if (status === 201) break;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    for (let i = 0; i < 100 && (await scene.ask(`${things}/one`)).body.includes(city); i++) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  });
  after(async () => {
    await scene?.cluster.kubectl(['delete', `maskingrule/${scene.namespace}`, `crd/things.${group}`, '--wait=false']);
    await scene?.close();
  });

  const patch = (path: string, type: string, body: unknown): Promise<Answer> =>
    scene.ask(path, { method: 'PATCH', headers: ['Content-Type', type], body: JSON.stringify(body) });
  const code = ({ json, body, status }: Answer): string => (status < 400 ? body : json().details?.causes?.[0]?.reason);
  function refused(answer: Answer, want: string, path: RegExp): void {
    assert.equal(code(answer), want, answer.body);
    assert.match(answer.json().message, path);
    assert.ok(!answer.body.includes(password) && !answer.body.includes(b64(password)) && !answer.body.includes(city));
  }

  it('JSON Patch test: of the value, of what holds it, under it, of a key that is not there', async () => {
    const right = [{ op: 'test', path: '/data/password', value: b64(password) }];
    const direct = await scene.cluster.admin('PATCH', `${base}/secrets/db?dryRun=All`, right, JSON_PATCH);
    assert.equal(direct.status, 200, 'the API server itself answers');
    for (const value of [b64(password), b64(wrong)]) {
      refused(
        await patch(`${base}/secrets/db`, JSON_PATCH, [{ op: 'test', path: '/data/password', value }]),
        'SP_MASKING_PROBE',
        /data\.password/,
      );
    }
    const whole = { password: b64(password), user: b64('anna') };
    refused(
      await patch(`${base}/secrets/db`, JSON_PATCH, [{ op: 'test', path: '/data', value: whole }]),
      'SP_MASKING_PROBE',
      /data/,
    );
    refused(
      await patch(`${base}/secrets/db`, JSON_PATCH, [{ op: 'test', path: '/data/password/0', value: 1 }]),
      'SP_MASKING_PROBE',
      /data\.password/,
    );
    refused(
      await patch(`${base}/secrets/db`, JSON_PATCH, [{ op: 'test', path: '/data/none', value: null }]),
      'SP_MASKING_PROBE',
      /data\.none/,
    );
    const fine = [{ op: 'test', path: '/metadata/name', value: 'db' }];
    assert.equal((await patch(`${base}/secrets/db`, JSON_PATCH, fine)).status, 200);
  });

  it('JSON Patch copy: into an annotation, which the answer shows', async () => {
    const copy = [
      { op: 'add', path: '/metadata/annotations', value: {} },
      { op: 'copy', from: '/data/password', path: '/metadata/annotations/x' },
    ];
    const direct = await scene.cluster.admin('PATCH', `${base}/secrets/db?dryRun=All`, copy, JSON_PATCH);
    assert.match(JSON.stringify(direct.json()), new RegExp(b64(password).replaceAll('+', '\\+')));
    for (const query of ['', '?dryRun=All'])
      refused(await patch(`${base}/secrets/db${query}`, JSON_PATCH, copy), 'SP_MASKING_PROBE', /data\.password/);
    const all = [{ op: 'copy', from: '/data', path: '/metadata/annotations' }];
    refused(await patch(`${base}/secrets/db`, JSON_PATCH, all), 'SP_MASKING_PROBE', /data/);
  });

  it('JSON Patch move: through an error that quotes it', async () => {
    const move = [{ op: 'move', from: '/data/password', path: '/metadata/labels' }];
    const direct = await scene.cluster.admin('PATCH', `${base}/secrets/db?dryRun=All`, move, JSON_PATCH);
    assert.ok(direct.status >= 400);
    refused(await patch(`${base}/secrets/db`, JSON_PATCH, move), 'SP_MASKING_PROBE', /data\.password/);
  });

  it('JSON Patch on what is left out of answers: whether it is there is not told', async () => {
    for (const path of ['/spec/gone', '/spec/gone/deeper']) {
      refused(await patch(`${things}/one`, JSON_PATCH, [{ op: 'remove', path }]), 'SP_MASKING_PROBE', /spec\.gone/);
    }
    const put = (await scene.ask(`${things}/one`)).json() as Any;
    assert.equal(put.spec.gone, undefined);
    const written = await scene.ask(`${things}/one`, {
      method: 'PUT',
      headers: ['Content-Type', 'application/json'],
      body: JSON.stringify({ ...put, spec: { ...put.spec, open: 'y' } }),
    });
    assert.equal(written.status, 200, written.body);
    const { spec } = (await scene.cluster.admin('GET', `${things}/one`)).json() as Any;
    assert.deepEqual(spec, { city, gone: city, open: 'y' });
  });

  it('field selectors on a field of a rule, right or wrong, in every verb that takes one', async () => {
    const selector = (value: string) => `fieldSelector=${encodeURIComponent(`spec.city=${value}`)}`;
    const direct = (await scene.cluster.admin('GET', `${things}?${selector(city)}`)).json() as Any;
    assert.equal(direct.items.length, 1, 'the API server itself answers');
    for (const value of [city, wrong]) {
      refused(await scene.ask(`${things}?${selector(value)}`), 'SP_MASKING_PROBE', /spec\.city/);
      refused(await scene.ask(`${things}?watch=1&${selector(value)}`), 'SP_MASKING_PROBE', /spec\.city/);
      refused(
        await scene.ask(`${things}?${selector(value)}&dryRun=All`, { method: 'DELETE' }),
        'SP_MASKING_PROBE',
        /spec\.city/,
      );
      refused(await scene.ask(`${things}?${selector(value).replace('%3D', '!%3D')}`), 'SP_MASKING_PROBE', /spec\.city/);
    }
    assert.equal((await scene.ask(`${things}?fieldSelector=metadata.name%3Done`)).status, 200);
  });

  it('label selectors on a label of a rule, and with a value that is masked where it would stand', async () => {
    for (const form of [`town=${city}`, `town in (${wrong},${city})`, `plain,town!=${wrong}`, 'town', '!town']) {
      const query = `labelSelector=${encodeURIComponent(form)}`;
      refused(await scene.ask(`${things}?${query}`), 'SP_MASKING_PROBE', /metadata\.labels\.town/);
      refused(
        await scene.ask(`${things}?${query}`, { method: 'DELETE' }),
        'SP_MASKING_PROBE',
        /metadata\.labels\.town/,
      );
    }
    refused(
      await scene.ask(`${base}/configmaps?labelSelector=db_password%3D${password}`),
      'SP_MASKING_PROBE',
      /db_password/,
    );
    assert.equal((await scene.ask(`${things}?labelSelector=plain%3Dx`)).status, 200);
    assert.equal((await scene.ask(`${base}/secrets?labelSelector=owner%3Dhelm`)).status, 200);
  });

  it('dry runs of a new value: generation and times would tell', async () => {
    const direct = async (value: string) =>
      ((await scene.cluster.admin('PATCH', `${things}/one?dryRun=All`, { spec: { city: value } }, MERGE)).json() as Any)
        .metadata.generation;
    assert.notEqual(await direct(city), await direct(wrong), 'the API server itself tells');
    for (const value of [city, wrong]) {
      refused(
        await patch(`${things}/one?dryRun=All`, MERGE, { spec: { city: value } }),
        'SP_MASKING_LITERAL_DRY_RUN',
        /spec\.city/,
      );
      const apply = { apiVersion: `${group}/v1`, kind: 'Thing', spec: { city: value } };
      refused(
        await patch(`${things}/one?dryRun=All&fieldManager=a`, APPLY, apply),
        'SP_MASKING_LITERAL_DRY_RUN',
        /spec\.city/,
      );
      refused(
        await patch(`${base}/secrets/db?dryRun=All`, STRATEGIC, { data: { password: b64(value) } }),
        'SP_MASKING_LITERAL_DRY_RUN',
        /data\.password/,
      );
      refused(
        await patch(`${base}/secrets/db?dryRun=All`, MERGE, { stringData: { password: value } }),
        'SP_MASKING_LITERAL_DRY_RUN',
        /stringData\.password/,
      );
      const replace = [{ op: 'replace', path: '/data/password', value: b64(value) }];
      refused(
        await patch(`${base}/secrets/db?dryRun=All`, JSON_PATCH, replace),
        'SP_MASKING_LITERAL_DRY_RUN',
        /data\.password/,
      );
      const put = (await scene.ask(`${things}/one`)).json() as Any;
      put.spec.city = value;
      refused(
        await scene.ask(`${things}/one?dryRun=All`, {
          method: 'PUT',
          headers: ['Content-Type', 'application/json'],
          body: JSON.stringify(put),
        }),
        'SP_MASKING_LITERAL_DRY_RUN',
        /spec\.city/,
      );
    }
    // What is not masked, or not there yet, may be tried.
    assert.equal((await patch(`${things}/one?dryRun=All`, MERGE, { spec: { open: 'z' } })).status, 200);
    assert.equal((await patch(`${base}/secrets/db?dryRun=All`, MERGE, { data: { fresh: b64('x') } })).status, 200);
  });

  it('new values in earnest: five an hour on one object, for one caller; right guesses count as wrong ones', async () => {
    const secret = { metadata: { name: 'guessed' }, data: { password: b64(password) } };
    await scene.cluster.admin('POST', `${base}/secrets`, secret);
    const guess = (value: string, token = scene.token) =>
      scene.ask(`${base}/secrets/guessed`, {
        method: 'PATCH',
        headers: ['Content-Type', MERGE],
        body: JSON.stringify({ data: { password: b64(value) } }),
        token,
      });
    for (let i = 0; i < 5; i++) {
      const answer = await guess(i % 2 === 0 ? password : wrong);
      assert.equal(answer.status, 200, answer.body);
      assert.ok(!answer.body.includes(b64(password)) && !answer.body.includes(b64(wrong)));
    }
    for (const value of [password, wrong]) {
      const answer = await guess(value);
      refused(answer, 'SP_MASKING_LITERAL_LIMIT', /next may be in 6?[0-9] min/);
      assert.equal(answer.status, 429);
      assert.equal(answer.headers['retry-after'], undefined, 'client-go would sleep on it');
    }
    assert.equal(
      (await guess(wrong, await scene.tokenOf({ sub: `other-${scene.namespace}` }))).status,
      200,
      'another caller',
    );
    const { data } = (await scene.ask(`${base}/secrets/guessed`)).json() as Any;
    assert.equal(
      (await patch(`${base}/secrets/guessed`, MERGE, { data, metadata: { labels: { a: 'b' } } })).status,
      200,
      'placeholders go on',
    );
    assert.equal(
      (await patch(`${base}/secrets/db`, MERGE, { data: { user: b64('berta') } })).status,
      200,
      'another object',
    );
  });

  it('server-side apply: a conflict names managers and fields, and quotes no value', async () => {
    const apply = { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'db' }, data: { password: b64(wrong) } };
    const answer = await patch(`${base}/secrets/db?fieldManager=guesser`, APPLY, apply);
    assert.equal(answer.status, 409, answer.body);
    assert.ok(!answer.body.includes(b64(password)) && !answer.body.includes(b64(wrong)));
  });

  it('who is denied by policy learns nothing of what is there', async () => {
    await scene.policy(`${POLICY_ALL}
    - name: no-secrets
      action: Deny
      match: {verbs: [patch, update], apiGroups: [""], resources: [secrets]}`);
    const body = { data: { password: b64(wrong) } };
    // Another name than those below: until the policy acts, the gateway does read what is patched.
    const acts = async () =>
      code(await patch(`${base}/secrets/settling?dryRun=All`, MERGE, body)) === 'SP_POLICY_DENIED';
    for (let i = 0; i < 200 && !(await acts()); i++) await new Promise((resolve) => setTimeout(resolve, 50));
    for (const name of ['db', 'none']) {
      assert.equal(code(await patch(`${base}/secrets/${name}?dryRun=All`, MERGE, body)), 'SP_POLICY_DENIED');
    }
    const heard = scene.heard((event) => event.objectRef?.name === 'none' && event.verb === 'get');
    assert.equal(heard.length, 0);
    await scene.policy(POLICY_ALL);
  });
});
