import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ApprovalRequest } from './approval-request.generated.ts';
import { after, DIGEST, MINUTE, NOON, requestOf, said } from './cases.ts';
import { conditionOf, endOf } from './condition.ts';
import { takeDecision } from './deciding.ts';
import { expire, voidRequest } from './expiry.ts';
import { takeUse } from './use.ts';

const grant = { rule: 'other-exec', maxDuration: '30m' };
const truncated = { digest: 'ab'.repeat(32), sizeBytes: 1, truncated: true };
const seconds = NOON / 1000;

/** A decision taken in at `now`, one minute after noon where nothing else is said. */
function take(object: ApprovalRequest, now = NOON + MINUTE): ApprovalRequest & { refused?: string } {
  const taken = takeDecision(object, now)!;
  assert.equal(taken.status.decision, undefined, 'the input is cleared in any case');
  return { ...after(object, taken.status), ...('refused' in taken ? { refused: taken.refused.reason } : {}) };
}
const approvedBy = (username: string, spec = {}, more = {}) => take(said(requestOf(spec), 'Approved', username, more));

function usedUp(): ApprovalRequest {
  const use = { digest: DIGEST, leg: 'Gateway', requestID: 'one' } as const;
  const object = approvedBy('bob');
  return after(object, takeUse(object, use, NOON + MINUTE).status);
}

