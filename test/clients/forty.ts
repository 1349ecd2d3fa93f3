import assert from 'node:assert/strict';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { runKubeconfig } from '../../src/cli/kubeconfig-command.ts';
import type { Stage } from './stage.ts';

/** Many kubectl at once with one kubeconfig whose credential comes from `sallyport credential`. */
export function forty(stage: () => Stage): void {
  describe('40 kubectl at the same time', () => {
    it('share one kubeconfig and one session, and all succeed', { timeout: 120_000 }, async () => {
      const { folder, namespace, scene } = stage();
      const files = {
        ca: join(folder, 'ca.crt'),
        token: join(folder, 'id-token'),
        kubeconfig: join(folder, 'cursor.yaml'),
      };
      await writeFile(files.ca, scene.gateway.caPem);
      const proof = await scene.gateway.token({ sub: 'developer', groups: [scene.group] });
      await writeFile(files.token, proof, { mode: 0o600 });
      const args = ['--agent', 'cursor', '--gateway', scene.gateway.url, '--ca', files.ca];
      let said = '';
      const say = (text: string) => void (said += text);
      const written = await runKubeconfig([...args, '--namespace', namespace, '--output', files.kubeconfig], {
        stdout: say,
        stderr: say,
        env: { HOME: folder, PATH: '' },
      });
      assert.equal(written, 0, said);
      const env = { HOME: folder, XDG_CACHE_HOME: join(folder, 'cache'), SALLYPORT_TOKEN_FILE: files.token };
      const results = await Promise.all(
        Array.from({ length: 40 }, (_, index) =>
          stage().kubectl(['create', 'configmap', `forty-${index}`], { kubeconfig: files.kubeconfig, env }),
        ),
      );
      for (const { code, stderr } of results) assert.equal(code, 0, stderr);
      const sessions = new Set(
        scene.gateway.log
          .map((entry) => (entry['caller'] as { session?: string; username?: string } | undefined) ?? {})
          .filter(({ username }) => username === 'developer')
          .map(({ session }) => session)
          .filter((session) => session !== undefined),
      );
      assert.equal(sessions.size, 1);
    });
  });
}
