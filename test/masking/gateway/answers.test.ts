import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { MARKER } from '../../../src/masking/marker.ts';
import { Scene } from '../../gateway/scene.ts';

/** What an agent sees of objects through the gateway, on a real API server. */
describe('answers are masked', { timeout: 120_000 }, () => {
  let scene: Scene;
  let base: string;
  const password = randomBytes(12).toString('hex');
  const encoded = Buffer.from(password).toString('base64');

  before(async () => {
    scene = await Scene.open('masking');
    base = `/api/v1/namespaces/${scene.namespace}`;
    await scene.cluster.admin('POST', `${base}/secrets`, { metadata: { name: 'db' }, stringData: { password } });
    await scene.cluster.admin('POST', `${base}/configmaps`, {
      metadata: { name: 'app' },
      data: { DB_PASSWORD: password, greeting: 'hello' },
    });
  });
  after(async () => {
    await scene?.close();
  });

  function hides(text: string): void {
    assert.ok(!text.includes(password) && !text.includes(encoded), text);
  }

  it('GET and LIST: the same placeholder, in base64, and everything else as it was', async () => {
    const one = await scene.ask(`${base}/secrets/db`);
    const list = await scene.ask(`${base}/secrets`);
    for (const { status, body } of [one, list]) {
      assert.equal(status, 200);
      hides(body);
    }
    const secret = one.json() as { data: { password: string }; metadata: object };
    assert.match(Buffer.from(secret.data.password, 'base64').toString(), /^sallyport\.masked\.[a-z2-7]{26}$/);
    const admin = (await scene.cluster.admin('GET', `${base}/secrets/db`)).json() as typeof secret;
    assert.deepEqual({ ...secret, data: {} }, { ...admin, data: {} });
    const items = (list.json() as { items: (typeof secret)[] }).items;
    assert.equal(
      items.find(({ metadata }) => 'name' in metadata && metadata.name === 'db')?.data.password,
      secret.data.password,
    );
  });

  it('what is recognised, elsewhere', async () => {
    const { body, json } = await scene.ask(`${base}/configmaps/app`);
    hides(body);
    const { data } = json() as { data: Record<string, string> };
    assert.ok(data['DB_PASSWORD']!.startsWith(MARKER));
    assert.equal(data['greeting'], 'hello');
  });

  it('WATCH', async () => {
    const path = `${base}/secrets?watch=1&timeoutSeconds=1`;
    const { status, body } = await scene.ask(path);
    assert.equal(status, 200);
    hides(body);
    assert.match(body, /"type":"ADDED"/);
  });

  it('several large ones at once: each is what it is alone, byte for byte', async () => {
    const line = (n: number, i: number): string => `setting.${n}.${i} = ${n}${i}\\ntoken: ${password}${n}${i}\n`;
    for (let n = 0; n < 6; n++) {
      const text = Array.from({ length: 600 * (n + 1) }, (_, i) => line(n, i)).join('');
      const labels = { large: n % 2 === 0 ? 'even' : 'odd' };
      await scene.cluster.admin('POST', `${base}/configmaps`, {
        metadata: { name: `large-${n}`, labels },
        data: { text },
      });
    }
    const paths = ['even', 'odd'].map((label) => `${base}/configmaps?labelSelector=large%3D${label}`);
    for (let n = 0; n < 6; n++) paths.push(`${base}/configmaps/large-${n}`);
    // A list tells the revision of the whole store, which others move.
    const read = async (path: string): Promise<string> =>
      (await scene.ask(path)).body.replace(/("metadata":\{"resourceVersion":)"\d+"/, '$1""');
    const alone = new Map<string, string>();
    for (const path of paths) alone.set(path, await read(path));
    for (let round = 0; round < 4; round++) {
      const all = await Promise.all(paths.map(async (path) => [path, await read(path)] as const));
      for (const [path, body] of all) {
        hides(body);
        assert.ok(body === alone.get(path) && body.length > 40_000, path);
      }
    }
  });

  it('is counted by rule and kind, and never by value', async () => {
    await scene.ask(`${base}/secrets/db`);
    const { body } = await scene.gateway.probe('/metrics');
    assert.match(body, /sallyport_masked_values_total\{rule="default-structure",kind="field"\} [1-9]/);
    const line = await scene.gateway.logged((entry) => entry['masked'] !== undefined);
    assert.deepEqual(line['masked'], [{ rule: 'default-structure', kind: 'field', count: 1 }]);
    hides(JSON.stringify(scene.gateway.log) + body);
  });

  it('a rule acts as soon as it is written, and its status says so; a broken one refuses, and says where', async () => {
    const rule = (name: string, fields: string) => `
apiVersion: sallyport.dev/v1alpha1
kind: MaskingRule
metadata: {name: ${name}-${scene.namespace}}
spec:
  subjects: [{kind: Group, name: ${scene.group}}]
  match: {apiGroups: [""], resources: [configmaps], namespaces: [${scene.namespace}]}
  fields: [{path: '${fields}'}]
`;
    const greeting = async () => await scene.ask(`${base}/configmaps/app`);
    await scene.cluster.apply(rule('mask', 'data.greeting'));
    await until(async () => !(await greeting()).body.includes('hello'));
    await until(async () => (await ready(`mask-${scene.namespace}`)) === 'True');
    await scene.cluster.apply(rule('broken', 'data..greeting'));
    await until(async () => (await greeting()).status === 503);
    assert.match(
      (await greeting()).body,
      /SP_MASKING_RULE_BROKEN: MaskingRule broken-.*spec\.fields\[0\]\.path \(column 6\)/,
    );
    assert.equal((await scene.ask(`${base}/secrets`)).status, 200);
    await until(async () => (await ready(`broken-${scene.namespace}`)) === 'False');
    await scene.cluster.kubectl(['delete', 'maskingrules', `broken-${scene.namespace}`, `mask-${scene.namespace}`]);
    await until(async () => (await greeting()).body.includes('hello'));
  });

  async function ready(name: string): Promise<string | undefined> {
    const { json } = await scene.cluster.admin('GET', `/apis/sallyport.dev/v1alpha1/maskingrules/${name}`);
    return (json() as { status?: { conditions?: { status: string }[] } }).status?.conditions?.[0]?.status;
  }
});

async function until(holds: () => Promise<boolean>): Promise<void> {
  const end = Date.now() + 10_000;
  while (!(await holds())) {
    assert.ok(Date.now() < end, 'it did not happen in ten seconds');
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
