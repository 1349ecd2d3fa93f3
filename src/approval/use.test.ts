import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ApprovalRequest, ApprovalRequestSpec } from './approval-request.generated.ts';
import { after, DIGEST, MINUTE, NOON, requestOf, said } from './cases.ts';
import { endOf } from './condition.ts';
import { takeDecision } from './deciding.ts';
import { expire } from './expiry.ts';
import { type GrantQuestion, grantCovers, grantIsOutdated } from './session-grant.ts';
import { giveUpUses, recordOutcome, takeUse } from './use.ts';

const NOW = NOON + 2 * MINUTE;
const use = { digest: DIGEST, leg: 'Gateway', requestID: 'one' } as const;

function approved(spec: Partial<ApprovalRequestSpec> = {}, more: object = {}): ApprovalRequest {
  const object = said(requestOf(spec), 'Approved', 'bob', more);
  return after(object, takeDecision(object, NOON + MINUTE)!.status);
}

test('a use of one ends it; of several, the last', () => {
  const taken = takeUse(approved(), use, NOW);
  assert.equal(taken.refusal, undefined);
  assert.deepEqual(taken.status?.uses, [{ requestID: 'one', time: '2026-06-01T12:02:00Z' }]);
  assert.equal(taken.status?.phase, 'Used');
  let object = approved({ maxUses: 3 });
  for (const requestID of ['a', 'b', 'c']) object = after(object, takeUse(object, { ...use, requestID }, NOW).status);
  assert.equal(object.status?.uses?.length, 3);
  assert.equal(takeUse(object, use, NOW).refusal?.code, 'SP_APPROVAL_EXPIRED');
});

const asked = { uid: 'u-1', resultDigest: 'ab'.repeat(32) };
const waiting = (type: 'Approved' | 'Denied') => said(approved(), type, 'carol');
/** [what, object, use, code, time] */
const REFUSED: readonly [string, ApprovalRequest, object, string, number?][] = [
  ['not decided', requestOf(), use, 'SP_APPROVAL_REQUIRED'],
  ['half decided', approved({ requiredApprovals: 2 }), use, 'SP_APPROVAL_REQUIRED'],
  [
    'another digest that begins the same',
    approved(),
    { ...use, digest: `${DIGEST.slice(0, 63)}0` },
    'SP_APPROVAL_REQUIRED',
  ],
  ['the other leg', approved(), { ...use, leg: 'Admission' }, 'SP_APPROVAL_REQUIRED'],
  ['the time is over by the clock alone', approved(), use, 'SP_APPROVAL_EXPIRED', NOON + 6 * MINUTE],
  ['the same request again', approved({ maxUses: 2 }), { ...use, requestID: 'first' }, 'SP_APPROVAL_EXPIRED'],
  ['a denial waits to be taken in', waiting('Denied'), use, 'SP_APPROVAL_DENIED'],
  [
    'a session grant',
    approved({ grant: { rule: 'other-exec', maxDuration: '5m' } }, { grantDuration: '5m' }),
    use,
    'SP_APPROVAL_REQUIRED',
  ],
  [
    'another object of that name',
    approved({ target: asked }),
    { ...use, target: { ...asked, uid: 'u-2' } },
    'SP_APPROVAL_VOID',
  ],
  [
    'another result',
    approved({ target: asked }),
    { ...use, target: { ...asked, resultDigest: 'cd'.repeat(32) } },
    'SP_APPROVAL_VOID',
  ],
  ['an object that is gone', approved({ target: asked }), use, 'SP_APPROVAL_VOID'],
  ['an object where there was none', approved(), { ...use, target: { uid: 'u-1' } }, 'SP_APPROVAL_VOID'],
];

for (const [what, object, wanted, code, now = NOW] of REFUSED) {
  test(`no use: ${what}`, () => {
    const started = what.startsWith('the same')
      ? after(object, takeUse(object, { ...use, requestID: 'first' }, now).status)
      : object;
    const taken = takeUse(started, { ...use, ...wanted }, now);
    assert.equal(taken.refusal?.code, code);
    assert.equal(taken.status?.uses?.length ?? 0, taken.status === undefined ? 0 : (started.status?.uses?.length ?? 0));
    if (code === 'SP_APPROVAL_VOID') assert.equal(taken.status?.conditions?.at(-1)?.reason, 'TargetChanged');
  });
}

