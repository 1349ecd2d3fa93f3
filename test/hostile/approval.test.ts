import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { after, NOON, requestOf, said } from '../../src/approval/cases.ts';
import { takeDecision } from '../../src/approval/deciding.ts';
import { kubectlForm } from '../../src/approval/kubectl-form.ts';
import { newRequest } from '../../src/approval/new-request.ts';
import { objectDiff } from '../../src/approval/object-diff.ts';
import { shellWord } from '../../src/approval/shell-words.ts';
import { MAX_SUMMARY, summaryOf } from '../../src/approval/summary.ts';
import { escapeLine, SallyportError, toStatus } from '../../src/errors.ts';
import type { Decision } from '../../src/policy/decision.ts';
import type { Operation } from '../../src/request/operation.ts';
import { parseRequest } from '../../src/request/request.ts';
import { assertHarmless, HOSTILE, stringsOf } from './corpus.ts';

const caller = {
  method: 'AgentSession',
  issuer: 'https://login.example',
  username: 'alice',
  uid: '',
  groups: [],
  serviceAccount: undefined,
  agent: 'cursor',
  onBehalfOf: 'alice',
  session: 'cursor-1',
  expiresAt: Number.POSITIVE_INFINITY,
  authTime: undefined,
} as const;

function execOf(...command: string[]): Operation {
  const plain = parseRequest('POST', '/api/v1/namespaces/shop/pods/web/exec?command=x&stdout=true', {});
  return { ...plain, exec: { ...plain.exec!, command } };
}

const decisionOf = (reason: string) =>
  ({
    action: 'RequireApproval',
    policy: 'p',
    policyUID: 'u',
    policyGeneration: 1,
    rule: 'r',
    reason,
    approval: {
      requiredApprovals: 1,
      requestTTL: 900,
      grantTTL: 300,
      maxUses: 1,
      maxGrantDuration: 60,
      approvers: 'Others',
      impersonateGroups: [],
    },
  }) as unknown as Decision;

for (const [index, text] of HOSTILE.entries()) {
  const name = escapeLine(text.slice(0, 30));
  test(`hostile text ${index} (${name}) is harmless wherever an approver meets it`, () => {
    const operation = { ...execOf('sh', '-c', text, text), name: text, path: `/x/${text}` };
    const wanted = {
      name: 'ar-04hmasw9nf-1',
      namespace: 'shop',
      caller: { ...caller, agent: 'cursor' },
      operation,
      decision: decisionOf(text),
      digest: 'ab'.repeat(32),
      leg: 'Gateway',
      diff: objectDiff({ kind: 'Pod', [text]: text }, { kind: 'Pod', [text]: [text, text] }),
      previous: requestOf(),
    } as const;
    const made = newRequest(wanted, NOON);
    const { diff, summary, ...rest } = made.spec;
    for (const shown of stringsOf(rest)) assertHarmless(shown);
    assertHarmless(summary, true);
    assertHarmless(diff ?? '', true);
    assertHarmless(wanted.diff.text, true);
    assertHarmless(kubectlForm(operation)!);
    // Each fact of the summary stands on one line, under a word of ours, and once.
    const words = summary.split('\n').map((line) => line.slice(0, line.indexOf(':')));
    if (!summary.startsWith('CUT:')) {
      assert.equal(words.filter((word) => word === 'requester').length, 1);
      assert.equal(words.filter((word) => word === 'why').length, 1);
      assert.equal(words.filter((word) => word.startsWith('argv[')).length, 4);
    } else assert.equal(made.spec.diffRef?.truncated, true, 'what is cut must be approved as such');
    assert.ok([...summary].length <= MAX_SUMMARY);
    // A diff's line cannot be forged either: all of them begin as ours do.
    for (const line of wanted.diff.text.split('\n').slice(2, -1)) assert.match(line, /^(?:[-+ ]|@@ |CUT:)/);

    const decided = takeDecision(said(requestOf(), 'Denied', 'bob', { reason: text }), NOON)!;
    for (const shown of stringsOf(decided.status)) assertHarmless(shown);
    assertHarmless(
      summaryOf({ ...wanted, policy: 'p', rule: 'r', reason: '', previous: after(requestOf(), decided.status) }),
      true,
    );
    assertHarmless(toStatus(new SallyportError('SP_APPROVAL_REQUIRED', text), 'id').message);
  });
}

test('a quoted argument is one argument, and the one it was', () => {
  const words = HOSTILE.filter((text) => escapeLine(text) === text && text.length < 1000);
  assert.ok(words.length > 10);
  const script = `printf '%s\\0' ${words.map(shellWord).join(' ')}`;
  const output = execFileSync('/bin/sh', ['-c', script]).toString();
  assert.deepEqual(output.split('\0').slice(0, -1), words);
});

test('no two arguments are shown as one', () => {
  const shown = HOSTILE.map(shellWord);
  assert.equal(new Set(shown).size, HOSTILE.length);
  assert.notEqual(shellWord('\u001b[2J'), shellWord('\\u{1b}[2J'));
});
