import assert from 'node:assert/strict';
import { dirname, join } from 'node:path';
import { describe, it } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { k9s as findK9s, whyNot } from './programs.ts';
import type { Running, Stage } from './stage.ts';

const skip = await whyNot(findK9s);

/** k9s in a terminal of its own, driven by keys. */
export function k9s(stage: () => Stage): void {
  describe('k9s', { skip: skip ?? false }, () => {
    it('lists Pods, describes one, follows a log, switches kinds, opens a shell; and quits', {
      timeout: 120_000,
    }, async () => {
      const { folder, kubeconfig, namespace, scene } = stage();
      const home = join(folder, 'k9s');
      const program = await findK9s();
      const command = `stty cols 160 rows 45; exec ${program} --kubeconfig ${kubeconfig} -n ${namespace} --logFile ${home}.log -c pods`;
      const kubectl = dirname(scene.cluster.binaries.kubectl!);
      const running = stage().start(['-qec', command, '/dev/null'], {
        program: 'script',
        env: { TERM: 'xterm-256color', K9S_CONFIG_DIR: home, HOME: home, PATH: `${kubectl}:${process.env['PATH']}` },
      });
      await shows(running, 'vault-with-logs');
      await types(running, '/web\r', 'web');
      await types(running, 'd', 'Describe(');
      await types(running, '\u001b', 'Pods(');
      await types(running, 's', '/ #');
      await types(running, 'echo in-$((40+2)); exit\r', 'in-42');
      await types(running, ':configmaps\r', 'kube-root-ca.crt');
      await types(running, ':deployments\r', 'Deployments(');
      await types(running, ':pods\r', 'vault-with-logs');
      await types(running, '/with-logs\r', 'Pods(');
      await types(running, 'l', 'last line');
      running.write('\u0003');
      await running.ended();
      const watches = scene.heard(({ verb, userAgent }) => verb === 'watch' && userAgent?.startsWith('k9s') === true);
      assert.ok(watches.length >= 3, `${watches.length} watches`);
      const refused = scene.gateway.log.filter((entry) => entry['message'] === 'refused');
      assert.ok(!refused.some((entry) => (entry['status'] as number) >= 500), JSON.stringify(refused.at(-1)));
    });
  });
}

/** Waits for a text on the screen: colours and moves of the cursor are taken out. */
async function shows(running: Running, text: string): Promise<void> {
  for (let tries = 0; tries < 400; tries++) {
    if (screen(running).includes(text)) return;
    await delay(50);
  }
  throw new Error(`k9s never showed ${text}: ${screen(running).slice(-3_000)}`);
}

async function types(running: Running, keys: string, shown: string): Promise<void> {
  await delay(300);
  running.stdout = '';
  running.write(keys);
  await shows(running, shown);
}

function screen(running: Running): string {
  return running.stdout.replaceAll(/\u001b(\[[0-9;?]*[A-Za-z]|\([A-Z]|[=>])/g, '');
}
