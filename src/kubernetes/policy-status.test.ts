import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AgentPolicyStatus } from '../policy/agent-policy.ts';
import type { PolicyCompileError } from '../policy/compile-error.ts';
import { nextStatus, type PolicyReport, RENEWAL, STATUS_BOUNDS, withVerdicts } from './policy-status.ts';

const NOW = Date.parse('2026-03-01T12:00:00Z');
const MISTAKE: PolicyCompileError = {
  policy: 'p',
  rule: 'deny-odd',
  expression: 'matchConditions[odd]',
  line: 2,
  column: 7,
  message: 'undeclared reference to "objct"',
};

function report(
  generation: number,
  more: {
    replica?: string;
    now?: number;
    admission?: boolean;
    errors?: PolicyCompileError[];
    faults?: PolicyReport['faults'];
  } = {},
): PolicyReport {
  return {
    replica: more.replica ?? 'a',
    now: more.now ?? NOW,
    policy: { generation, errors: more.errors ?? [], rules: [{ name: 'look' }, { name: 'deny-odd' }] },
    faults: more.faults ?? new Map(),
    admission: more.admission ?? false,
  };
}

function must(current: AgentPolicyStatus, next: PolicyReport): AgentPolicyStatus {
  const status = nextStatus(current, next);
  assert.ok(status, 'something should have changed');
  return status;
}

test('a policy that compiles is Ready; saying it again writes nothing', () => {
  const status = must({}, report(1));
  assert.equal(status.observedGeneration, 1);
  assert.equal(status.ruleCount, 2);
  assert.equal(status.conditions?.[0]?.status, 'True');
  assert.equal(status.conditions[0].lastTransitionTime, '2026-03-01T12:00:00Z');
  assert.deepEqual(status.replicas, [{ name: 'a', loadedGeneration: 1, loadedTime: '2026-03-01T12:00:00Z' }]);
  assert.equal(nextStatus(status, report(1, { now: NOW + 3_600_000 })), undefined);
});

test('where the webhook is served, Ready waits until the API server was seen to call for this very generation', () => {
  const waiting = must({}, report(1, { admission: true }));
  assert.deepEqual([waiting.conditions![0]!.status, waiting.conditions![0]!.reason], ['False', 'NotCalled']);
  const verdict = { type: 'AdmissionReady', reason: 'Called', message: 'it calls' } as const;
  const failing = withVerdicts(waiting, 1, [{ ...verdict, status: 'False', message: 'nobody answers' }], true, NOW);
  assert.equal(failing!.find(({ type }) => type === 'Ready')?.message, 'nobody answers');
  const called = withVerdicts(waiting, 1, [{ ...verdict, status: 'True' }], true, NOW + 5_000)!;
  const ready = called.find(({ type }) => type === 'Ready')!;
  assert.deepEqual([ready.status, ready.reason, ready.lastTransitionTime], ['True', 'InForce', '2026-03-01T12:00:05Z']);
  const status = { ...waiting, conditions: called };
  assert.equal(withVerdicts(status, 1, [{ ...verdict, status: 'True' }], true, NOW + 60_000), undefined, 'nothing new');
  assert.equal(nextStatus(status, report(1, { admission: true })), undefined, 'a replica says the same');
  const next = must(status, report(2, { admission: true }));
  assert.equal(next.conditions!.find(({ type }) => type === 'Ready')?.reason, 'NotCalled');
});

test('the order of keys, which the API server changes, is no change', () => {
  const status = must({}, report(1, { errors: [MISTAKE] }));
  const shuffled = JSON.parse(JSON.stringify(status), (_key, value: unknown) =>
    typeof value === 'object' && value !== null && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).reverse())
      : value,
  ) as AgentPolicyStatus;
  assert.equal(nextStatus(shuffled, report(1, { errors: [MISTAKE] })), undefined);
});

test('a mistake is shown with rule, expression, line and column, and lastTransitionTime moves only with the status', () => {
  const before = must({}, report(1));
  const broken = must(before, report(2, { errors: [MISTAKE, MISTAKE], now: NOW + 60_000 }));
  const ready = broken.conditions?.[0];
  assert.equal(ready?.status, 'False');
  assert.equal(ready.reason, 'CompileError');
  assert.match(ready.message, /^2 mistakes; .*deny-odd, matchConditions\[odd\], line 2:7: undeclared reference/);
  assert.equal(ready.lastTransitionTime, '2026-03-01T12:01:00Z');
  assert.deepEqual(broken.compileErrors?.[0], {
    rule: 'deny-odd',
    expression: 'matchConditions[odd]',
    line: 2,
    column: 7,
    message: 'undeclared reference to "objct"',
  });
  const still = must(broken, report(3, { errors: [MISTAKE], now: NOW + 120_000 }));
  assert.equal(still.conditions?.[0]?.lastTransitionTime, '2026-03-01T12:01:00Z');
});

