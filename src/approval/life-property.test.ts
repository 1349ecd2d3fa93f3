import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { ApprovalRequest, ApprovalRequestStatus } from './approval-request.generated.ts';
import { after, DIGEST, NOON, requestOf } from './cases.ts';
import { conditionOf, endOf, phaseOf } from './condition.ts';
import { takeDecision } from './deciding.ts';
import { expire, voidRequest } from './expiry.ts';
import { giveUpUses, recordOutcome, takeUse } from './use.ts';

type Step = (object: ApprovalRequest, now: number) => ApprovalRequestStatus | undefined;

const people = fc.constantFrom('alice', 'bob', 'carol', 'dave', 'sallyport:alice', 'system:serviceaccount:a:b');
const requestID = fc.constantFrom('r1', 'r2', 'r3', 'r4', 'r5');
const say =
  (type: 'Approved' | 'Denied', username: string, grantDuration?: string): Step =>
  ({ status }) => ({
    ...status,
    decision: { type, username, ...(grantDuration === undefined ? {} : { grantDuration }) },
  });

/** A word that is taken in at once: by chance alone a walk would seldom get as far as a use. */
const decide =
  (type: 'Approved' | 'Denied', who: string): Step =>
  (object, now) =>
    takeDecision(after(object, say(type, who)(object, now)), now)?.status;

const steps: fc.Arbitrary<Step> = fc.oneof(
  { weight: 3, arbitrary: people.map((who) => decide('Approved', who)) },
  fc.tuple(fc.constantFrom('Approved' as const, 'Denied' as const), people).map(([type, who]) => say(type, who)),
  people.map((who) => say('Approved', who, '10m')),
  fc.constant<Step>((object, now) => takeDecision(object, now)?.status),
  requestID.map(
    (id): Step =>
      (object, now) =>
        takeUse(object, { digest: DIGEST, leg: 'Gateway', requestID: id }, now).status,
  ),
  requestID.map(
    (id): Step =>
      (object, now) =>
        recordOutcome(object, id, 'Succeeded', now, 200),
  ),
  fc.constant<Step>(expire),
  fc.constant<Step>((object, now) => giveUpUses(object, now, 60_000)),
  fc.constant<Step>((object, now) => voidRequest(object, 'PolicyChanged', '', now)),
);

/** What the CRD demands of every write, and what the promises say of every state. */
function holds(before: ApprovalRequest, object: ApprovalRequest): void {
  const { spec, status } = object;
  const was = before.status;
  assert.ok((status?.uses?.length ?? 0) <= spec.maxUses, 'never more uses than maxUses');
  assert.ok(
    !(conditionOf(object, 'Approved') && conditionOf(object, 'Denied')),
    'Approved and Denied exclude each other',
  );
  if (conditionOf(object, 'Approved') !== undefined) {
    const approvers = new Set(
      status?.decisions?.filter(({ type }) => type === 'Approved').map(({ username }) => username),
    );
    assert.ok(approvers.size >= spec.requiredApprovals);
    assert.ok(!approvers.has('alice') && ![...approvers].some((name) => name.includes(':')));
    assert.ok(status?.grantExpirationTime !== undefined);
  } else assert.equal(status?.uses?.length ?? 0, 0, 'nothing is used that is not approved');
  for (const condition of was?.conditions ?? []) {
    assert.deepEqual(
      status?.conditions?.find(({ type }) => type === condition.type),
      condition,
      'sticky',
    );
  }
  assert.deepEqual(
    status?.decisions?.slice(0, was?.decisions?.length ?? 0) ?? [],
    was?.decisions ?? [],
    'decisions grow',
  );
  for (const [index, use] of (was?.uses ?? []).entries()) {
    const now = status?.uses?.[index];
    assert.equal(now?.requestID, use.requestID, 'uses grow');
    if (use.outcome !== undefined) assert.deepEqual(now, use, 'an outcome stays');
  }
  if (was?.grantExpirationTime !== undefined) {
    assert.ok(Date.parse(status!.grantExpirationTime!) <= Date.parse(was.grantExpirationTime), 'never prolonged');
  }
  if (endOf(before) !== undefined) {
    const added = (status?.decisions ?? []).slice(was?.decisions?.length ?? 0);
    // What is only used up can be taken back, once: a stream that was opened by it ends.
    const isUsedUp = endOf(before)!.type === 'Consumed' && conditionOf(before, 'Expired') === undefined;
    const isTakenBack = isUsedUp && added.length === 1 && added[0]!.type === 'Denied';
    assert.ok(added.length === 0 || isTakenBack, 'sealed');
    assert.equal(status?.uses?.length, was?.uses?.length, 'sealed');
  }
  assert.equal(status?.phase ?? 'Pending', phaseOf(status));
}

test('whatever happens in whatever order, on clocks that jump: the promises hold', () => {
  const life = fc.array(fc.tuple(steps, fc.integer({ min: -30_000, max: 45_000 })), { maxLength: 60 });
  const spec = fc.record({
    maxUses: fc.integer({ min: 1, max: 4 }),
    requiredApprovals: fc.integer({ min: 1, max: 3 }),
    grant: fc.constantFrom({ rule: 'other-exec', maxDuration: '30m' }),
  });
  let used = 0;
  fc.assert(
    fc.property(spec, life, (terms, moves) => {
      let object = requestOf(terms);
      let now = NOON;
      for (const [step, passed] of moves) {
        now += passed;
        const status = step(object, now);
        if (status === undefined) continue;
        const next = after(object, status);
        holds(object, next);
        object = next;
      }
      used += object.status?.uses?.length ?? 0;
    }),
    { numRuns: 2_000 },
  );
  assert.ok(used > 50, `the walk reaches uses often enough to say something: ${used}`);
});

test('many gateways, stale caches, any interleaving: no more forwards than maxUses', () => {
  const runs = fc.array(fc.tuple(fc.nat({ max: 4 }), fc.boolean()), { minLength: 10, maxLength: 120 });
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 3 }), runs, (maxUses, moves) => {
      const asked = after(requestOf({ maxUses }), { decision: { type: 'Approved', username: 'bob' } });
      let stored = after(asked, takeDecision(asked, NOON)!.status);
      let version = 1;
      const cached = Array.from({ length: 5 }, () => ({ object: stored, version }));
      let forwarded = 0;
      for (const [gateway, looks] of moves) {
        // Between looking and writing anything may have happened; the API server refuses the write of a stale version.
        if (looks) {
          cached[gateway] = { object: stored, version };
          continue;
        }
        const known = cached[gateway]!;
        const requestID = `${gateway}-${forwarded}-${version}`;
        const taken = takeUse(known.object, { digest: DIGEST, leg: 'Gateway', requestID }, NOON);
        if (taken.status === undefined || known.version !== version) continue;
        stored = after(stored, taken.status);
        version++;
        if (taken.refusal === undefined) forwarded++;
      }
      assert.ok(forwarded <= maxUses);
      assert.equal(stored.status?.uses?.length ?? 0, forwarded);
    }),
    { numRuns: 1_000 },
  );
});