/** [what, the object with its word, phase, reason of the refusal] */
const CASES: readonly [string, ApprovalRequest, string, (string | undefined)?, number?][] = [
  ['someone else approves', said(requestOf(), 'Approved', 'bob'), 'Approved'],
  ['someone else denies', said(requestOf(), 'Denied', 'bob'), 'Denied'],
  ['the first of two', said(requestOf({ requiredApprovals: 2 }), 'Approved', 'bob'), 'Pending'],
  ['two different people', said(approvedBy('bob', { requiredApprovals: 2 }), 'Approved', 'carol'), 'Approved'],
  [
    'one person twice',
    said(approvedBy('bob', { requiredApprovals: 2 }), 'Approved', 'bob'),
    'Pending',
    'DecidedAlready',
  ],
  [
    'one person under two names',
    said(approvedBy('bob', { requiredApprovals: 2 }, { uid: 'b' }), 'Approved', 'robert', { uid: 'b' }),
    'Pending',
    'DecidedAlready',
  ],
  ['one approves and the next denies', said(approvedBy('bob', { requiredApprovals: 2 }), 'Denied', 'carol'), 'Denied'],
  ['an approval of what is approved', said(approvedBy('bob'), 'Approved', 'carol'), 'Approved', 'ApprovedAlready'],
  ['a denial of what is approved', said(approvedBy('bob'), 'Denied', 'carol'), 'Revoked'],
  ['a denial by who approved', said(approvedBy('bob'), 'Denied', 'bob'), 'Revoked'],
  [
    'anything about what is denied',
    said(take(said(requestOf(), 'Denied', 'bob')), 'Approved', 'carol'),
    'Denied',
    'Ended',
  ],
  ['a denial of what is used up', said(usedUp(), 'Denied', 'carol'), 'Revoked'],
  [
    'a denial of what is used up, much later',
    said(usedUp(), 'Denied', 'carol'),
    'Revoked',
    undefined,
    NOON + 600 * MINUTE,
  ],
  ['an approval of what is used up', said(usedUp(), 'Approved', 'carol'), 'Used', 'Ended'],
  [
    'a denial of what was used up and taken back',
    said(take(said(usedUp(), 'Denied', 'carol')), 'Denied', 'dave'),
    'Revoked',
    'Ended',
  ],
  ['an agent', said(requestOf(), 'Approved', 'sallyport:alice'), 'Pending', 'NotAPerson'],
  ['an account', said(requestOf(), 'Approved', 'system:serviceaccount:a:b'), 'Pending', 'NotAPerson'],
  [
    'who asked',
    said(requestOf({ requester: { issuer: 'x', username: 'eve' } }), 'Approved', 'eve'),
    'Pending',
    'OwnRequest',
  ],
  [
    'who asked, by uid',
    said(requestOf({ requester: { issuer: 'x', username: 'eve', uid: 'e' } }), 'Approved', 'eva', { uid: 'e' }),
    'Pending',
    'OwnRequest',
  ],
  [
    'who asked without an agent, though included',
    said(requestOf({ requester: { issuer: 'x', username: 'eve' }, approvers: 'IncludeOnBehalfOf' }), 'Approved', 'eve'),
    'Pending',
    'OwnRequest',
  ],
  [
    'the person behind the agent',
    said(requestOf(), 'Approved', 'alice', { authTime: seconds }),
    'Pending',
    'OwnRequest',
  ],
  [
    'the person behind the agent, included and freshly signed in',
    said(requestOf({ approvers: 'IncludeOnBehalfOf' }), 'Approved', 'alice', { authTime: seconds - 3500 }),
    'Approved',
  ],
  [
    'the same an hour later',
    said(requestOf({ approvers: 'IncludeOnBehalfOf' }), 'Approved', 'alice', { authTime: seconds - 3541 }),
    'Pending',
    'SignInTooOld',
  ],
  [
    'a sign-in of the future',
    said(requestOf({ approvers: 'IncludeOnBehalfOf' }), 'Approved', 'alice', { authTime: seconds + 200 }),
    'Pending',
    'SignInTooOld',
  ],
  [
    'no word of a sign-in',
    said(requestOf({ approvers: 'IncludeOnBehalfOf' }), 'Approved', 'alice'),
    'Pending',
    'SignInTooOld',
  ],
  ['their denial needs none', said(requestOf({ approvers: 'IncludeOnBehalfOf' }), 'Denied', 'alice'), 'Denied'],
  ['a cut diff', said(requestOf({ diffRef: truncated }), 'Approved', 'bob'), 'Pending', 'NotShownInFull'],
  [
    'a cut diff, knowing',
    said(requestOf({ diffRef: truncated }), 'Approved', 'bob', { allowTruncated: true }),
    'Approved',
  ],
  ['a grant', said(requestOf({ grant }), 'Approved', 'bob', { grantDuration: '30m' }), 'Approved'],
  [
    'a grant too long',
    said(requestOf({ grant }), 'Approved', 'bob', { grantDuration: '31m' }),
    'Pending',
    'NotGrantable',
  ],
  [
    'a grant of nothing',
    said(requestOf({ grant }), 'Approved', 'bob', { grantDuration: '0s' }),
    'Pending',
    'NotGrantable',
  ],
  [
    'a grant that no policy allows',
    said(requestOf(), 'Approved', 'bob', { grantDuration: '1m' }),
    'Pending',
    'NotGrantable',
  ],
  [
    'a grant without a session',
    said(requestOf({ grant, requester: { issuer: 'x', username: 'job' } }), 'Approved', 'bob', { grantDuration: '1m' }),
    'Pending',
    'NoSession',
  ],
  ['in the last millisecond', said(requestOf(), 'Approved', 'bob'), 'Approved', undefined, NOON + 15 * MINUTE - 1],
  ['too late', said(requestOf(), 'Approved', 'bob'), 'Expired', 'TooLate', NOON + 15 * MINUTE],
  ['too late to deny', said(requestOf(), 'Denied', 'bob'), 'Expired', 'TooLate', NOON + 15 * MINUTE],
];

for (const [what, object, phase, refused, now] of CASES) {
  test(`deciding: ${what}`, () => {
    const taken = take(object, now);
    assert.equal(taken.status?.phase, phase);
    assert.equal(taken.refused, refused);
    const had = object.status?.decisions?.length ?? 0;
    assert.equal(taken.status?.decisions?.length ?? 0, refused === undefined ? had + 1 : had);
  });
}

test('deciding: nothing waits', () => assert.equal(takeDecision(requestOf(), NOON), undefined));

