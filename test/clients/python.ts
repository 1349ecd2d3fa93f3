import assert from 'node:assert/strict';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { pythonClient } from './programs.ts';
import type { Stage } from './stage.ts';

type Line = Record<string, unknown>;

async function python(stage: Stage, what: string): Promise<Line[]> {
  const script = join(import.meta.dirname, 'python_client.py');
  const { code, stdout, stderr } = await stage.kubectl([script, what], { program: await pythonClient() });
  assert.equal(code, 0, `${stdout}${stderr}`);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as Line);
}

export function pythonObjects(stage: () => Stage): void {
  describe('the Python client: objects', () => {
    it('creates, patches, reads, lists by pages, watches, deletes; a refusal is an ApiException with the whole message', async () => {
      const [done, refused] = await python(stage(), 'objects');
      assert.deepEqual(done?.['data'], { a: '1', b: '2' });
      assert.deepEqual(done?.['watched'], ['ADDED', 'MODIFIED', 'DELETED']);
      assert.equal(refused?.['status'], 403);
      assert.match(String(refused?.['message']), /^SP_POLICY_DENIED: .* \(request [0-9a-f-]{36}\)$/);
    });
  });
}

export function pythonStreams(stage: () => Stage): void {
  describe('the Python client: streams', () => {
    it('exec with stdin and exit code, exec at once, a refused exec, port-forward, logs', async () => {
      const [session, whole, refused, forward, log] = await python(stage(), 'streams');
      assert.deepEqual(session, { out: 'got a line\n', err: 'err\n', code: 4 });
      assert.deepEqual(whole, { whole: 'at once\n' });
      assert.match(JSON.stringify(refused), /403.*SP_POLICY_DENIED: .*no-shell-in-the-vault/);
      assert.deepEqual(forward, { page: 'a page\n', error: null });
      assert.deepEqual(log, { log: 'last line\n' });
    });
  });
}
