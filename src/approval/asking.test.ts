import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ApprovalRequest, ApprovalRequestSpec } from './approval-request.generated.ts';
import { type Asking, ask } from './asking.ts';
import { after, DIGEST, MINUTE, NOON, requestOf, said } from './cases.ts';
import { takeDecision } from './deciding.ts';
import { expire, voidRequest } from './expiry.ts';
import { counterOf, namePrefix, requestName } from './request-name.ts';
import { giveUpUses, takeUse } from './use.ts';

const NOW = NOON + 2 * MINUTE;
const use = { digest: DIGEST, leg: 'Gateway', requestID: 'one' } as const;
const asking: Asking = {
  digest: DIGEST,
  leg: 'Gateway',
  policyUID: 'p-1',
  rule: 'other-exec',
  terms: { requiredApprovals: 1, maxUses: 1, approvers: 'Others', impersonateGroups: [] },
};

const named = (counter: number, spec: Partial<ApprovalRequestSpec> = {}): ApprovalRequest => {
  const object = requestOf(spec);
  return { ...object, metadata: { ...object.metadata, name: requestName(DIGEST, counter) } };
};
const decided = (type: 'Approved' | 'Denied', more = {}, spec = {}): ApprovalRequest => {
  const object = said(named(1, spec), type, 'bob', more);
  return after(object, takeDecision(object, NOON + MINUTE)!.status);
};
const used = (): ApprovalRequest => after(decided('Approved'), takeUse(decided('Approved'), use, NOW).status);
const takenBack = (): ApprovalRequest => {
  const object = said(used(), 'Denied', 'carol');
  return after(object, takeDecision(object, NOON + 3 * MINUTE)!.status);
};
const grant = { grant: { rule: 'other-exec', maxDuration: '30m' } };

test('names: ten characters of the digest without i, l, o, u, and a counter', () => {
  assert.equal(requestName('0'.repeat(64), 1), 'ar-0000000000-1');
  assert.equal(requestName('f'.repeat(64), 12), 'ar-zzzzzzzzzz-12');
  assert.equal(namePrefix(DIGEST), 'ar-04hmasw9nf-');
  assert.throws(() => namePrefix('0123'));
  assert.throws(() => namePrefix('../'.repeat(22)));
  assert.equal(counterOf('ar-04hmasw9nf-17', namePrefix(DIGEST)), 17);
  for (const name of ['ar-04hmasw9nf-', 'ar-04hmasw9nf-0', 'ar-04hmasw9nf-01', 'ar-04hmasw9nf-1x', 'ar-14hmasw9nf-1']) {
    assert.equal(counterOf(name, namePrefix(DIGEST)), 0, name);
  }
  fc.assert(
    fc.property(fc.stringMatching(/^[0-9a-f]{64}$/), fc.integer({ min: 1, max: 999_999_999 }), (digest, counter) => {
      const name = requestName(digest, counter);
      assert.match(name, /^ar-[0-9a-hjkmnp-tv-z]{10}-[1-9][0-9]{0,8}$/, 'as the CRD demands');
      assert.equal(counterOf(name, namePrefix(digest)), counter);
    }),
  );
});

const JOINS: Record<string, ApprovalRequest> = {
  'one that waits': named(1),
  'one that is approved': decided('Approved'),
  'one of an older generation of the same rule on the same terms': named(1, {
    policyRef: { name: 'p', uid: 'p-1', generation: 1 },
  }),
};
for (const [what, request] of Object.entries(JOINS)) {
  test(`joins ${what}`, () => assert.deepEqual(ask([request], asking, NOW), { kind: 'Join', request }));
}

const NEW: Record<string, ApprovalRequest[]> = {
  'one whose name alone is the same': [named(1, { digest: `${DIGEST.slice(0, 63)}0` })],
  'one of the other leg': [named(1, { leg: 'Admission' })],
  'one of another rule': [named(1, { ruleName: 'x' })],
  'one of another policy': [named(1, { policyRef: { name: 'p', uid: 'p-2', generation: 3 } })],
  'one that wanted fewer approvals': [decided('Approved', {}, { approvers: 'IncludeOnBehalfOf' })],
  'one with more privilege': [decided('Approved', {}, { impersonateGroups: ['admins'] })],
  'one that is used': [used()],
  'one of unknown outcome': [after(used(), giveUpUses(used(), NOW + MINUTE, MINUTE))],
  'one that opened a session': [decided('Approved', { grantDuration: '10m' }, grant)],
  'one whose target changed': [after(decided('Approved'), voidRequest(decided('Approved'), 'TargetChanged', '', NOW))],
};
for (const [what, requests] of Object.entries(NEW)) {
  test(`asks anew at once, under the next number, after ${what}`, () => {
    const asked = ask(requests, asking, NOW + 3 * MINUTE);
    assert.equal(asked.kind, 'Create');
    assert.equal(asked.kind === 'Create' && asked.name, 'ar-04hmasw9nf-2');
  });
}

test('what a collision says is not shown as what went before', () => {
  const asked = ask([named(7, { digest: `${DIGEST.slice(0, 63)}0` })], asking, NOW);
  assert.deepEqual(asked, { kind: 'Create', name: 'ar-04hmasw9nf-8', previous: undefined });
  assert.deepEqual(ask([], asking, NOW), { kind: 'Create', name: 'ar-04hmasw9nf-1', previous: undefined });
});

test('what was denied, or expired, is asked anew after ten minutes and not before', () => {
  const cases: [ApprovalRequest, string, number][] = [
    [decided('Denied', { reason: 'no' }), 'SP_APPROVAL_DENIED', NOON + MINUTE],
    [named(1), 'SP_APPROVAL_EXPIRED', NOON + 15 * MINUTE],
    [after(named(1), expire(named(1), NOON + 15 * MINUTE)), 'SP_APPROVAL_EXPIRED', NOON + 15 * MINUTE],
    [decided('Approved'), 'SP_APPROVAL_EXPIRED', NOON + 6 * MINUTE],
    [takenBack(), 'SP_APPROVAL_DENIED', NOON + 3 * MINUTE],
  ];
  for (const [request, code, end] of cases) {
    const early = ask([request], asking, end);
    assert.equal(early.kind === 'Refuse' && early.code, code);
    assert.equal(early.kind === 'Refuse' && early.retryAfter, 600);
    const last = ask([request], asking, end + 10 * MINUTE - 1);
    assert.equal(last.kind === 'Refuse' && last.retryAfter, 1);
    assert.equal(ask([request], asking, end + 10 * MINUTE).kind, 'Create');
  }
  const denied = ask([decided('Denied', { reason: 'not today' })], asking, NOW);
  assert.match(
    denied.kind === 'Refuse' ? denied.message : '',
    /ar-04hmasw9nf-1 was denied by bob: not today; .* in 540 s/,
  );
});

test('a revocation is a denial; the newest end counts, and a live one before any end', () => {
  const object = said(decided('Approved'), 'Denied', 'carol');
  const revoked = after(object, takeDecision(object, NOW)!.status);
  const asked = ask([revoked], asking, NOW);
  assert.equal(asked.kind === 'Refuse' && asked.code, 'SP_APPROVAL_DENIED');
  const later = { ...used(), metadata: { ...used().metadata, name: requestName(DIGEST, 2) } };
  assert.equal(ask([revoked, later], asking, NOW).kind, 'Create');
  assert.equal(ask([revoked, named(3)], asking, NOW).kind, 'Join');
});
