import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { test } from 'node:test';
import { parse } from 'yaml';
import { notifications } from '../../src/config/notifications.ts';
import { chosenVersion, findPrograms } from '../cluster/binaries.ts';

const ROOT = new URL('../../', import.meta.url).pathname;
const read = (file: string): string => readFileSync(`${ROOT}${file}`, 'utf8');
const blocks = (page: string, language: string): string[] =>
  [...page.matchAll(new RegExp(`\`\`\`${language}\\n([\\s\\S]*?)\`\`\``, 'g'))].map((match) => match[1]!);

test('the walk of docs/approvals.md, word by word, with three kubeconfigs', { timeout: 400_000 }, async () => {
  const walk = blocks(read('docs/approvals.md').split('## A walk')[1]!, 'bash');
  assert.equal(walk.length, 7);
  const first = blocks(read('README.md'), 'bash').slice(0, 2);
  const { kubectl } = await findPrograms(await chosenVersion(), ['kubectl']);
  // Only what a reader's shell would not do by itself: stop at the first failure, show what runs, and clean up.
  const script = `set -euo pipefail
trap 'kill %1 2>/dev/null; make cluster-down >/dev/null 2>&1 || true; rm -rf .quickstart' EXIT
${first.join('\n')}
${walk.join('\necho ──\n')}`;
  const name = `walk-${randomBytes(3).toString('hex')}`;
  const path = `${dirname(kubectl!)}:${process.env['PATH']}`;
  const { code, output } = await shell(script, { PATH: path, NAME: name, NODE: 'no' });
  assert.equal(code, 0, output);
  const [, , , asked, decided, passed, denied] = output.split('──');
  assert.match(
    asked!,
    /SP_APPROVAL_REQUIRED: shop-approvals\/privileged: this Pod could take over its node.*kubectl approve -n shop ar-/,
  );
  assert.match(decided!, /NAMESPACE +NAME[\s\S]*shop +ar-\S+ +Pending +system:serviceaccount:shop:agent/);
  assert.match(decided!, /eve may not do that in shop/);
  assert.match(decided!, /User "eve" cannot (?:get|patch)/);
  assert.match(decided!, /SP_(BEDROCK|POLICY_DENIED|NO_POLICY)/, 'the agent may not decide');
  assert.match(decided!, /\+ +privileged: true/);
  assert.match(decided!, /ar-\S+ approved\n[\s\S]*condition met/);
  assert.match(passed!, /pod\/debugger created\n[\s\S]*Used: [0-9a-f-]{36}\n[\s\S]*SP_APPROVAL_REQUIRED/);
  assert.match(denied!, /denied\n[\s\S]*SP_APPROVAL_DENIED.*denied by bob: one is enough/);
});

test('the configuration of docs/notifications.md is one', () => {
  const page = read('docs/notifications.md');
  const [yaml] = blocks(page, 'yaml');
  assert.ok(notifications.safeParse(parse(yaml!).notifications).success);
  const [json] = blocks(page, 'json');
  assert.equal((JSON.parse(json!) as { type: string }).type, 'approval.requested');
});

test('the role in docs/approvals.md is the one of examples/rbac/approver.yaml', () => {
  const [yaml] = blocks(read('docs/approvals.md'), 'yaml');
  const rights = (rules: { resources: string[]; verbs: string[] }[]): string[] =>
    rules.map(({ resources, verbs }) => `${resources.join()} ${verbs.join()}`).sort((a, b) => a.localeCompare(b));
  const example = read('examples/rbac/approver.yaml').split('\n---\n')[0]!;
  assert.deepEqual(rights(parse(yaml!).rules), rights(parse(example).rules));
});

function shell(script: string, env: Record<string, string>): Promise<{ code: number; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn('bash', ['-c', script], {
      cwd: ROOT,
      env: { ...process.env, ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    const take = (chunk: Buffer): void => void (output += chunk.toString());
    child.stdout.on('data', take);
    child.stderr.on('data', take);
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, output }));
  });
}
