import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { gunzipSync } from 'node:zlib';
import { helm as findHelm } from '../../cluster/binaries.ts';
import { runCommand } from '../../cluster/cluster.ts';
import { Scene } from '../../gateway/scene.ts';

const CHART = join(import.meta.dirname, 'chart');

/** A real helm, whose releases are Secrets that it has to be able to read. */
describe('helm reads its releases through the gateway', { timeout: 180_000 }, () => {
  let scene: Scene;
  let home: string;
  let program: string;
  const password = `v${randomBytes(8).toString('hex')}`;
  const encoded = Buffer.from(password).toString('base64');

  before(async () => {
    scene = await Scene.open('helm');
    home = await mkdtemp(join(tmpdir(), 'sallyport-helm-'));
    program = await findHelm();
    // By the administrator: what is in the cluster is real.
    const installed = await helm(
      scene.cluster.adminKubeconfig,
      'install',
      'shop',
      CHART,
      '--set',
      `password=${password}`,
    );
    assert.equal(installed.code, 0, installed.stderr);
  });
  after(async () => {
    await rm(home, { recursive: true, force: true });
    await scene?.close();
  });

  const helmIn = (driver: 'secret' | 'configmap', kubeconfig: string, ...args: string[]) =>
    runCommand(program, [...args, '--kubeconfig', kubeconfig, '-n', scene.namespace], {
      timeout: 60_000,
      env: {
        ...process.env,
        HELM_CACHE_HOME: home,
        HELM_CONFIG_HOME: home,
        HELM_DATA_HOME: home,
        HELM_DRIVER: driver,
      },
    });
  const helm = (kubeconfig: string, ...args: string[]) => helmIn('secret', kubeconfig, ...args);

  async function agent(...args: string[]): Promise<string> {
    const { code, stdout, stderr } = await helm(await scene.kubeconfig(), ...args);
    assert.equal(code, 0, `helm ${args.join(' ')}: ${stderr}`);
    const all = stdout + stderr;
    assert.ok(!all.includes(password) && !all.includes(encoded), `helm ${args.join(' ')}: ${all}`);
    return stdout;
  }

  it('list, status, history, get', async () => {
    const [release] = JSON.parse(await agent('list', '-o', 'json')) as { name: string; status: string }[];
    assert.deepEqual([release?.name, release?.status], ['shop', 'deployed']);
    assert.match(await agent('status', 'shop'), /REVISION: 1/);
    assert.match(await agent('history', 'shop'), /deployed/);
    assert.match(await agent('get', 'values', 'shop'), /password: sallyport\.masked\.[a-z2-7]{26}/);
    const manifest = await agent('get', 'manifest', 'shop');
    assert.match(manifest, /greeting: "hello"/);
    assert.match(manifest, /main: "?sallyport\.masked\./);
    for (const what of ['notes', 'hooks', 'all', 'metadata']) await agent('get', what, 'shop');
  });

  it('a release is a Secret as any other: valid base64, gzip and JSON', async () => {
    const { json } = await scene.ask(`/api/v1/namespaces/${scene.namespace}/secrets/sh.helm.release.v1.shop.v1`);
    const { data } = json() as { data: { release: string } };
    const packed = Buffer.from(Buffer.from(data.release, 'base64').toString(), 'base64');
    const release = JSON.parse(gunzipSync(packed).toString()) as { name: string; manifest: string };
    assert.equal(release.name, 'shop');
    assert.ok(!JSON.stringify(release).includes(password) && !JSON.stringify(release).includes(encoded));
  });

  it('releases in ConfigMaps, likewise', async () => {
    const agentsOwn = await scene.kubeconfig();
    const run = async (...args: string[]): Promise<string> => {
      const { code, stdout, stderr } = await helmIn('configmap', agentsOwn, ...args);
      assert.equal(code, 0, `helm ${args.join(' ')}: ${stderr}`);
      assert.ok(!(stdout + stderr).includes(password) && !(stdout + stderr).includes(encoded), stdout + stderr);
      return stdout;
    };
    await run('install', 'stall', CHART, '--set', `password=${password}`);
    assert.match(await run('get', 'values', 'stall'), /password: sallyport\.masked\.[a-z2-7]{26}/);
    await run('upgrade', 'stall', CHART, '--reuse-values');
    await run('rollback', 'stall', '1');
    assert.match(await run('history', 'stall'), /Rollback to 1/);
    const path = `/api/v1/namespaces/${scene.namespace}/configmaps`;
    const shown = await scene.ask(`${path}/sh.helm.release.v1.stall.v1`);
    const seen = gunzipSync(Buffer.from(shown.json().data.release, 'base64')).toString();
    assert.ok(seen.includes('sallyport.masked.') && !seen.includes(password) && !seen.includes(encoded));
    // What is stored is whole: every revision, and what was rendered.
    const { body } = await scene.cluster.admin('GET', `${path}?labelSelector=owner%3Dhelm`);
    const { items } = JSON.parse(body) as { items: { metadata: { name: string }; data: { release: string } }[] };
    assert.equal(items.length, 3);
    for (const { metadata, data } of items) {
      const release = gunzipSync(Buffer.from(data.release, 'base64')).toString();
      assert.ok(!release.includes('sallyport.masked.'), metadata.name);
      assert.ok(!release.includes(Buffer.from('sallyport.masked.').toString('base64').slice(0, 20)), metadata.name);
      assert.ok(release.includes(password), metadata.name);
    }
    await run('uninstall', 'stall');
  });

  it('one that cannot be unpacked, or is larger than its bound, is hidden as a whole', async () => {
    const secrets = `/api/v1/namespaces/${scene.namespace}/secrets`;
    const pack = (bytes: Buffer): string => Buffer.from(bytes.toString('base64')).toString('base64');
    const { gzipSync } = await import('node:zlib');
    for (const [name, bytes] of [
      ['no-gzip', Buffer.from(`plain ${password}`)],
      [
        'bomb',
        gzipSync(Buffer.concat([Buffer.from(`{"a":"${password}`), Buffer.alloc(40 << 20, 'x'), Buffer.from('"}')])),
      ],
      ['no-json', gzipSync(Buffer.from(`not JSON: ${password}`))],
    ] as const) {
      const made = await scene.cluster.admin('POST', secrets, {
        metadata: { name },
        type: 'helm.sh/release.v1',
        data: { release: pack(bytes) },
      });
      assert.equal(made.status, 201, made.body);
      const { status, json } = await scene.ask(`${secrets}/${name}`);
      assert.equal(status, 200);
      const { data } = json() as { data: { release: string } };
      assert.match(Buffer.from(data.release, 'base64').toString(), /^sallyport\.masked\.[a-z2-7]{26}$/, name);
    }
  });
});
