import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { helm as findHelm } from '../cluster/binaries.ts';
import type { Stage } from './stage.ts';

/** helm, with a chart of our own whose Deployment gets ready. */
export function helm(stage: () => Stage): void {
  const chart = join(import.meta.dirname, 'chart');

  describe('helm', () => {
    const run = async (...args: string[]) => {
      const home = stage().folder;
      return await stage().kubectl(args, {
        program: await findHelm(),
        env: { HELM_CACHE_HOME: home, HELM_CONFIG_HOME: home, HELM_DATA_HOME: home },
      });
    };
    const succeeds = async (...args: string[]) => {
      const result = await run(...args);
      assert.equal(result.code, 0, `helm ${args.join(' ')}: ${result.stderr}`);
      return result.stdout;
    };
    const greeting = async () =>
      (await stage().kubectl(['get', 'cm', 'shop-settings', '-o', 'jsonpath={.data.greeting}'])).stdout;

    it('install and wait, status, list, upgrade, history, rollback, get, uninstall', async () => {
      assert.match(
        await succeeds('install', 'shop', chart, '--set', 'replicas=1', '--wait', '--timeout', '60s'),
        /STATUS: deployed/,
      );
      assert.equal(await greeting(), 'hello');
      assert.match(await succeeds('status', 'shop'), /REVISION: 1/);
      const [release] = JSON.parse(await succeeds('list', '-o', 'json')) as { name: string; status: string }[];
      assert.deepEqual([release?.name, release?.status], ['shop', 'deployed']);
      await succeeds('upgrade', 'shop', chart, '--set', 'greeting=welcome,replicas=1', '--wait', '--timeout', '60s');
      assert.equal(await greeting(), 'welcome');
      await succeeds('upgrade', '--install', 'shop', chart, '--set', 'greeting=third', '--dry-run=server');
      assert.equal(await greeting(), 'welcome');
      assert.match(await succeeds('history', 'shop'), /superseded[\s\S]*deployed/);
      await succeeds('rollback', 'shop', '1', '--wait', '--timeout', '60s');
      assert.equal(await greeting(), 'hello');
      assert.match(await succeeds('get', 'manifest', 'shop'), /kind: Deployment/);
      assert.match(await succeeds('uninstall', 'shop', '--wait', '--timeout', '60s'), /uninstalled/);
      assert.equal(await greeting(), '');
    });

    it('an upgrade that a rule denies fails with the rule’s words, and rolls back', async () => {
      await succeeds('install', 'shop', chart);
      const denied = await run(
        'upgrade',
        'shop',
        chart,
        '--set',
        'image=evil.example/miner:1',
        '--rollback-on-failure',
      );
      assert.notEqual(denied.code, 0);
      assert.match(
        denied.stderr,
        /SP_POLICY_DENIED: .*only-our-images: not from sallyport\.test: evil\.example\/miner:1/,
      );
      const image = ['get', 'deploy', 'shop', '-o', 'jsonpath={.spec.template.spec.containers[0].image}'];
      assert.equal((await stage().kubectl(image)).stdout, 'sallyport.test/busybox:1');
      await succeeds('uninstall', 'shop');
    });
  });
}
