import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { k9s as findK9s, whyNot } from './programs.ts';
import { screenOf } from './screen.ts';
import type { Running, Stage } from './stage.ts';

const skip = await whyNot(findK9s);
const COLUMNS = 160;
const ROWS = 45;

/** k9s in a terminal of its own, driven by keys. */
export function k9s(stage: () => Stage): void {
  describe('k9s', { skip: skip ?? false }, () => {
    it('lists Pods, describes one, opens a shell in it, switches kinds, shows a log; and quits', {
      timeout: 120_000,
    }, async () => {
      const { folder, kubeconfig, namespace, scene } = stage();
      const home = join(folder, 'k9s');
      const program = await findK9s();
      const size = `stty cols ${COLUMNS} rows ${ROWS}`;
      const command = `${size}; exec ${program} --kubeconfig ${kubeconfig} -n ${namespace} --logFile ${home}.log -c pods`;
      const kubectl = dirname(scene.cluster.binaries.kubectl!);
      const running = stage().start(['-qec', command, '/dev/null'], {
        program: 'script',
        env: { TERM: 'xterm-256color', K9S_CONFIG_DIR: home, HOME: home, PATH: `${kubectl}:${process.env['PATH']}` },
      });
      await shows(running, /vault-with-logs/);
      await types(running, '/^web\r', /Pods\(.*\)\[1\][\s\S]*web/i);
      await types(running, 'd', /Service Account: +default/);
      await types(running, '\u001b', /Pods\(/i);
      await types(running, 's', /\/ #/);
      await types(running, 'echo in-$((40+2))\r', /in-42/);
      await types(running, 'exit\r', /Pods\(/i);
      await types(running, ':configmaps\r', /kube-root-ca\.crt/);
      await types(running, ':services\r', /Services\(/i);
      await types(running, ':pods\r', /vault-with-logs/);
      await types(running, '/with-logs\r', /Pods\(.*\)\[1\]/i);
      await types(running, 'l', /last line/);
      running.write('\u0003');
      await running.ended();
      const watches = scene.heard(({ verb, userAgent }) => verb === 'watch' && userAgent?.startsWith('k9s') === true);
      assert.ok(watches.length >= 3, `${watches.length} watches`);
      const faults = scene.gateway.log.filter((entry) => (entry['status'] as number) >= 500);
      assert.deepEqual(faults, []);
    });
  });
}

/** Waits until the screen fits. */
async function shows(running: Running, pattern: RegExp): Promise<void> {
  let screen = '';
  for (let tries = 0; tries < 300; tries++) {
    screen = screenOf(Buffer.from(running.stdout, 'latin1').toString(), COLUMNS, ROWS);
    if (pattern.test(screen)) return;
    await delay(100);
  }
  throw new Error(`k9s never showed ${pattern}:\n${screen}`);
}

async function types(running: Running, keys: string, shown: RegExp): Promise<void> {
  // Keys that come before a view has the focus go to the one before it.
  await delay(400);
  running.write(keys);
  await shows(running, shown);
}
