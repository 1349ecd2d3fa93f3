import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { chosenVersion, findPrograms } from '../cluster/binaries.ts';

const ROOT = new URL('../../', import.meta.url).pathname;

test('the README’s quick start, word by word', { timeout: 240_000 }, async () => {
  const page = readFileSync(`${ROOT}README.md`, 'utf8');
  const blocks = [...page.matchAll(/```bash\n([\s\S]*?)```/g)].map((match) => match[1]!);
  assert.equal(blocks.length, 7);
  const name = `readme-${randomBytes(3).toString('hex')}`;
  const { kubectl } = await findPrograms(await chosenVersion(), ['kubectl']);
  // Only what a reader's shell would not do by itself: stop at the first failure, and clean up after one.
  const script = `set -euo pipefail\ntrap 'kill %1 2>/dev/null; make cluster-down >/dev/null 2>&1 || true; rm -rf .quickstart' EXIT\n${blocks.join('\n')}\ntrap - EXIT\n`;
  const { code, output } = await shell(script, {
    PATH: `${dirname(kubectl!)}:${process.env['PATH']}`,
    NAME: name,
    NODE: 'no',
  });
  assert.equal(code, 0, output);
  assert.match(output, /sallyport:sa:shop:agent/);
  assert.match(output, /configmap\/greeting created/);
  assert.match(output, /hello: world/);
  assert.match(output, /SP_POLICY_DENIED: shop-agent\/only-our-images: images must come from registry\.shop\.example/);
  assert.match(output, /no rule of shop-agent allows to list secrets/);
  assert.match(output, /SP_IDENTITY_HEADER/);
});

function shell(script: string, env: Record<string, string>): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('bash', ['-c', script], {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const take = (chunk: Buffer): void => {
      output += chunk.toString();
    };
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}