test('Ready waits for every known replica; one that is gone is left behind after ten minutes', () => {
  const one = must({}, report(1, { replica: 'a' }));
  const two = must(one, report(1, { replica: 'b' }));
  assert.deepEqual(
    two.replicas?.map(({ name }) => name),
    ['a', 'b'],
  );
  const loading = must(two, report(2, { replica: 'a', now: NOW + 1_000 }));
  assert.equal(loading.conditions?.[0]?.reason, 'Loading');
  assert.equal(loading.conditions[0].status, 'False');
  const loaded = must(loading, report(2, { replica: 'b', now: NOW + 2_000 }));
  assert.equal(loaded.conditions?.[0]?.status, 'True');
  const gone = must(loading, report(2, { replica: 'a', now: NOW + 601_000 }));
  assert.deepEqual(
    gone.replicas?.map(({ name }) => name),
    ['a'],
  );
  assert.equal(gone.conditions?.[0]?.status, 'True');
});

test('an entry is renewed in time, and one that was not is dropped', () => {
  const two = must(must({}, report(1, { replica: 'a' })), report(1, { replica: 'b' }));
  assert.equal(nextStatus(two, report(1, { now: NOW + RENEWAL / 3 })), undefined);
  const renewed = must(two, report(1, { now: NOW + RENEWAL }));
  assert.equal(renewed.replicas?.[0]?.loadedTime, '2026-03-02T00:00:00Z');
  const alone = must(renewed, report(1, { now: NOW + 2 * RENEWAL + 1_000 }));
  assert.deepEqual(
    alone.replicas?.map(({ name }) => name),
    ['a'],
  );
});

test('a replica that is behind does not write over one that is ahead', () => {
  const ahead = must({}, report(5, { replica: 'b' }));
  assert.equal(nextStatus(ahead, report(4, { replica: 'a', errors: [MISTAKE] })), undefined);
});

test('faults of several replicas add up, and those of rules that are gone are dropped', () => {
  const faults = (count: number) =>
    new Map([['deny-odd', { count, lastTime: NOW, lastMessage: 'no such key\u001b[2J\nx' }]]);
  const first = must({}, report(1, { replica: 'a', faults: faults(2) }));
  const second = must(first, report(1, { replica: 'b', faults: faults(3) }));
  assert.equal(second.counters?.[0]?.errors, 5);
  assert.ok(!/[\n\u001b]/.test(second.counters[0].lastError ?? ''));
  const renamed = nextStatus(second, {
    ...report(2),
    policy: { generation: 2, errors: [], rules: [{ name: 'other' }] },
  });
  assert.deepEqual(renamed?.counters, []);
});

test('nothing grows past the bounds of the schema, and other conditions are kept', () => {
  let status: AgentPolicyStatus = {
    conditions: [
      { type: 'Other', status: 'True', reason: 'R', message: '', lastTransitionTime: '2026-01-01T00:00:00Z' },
    ],
  };
  const errors = Array.from({ length: 100 }, () => ({
    ...MISTAKE,
    message: 'm'.repeat(5_000),
    expression: 'e'.repeat(999),
  }));
  for (let index = 0; index < 100; index++) {
    status = must(status, report(1, { replica: `pod-${index}`, errors, now: NOW + index * 1_000 }));
  }
  assert.equal(status.replicas?.length, STATUS_BOUNDS.replicas);
  assert.ok(status.replicas.some(({ name }) => name === 'pod-99'));
  assert.equal(status.compileErrors?.length, STATUS_BOUNDS.errors);
  assert.ok(
    status.compileErrors.every(({ message, expression }) => message.length <= 1_024 && expression.length <= 256),
  );
  assert.ok((status.conditions?.find(({ type }) => type === 'Ready')?.message.length ?? 9e9) <= 1_024);
  assert.ok(status.conditions?.some(({ type }) => type === 'Other'));
});