test('the time to use it is counted from the last approval', () => {
  const one = take(said(requestOf({ requiredApprovals: 2 }), 'Approved', 'bob'), NOON + MINUTE);
  assert.equal(one.status?.grantExpirationTime, undefined);
  const two = take(said(one, 'Approved', 'carol'), NOON + 10 * MINUTE + 999);
  assert.equal(two.status?.grantExpirationTime, '2026-06-01T12:15:00Z');
  assert.equal(conditionOf(two, 'Approved')?.message, 'by bob and carol');
});

test('a session is opened only where all say so, for the shortest time', () => {
  const spec = { requiredApprovals: 2, grant };
  const half = said(approvedBy('bob', spec, { grantDuration: '30m' }), 'Approved', 'carol');
  assert.equal(take(half).status?.grantDuration, undefined);
  const both = said(approvedBy('bob', spec, { grantDuration: '30m' }), 'Approved', 'carol', { grantDuration: '10m' });
  assert.equal(take(both).status?.grantDuration, '10m');
  assert.equal(take(both).status?.grantExpirationTime, '2026-06-01T12:11:00Z');
});

test('what a person wrote as reason is kept escaped and bounded', () => {
  const taken = take(said(requestOf(), 'Denied', 'bob', { reason: `no\u001b[2J\n\u202e${'\u{e0001}'.repeat(500)}` }));
  const { reason } = taken.status!.decisions![0]!;
  assert.match(reason!, /^no\\u\{1b\}\[2J\\u\{a\}\\u\{202e\}/);
  assert.ok([...reason!].length <= 4096);
  assert.ok([...conditionOf(taken, 'Denied')!.message].length <= 1024);
});

test('a revocation ends the approval at once and keeps who approved', () => {
  const revoked = take(said(approvedBy('bob'), 'Denied', 'carol', { reason: 'wrong one' }), NOON + 2 * MINUTE);
  assert.equal(conditionOf(revoked, 'Denied'), undefined);
  assert.equal(endOf(revoked)?.reason, 'Revoked');
  assert.equal(endOf(revoked)?.message, 'by carol: wrong one');
  assert.equal(revoked.status?.grantExpirationTime, '2026-06-01T12:02:00Z');
  assert.deepEqual(
    revoked.status?.decisions?.map(({ username }) => username),
    ['bob', 'carol'],
  );
});

test('expiry: what nobody decided, what nobody used, and a grant that is over', () => {
  assert.equal(expire(requestOf(), NOON + 15 * MINUTE - 1), undefined);
  assert.equal(expire(requestOf(), NOON + 15 * MINUTE)?.conditions?.[0]?.reason, 'NotDecided');
  const approved = approvedBy('bob');
  assert.equal(expire(approved, NOON + 6 * MINUTE - 1), undefined);
  const unused = after(approved, expire(approved, NOON + 6 * MINUTE));
  assert.equal(endOf(unused)?.reason, 'NotUsed');
  assert.equal(expire(unused, NOON + 60 * MINUTE), undefined, 'once');
  const granted = approvedBy('bob', { grant }, { grantDuration: '1m' });
  assert.equal(endOf(after(granted, expire(granted, NOON + 2 * MINUTE)))?.reason, 'GrantEnded');
  const endless = after(approved, { conditions: approved.status!.conditions! });
  assert.equal(endOf(after(endless, expire(endless, NOON)))?.reason, 'NotUsed', 'no time at all is no time left');
});

test('void: what is approved ends now, what has ended stays as it ended', () => {
  const approved = approvedBy('bob');
  const changed = after(approved, voidRequest(approved, 'PolicyChanged', 'generation 4', NOON + 2 * MINUTE));
  assert.equal(endOf(changed)?.reason, 'PolicyChanged');
  assert.equal(changed.status?.grantExpirationTime, '2026-06-01T12:02:00Z');
  assert.equal(voidRequest(changed, 'SessionEnded', 'x', NOON), undefined);
});
