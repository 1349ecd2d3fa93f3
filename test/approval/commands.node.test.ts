import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { busyboxPod, Stage } from '../clients/stage.ts';
import { manifests, ROWS, walk } from './commands.ts';
import { RULES } from './commands-stage.ts';

describe('what is asked when an agent types a command to a Pod', { timeout: 280_000 }, () => {
  let stage: Stage;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sallyport-commands-'));
    await manifests(folder);
    stage = await Stage.open({ node: true });
    await stage.scene.policy(RULES);
    const nginx = 'printf "#!/bin/sh\\necho syntax is ok\\n" > /bin/nginx; chmod +x /bin/nginx; sleep infinity';
    const reader = busyboxPod('reader', 'read line; echo got $line', '      stdin: true');
    await stage.pods([busyboxPod('web', nginx), busyboxPod('drained', 'sleep infinity'), reader].join('---'));
  });
  after(async () => {
    await stage?.scene.cluster.kubectl(['uncordon', '-l', 'kubernetes.io/hostname']);
    await stage?.close();
    await rm(folder, { recursive: true, force: true });
  });

  for (const row of ROWS) {
    if (row.node === true) it(row.command, async () => walk(stage.scene, row, stage.kubeconfig, folder));
  }
});
