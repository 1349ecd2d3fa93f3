import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { AgentPolicy } from './agent-policy.ts';
import { agent, allow, approve, deny, match, policy, questionOf, row } from './cases/case.ts';
import type { Decision } from './decision.ts';
import { compile, type PolicyOptions } from './policy-set.ts';
import type { Question } from './question.ts';

const on = match('*', '*');
const pods = 'POST /api/v1/namespaces/shop/pods';
const pod = {
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web' },
  spec: { containers: [{ image: 'evil.example/x' }] },
};

function decide(
  policies: readonly AgentPolicy[],
  request = pods,
  options: Partial<PolicyOptions> = {},
  more: Partial<Question> = {},
): Decision {
  const question = questionOf(row('x', policies, request, '', { object: pod }), 'Gateway')!;
  return compile(policies, { gatewayNamespace: 'sallyport', ...options }).decide({ ...question, ...more });
}

test('a reason names policy and rule, says what, and what to do', () => {
  const { reason } = decide([policy('team', [allow('a', on), deny('no-pods', on)])]);
  assert.match(
    reason,
    /^team\/no-pods: denies create pods "web" in namespace "shop"; .*ask who keeps the policy team$/,
  );
});

test('a Deny that counts as matched says why', () => {
  const { reason } = decide([policy('p', [deny('d', on, 'object.x == 1')])], 'GET /api/v1/namespaces/shop/pods/web');
  assert.match(reason, /^p\/d: its conditions cannot be checked \(a read has no object\) and so count as true;/);
});

test('a message and a message expression take its place', () => {
  const fixed = { ...deny('d', on), message: 'use the staging cluster' };
  assert.match(decide([policy('p', [fixed])]).reason, /^p\/d: use the staging cluster;/);
  const spoken = { ...fixed, messageExpression: "'not ' + images(object).join(', ')" };
  assert.match(decide([policy('p', [spoken])]).reason, /^p\/d: not evil\.example\/x;/);
  const silent = { ...fixed, messageExpression: 'string(object.nothing)' };
  assert.match(decide([policy('p', [silent])]).reason, /^p\/d: use the staging cluster;/);
});

test('a message cannot be long, costly, or more than a line', () => {
  const long = {
    ...deny('d', on),
    messageExpression:
      "['a', 'b', 'c', 'd'].map(x, 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx').join('')",
  };
  assert.ok(decide([policy('p', [long])]).reason.length < 700);
  const lines = { ...deny('d', on), messageExpression: "'a\\nb\\u202ec'" };
  assert.match(decide([policy('p', [lines])]).reason, /^p\/d: a\\u\{a\}b\\u\{202e\}c;/);
  const costly = {
    ...deny('d', on),
    message: 'plain',
    messageExpression: "lists.range(300000).map(i, string(i)).join('')",
  };
  assert.match(decide([policy('p', [costly])]).reason, /^p\/d: plain;/);
});

test('names that callers choose are bounded and escaped', () => {
  const request = `GET /api/v1/namespaces/shop/pods/${'a'.repeat(240)}`;
  assert.ok(decide([policy('p', [deny('d', on)])], request).reason.length < 400);
});

test('what an error says of an object is for the log, not for the caller', () => {
  const secretive = deny('d', on, 'int(object.metadata.name) == 1');
  const decision = decide([policy('p', [secretive])]);
  assert.equal(decision.code, 'SP_POLICY_ERROR');
  assert.match(decision.reason, /^p\/d: its condition "c0" has no answer/);
  assert.doesNotMatch(decision.reason, /int|parse|syntax|convert/);
  assert.deepEqual(
    decision.faults.map(({ policy: by, rule, condition }) => [by, rule, condition]),
    [['p', 'd', 'c0']],
  );
});

test('errors of Allow rules are counted though they do not decide', () => {
  const decision = decide([policy('p', [allow('a', on, 'object.nothing == 1'), allow('b', on, 'true')])]);
  assert.equal(decision.rule, 'b');
  assert.equal(decision.faults[0]?.rule, 'a');
});

test('a request whose expressions cost too much is refused, in Allow rules too', () => {
  const costly = 'lists.range(1000).all(a, lists.range(1000).all(b, lists.range(1000).all(c, a + b + c >= 0)))';
  for (const rule of [deny('x', on, costly), approve('x', on, costly), allow('x', on, costly)]) {
    const started = performance.now();
    const decision = decide([policy('p', [rule]), policy('q', [allow('z', on, 'true')])]);
    assert.equal(decision.code, 'SP_POLICY_ERROR', rule.action);
    assert.match(decision.reason, /took too long/);
    assert.ok(performance.now() - started < 1000);
  }
});

test('the cost of all expressions of a request is bounded too', () => {
  const middling = 'lists.range(900).all(a, lists.range(100).all(b, a + b >= 0))';
  const rules = Array.from({ length: 60 }, (_, i) => deny(`d${i}`, on, `!(${middling})`));
  const decision = decide([policy('p', [allow('a', on), ...rules])], pods, { limits: { totalCost: 1_000_000 } });
  assert.equal(decision.code, 'SP_POLICY_ERROR');
});

test('a Warn policy that costs too much refuses nothing', () => {
  const costly = 'lists.range(1000).all(a, lists.range(1000).all(b, lists.range(1000).all(c, a + b + c >= 0)))';
  const warn = policy('w', [deny('d', on, costly)], { enforcement: 'Warn' });
  assert.equal(decide([policy('p', [allow('a', on)]), warn]).action, 'Allow');
});

