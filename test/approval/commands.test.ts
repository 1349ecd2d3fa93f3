import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { startCluster } from '../cluster/cluster.ts';
import { Scene } from '../gateway/scene.ts';
import { manifests, ROWS, table, walk, walkHeld } from './commands.ts';
import { holding, ownAgents, RULES, sessionKubeconfig } from './commands-stage.ts';

describe('what is asked when an agent types a command', { timeout: 240_000 }, () => {
  let scene: Scene;
  let folder: string;

  before(async () => {
    folder = await mkdtemp(join(tmpdir(), 'sallyport-commands-'));
    await manifests(folder);
    // Of its own: the controllers of other tests' gateways know nothing of these sessions, and would end their grants.
    const cluster = await startCluster();
    scene = await Scene.open('commands', { rules: RULES, adjust: ownAgents, cluster });
    await holding(scene);
  });
  after(async () => {
    await scene?.close();
    await rm(folder, { recursive: true, force: true });
  });

  for (const row of ROWS) {
    if (row.node === true) continue;
    it(row.command, async () => {
      if (row.held === true) await walkHeld(scene, row, await sessionKubeconfig(scene), folder);
      else await walk(scene, row, await scene.kubeconfig(), folder);
    });
  }

  it('docs/approvals.md has the table', () => {
    const page = readFileSync(new URL('../../docs/approvals.md', import.meta.url), 'utf8');
    assert.ok(page.includes(`\n${table()}\n`), table());
  });
});