test('no use of what was denied, has expired or is of unknown outcome', () => {
  const no = said(requestOf(), 'Denied', 'bob', { reason: 'never' });
  const denied = takeUse(after(no, takeDecision(no, NOW)!.status), use, NOW);
  assert.equal(denied.refusal?.code, 'SP_APPROVAL_DENIED');
  assert.match(denied.refusal?.message ?? '', /^ar-04hmasw9nf-1 was denied by bob: never$/);
  const object = approved({ maxUses: 2 });
  const expired = after(object, expire(object, NOON + 6 * MINUTE));
  assert.equal(
    takeUse(expired, use, NOW).refusal?.code,
    'SP_APPROVAL_EXPIRED',
    'a clock that is behind changes nothing',
  );
  const used = after(object, takeUse(object, use, NOW).status);
  const unknown = after(used, giveUpUses(used, NOW + MINUTE, MINUTE));
  assert.equal(endOf(unknown)?.type, 'OutcomeUnknown');
  assert.equal(takeUse(unknown, { ...use, requestID: 'two' }, NOW).refusal?.code, 'SP_APPROVAL_EXPIRED');
});

test('an outcome is written once, and only for a use that was taken', () => {
  const used = after(approved(), takeUse(approved(), use, NOW).status);
  assert.equal(recordOutcome(used, 'other', 'Succeeded', NOW), undefined);
  const done = after(used, recordOutcome(used, 'one', 'Failed', NOW, 409));
  assert.deepEqual(done.status?.uses?.[0], {
    requestID: 'one',
    time: '2026-06-01T12:02:00Z',
    outcome: 'Failed',
    code: 409,
  });
  assert.equal(recordOutcome(done, 'one', 'Succeeded', NOW), undefined);
  assert.equal(giveUpUses(done, NOW + 60 * MINUTE, 0), undefined);
  assert.equal(giveUpUses(used, NOW + MINUTE - 1, MINUTE), undefined, 'not before the patience is over');
  const lost = giveUpUses(used, NOW + MINUTE, MINUTE);
  assert.equal(lost?.phase, 'OutcomeUnknown');
  assert.match(lost?.conditions?.at(-1)?.message ?? '', /one/);
  assert.equal(recordOutcome(after(used, lost), 'one', 'Succeeded', NOW), undefined, 'too late to know better');
});

const grant = { rule: 'other-exec', maxDuration: '30m' };
const question: GrantQuestion = {
  caller: {
    issuer: 'https://login.example',
    username: 'alice',
    agent: 'cursor',
    onBehalfOf: 'alice',
    session: 'cursor-1',
  },
  policy: { uid: 'p-1', generation: 3 },
  rule: 'other-exec',
  namespace: 'shop',
  leg: 'Gateway',
};
const granted = approved({ grant }, { grantDuration: '10m' });

test('a session grant covers its rule, its session, its namespace, its policy, its time, and nothing else', () => {
  assert.ok(grantCovers(granted, question, NOW));
  const { caller } = question;
  const others: Record<string, GrantQuestion> = {
    'another session': { ...question, caller: { ...caller, session: 'cursor-2' } },
    'no session': { ...question, caller: { ...caller, session: undefined } },
    'another issuer': { ...question, caller: { ...caller, issuer: 'x' } },
    'another person': { ...question, caller: { ...caller, username: 'x' } },
    'another agent': { ...question, caller: { ...caller, agent: 'x' } },
    'on behalf of another': { ...question, caller: { ...caller, onBehalfOf: 'x' } },
    'a policy made anew': { ...question, policy: { uid: 'p-2', generation: 3 } },
    'a policy changed': { ...question, policy: { uid: 'p-1', generation: 4 } },
    'another rule': { ...question, rule: 'x' },
    'another namespace': { ...question, namespace: 'x' },
    'the other leg': { ...question, leg: 'Admission' },
  };
  for (const [what, other] of Object.entries(others)) assert.equal(grantCovers(granted, other, NOW), false, what);
  assert.equal(grantCovers(granted, question, NOON + 11 * MINUTE), false, 'over');
  assert.equal(grantCovers(said(granted, 'Denied', 'carol'), question, NOW), false, 'a revocation that waits');
  const revoked = said(granted, 'Denied', 'carol');
  assert.equal(grantCovers(after(revoked, takeDecision(revoked, NOW)!.status), question, NOW), false, 'revoked');
  assert.equal(grantCovers(approved({ grant }), question, NOW), false, 'approved, but not granted');
  assert.equal(grantCovers(requestOf({ grant }), question, NOW), false, 'asked');
  assert.equal(grantIsOutdated(granted, question.policy), false);
  assert.ok(grantIsOutdated(granted, { uid: 'p-1', generation: 4 }));
  assert.ok(grantIsOutdated(granted, undefined));
  assert.equal(grantIsOutdated(approved(), undefined), false, 'one exact request is what it is');
});