test('Warn and Audit policies say what they would have done', () => {
  const decision = decide([
    policy('p', [allow('a', on)]),
    policy('w', [deny('d', on)], { enforcement: 'Warn' }),
    policy('x', [approve('q', on)], { enforcement: 'Audit' }),
  ]);
  assert.equal(decision.action, 'Allow');
  assert.deepEqual(
    decision.audit.map(({ enforcement, action, policy: by, rule }) => [enforcement, action, by, rule]),
    [
      ['Warn', 'Deny', 'w', 'd'],
      ['Audit', 'RequireApproval', 'x', 'q'],
    ],
  );
  assert.equal(decision.warnings.length, 1);
  assert.match(decision.warnings[0]!, /^Sallyport: would be denied by w\/d/);
});

test('one ask of two is warned about once', () => {
  const warn = policy('w', [deny('d', on)], { enforcement: 'Warn' });
  const decision = decide(
    [policy('p', [allow('a', on)]), warn],
    'PUT /api/v1/namespaces/shop/pods/web',
    {},
    { creates: true },
  );
  assert.equal(decision.warnings.length, 1);
});

test('roll-out attaches that nothing would have allowed it', () => {
  const rollout = { defaultEnforcement: 'Audit' } as const;
  const decision = decide([policy('w', [allow('a', match('get', '*'))], { enforcement: 'Audit' })], pods, rollout);
  assert.equal(decision.action, 'Allow');
  assert.match(decision.audit[0]?.reason ?? '', /no rule of w allows to create pods/);
  assert.deepEqual(decide([policy('w', [allow('a', on)], { enforcement: 'Audit' })], pods, rollout).audit, []);
});

test('recording: the most that any enforcing policy asks', () => {
  const one = policy('a', [allow('a', on)], { recording: { level: 'Request', mode: 'BestEffort' } });
  const two = policy('b', [], { recording: { level: 'Metadata', mode: 'Strict' } });
  const warn = policy('c', [], { recording: { level: 'RequestResponse' }, enforcement: 'Warn' });
  assert.deepEqual(decide([one]).recording, { level: 'Request', mode: 'BestEffort' });
  assert.deepEqual(decide([one, two, warn]).recording, { level: 'Request', mode: 'Strict' });
  const open = policy('d', [], { recording: { level: 'None' } });
  assert.deepEqual(decide([one, open]).recording, { level: 'Request', mode: 'ByOperation' });
  assert.deepEqual(decide([two, open]).recording, { level: 'Metadata', mode: 'Strict' });
});

test('the terms of an approval come with the decision, in seconds', () => {
  const rule = { ...approve('q', on), approval: { requiredApprovals: 2, requestTTL: '1h30m', waitTimeout: '30s' } };
  const decision = decide([policy('p', [rule])]);
  assert.equal(decision.code, 'SP_APPROVAL_REQUIRED');
  assert.deepEqual(decision.approval, {
    requiredApprovals: 2,
    requestTTL: 5400,
    grantTTL: 300,
    maxUses: 1,
    waitTimeout: 30,
    maxGrantDuration: 0,
    approvers: 'Others',
    impersonateGroups: [],
  });
  assert.equal(decision.policyUID, 'uid-p');
});

test('a read over all namespaces names the one to leave out', () => {
  const list = 'GET /api/v1/pods';
  const set = [policy('p', [allow('a', on)])];
  assert.equal(decide(set, list).code, 'SP_BEDROCK');
  assert.match(decide(set, list).reason, /metadata\.namespace!=sallyport/);
  assert.equal(decide(set, list, { allNamespaces: 'Exclude' }).excludeNamespace, 'sallyport');
  assert.equal(decide(set, 'GET /api/v1/nodes', { allNamespaces: 'Exclude' }).excludeNamespace, undefined);
  const narrowed = `${list}?fieldSelector=metadata.namespace!%3Dsallyport`;
  assert.equal(decide(set, narrowed, { allNamespaces: 'Exclude' }).excludeNamespace, undefined);
});

test('a mistake names policy, rule, expression, line and column', () => {
  const set = compile([policy('p', [allow('a', on, 'true &&\n  object.')]), policy('ok', [allow('a', on)])], {
    gatewayNamespace: 'g',
  });
  assert.equal(set.errors.length, 1);
  const { policy: by, rule, expression, line, column } = set.errors[0]!;
  assert.deepEqual({ by, rule, expression, line }, { by: 'p', rule: 'a', expression: 'matchConditions[c0]', line: 2 });
  assert.ok(column !== undefined && column > 1);
});

test('two callers with the same policies share what was looked up; a new set starts afresh', () => {
  const set = compile([policy('p', [allow('a', on)])], { gatewayNamespace: 'g' });
  const question = questionOf(row('x', [], pods, '', { object: pod }), 'Gateway')!;
  assert.equal(set.decide(question).action, 'Allow');
  assert.equal(set.decide({ ...question, caller: { ...agent } }).action, 'Allow');
  assert.equal(set.governs(agent), true);
  const next = compile([], { gatewayNamespace: 'g' }, set);
  assert.equal(next.decide(question).code, 'SP_NO_POLICY');
});
