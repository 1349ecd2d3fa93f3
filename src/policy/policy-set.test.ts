import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRequest } from '../request/request.ts';
import type { AgentPolicy, Rule } from './agent-policy.ts';
import { callerNamed } from './cases/callers.ts';
import { compile } from './policy-set.ts';
import type { Question } from './question.ts';

const alice = callerNamed('alice', { groups: ['ai-agents'] });

function policy(name: string, rules: Rule[], spec: Partial<AgentPolicy['spec']> = {}): AgentPolicy {
  return {
    metadata: { name, uid: `uid-${name}`, generation: 1 },
    spec: { subjects: [{ kind: 'Group', name: 'ai-agents' }], rules, ...spec },
  };
}

function ask(method: string, target: string, more: Partial<Question> = {}): Question {
  const operation = parseRequest(method, target, { contentType: undefined });
  return {
    caller: alice,
    operation,
    leg: 'Gateway',
    sourceIP: '10.0.0.9',
    now: 1_800_000_000_000,
    requestID: 'r',
    ...more,
  };
}

const options = { gatewayNamespace: 'sallyport' };
const look: Rule = {
  name: 'look',
  action: 'Allow',
  match: { verbs: ['get', 'list'], apiGroups: ['', 'apps'], resources: ['*'], namespaces: ['shop-*'] },
};

test('a read inside the namespaces is allowed, outside refused by name of the policies', () => {
  const set = compile([policy('team', [look])], options);
  assert.equal(set.decide(ask('GET', '/api/v1/namespaces/shop-a/pods')).action, 'Allow');
  const denied = set.decide(ask('GET', '/api/v1/namespaces/prod/pods'));
  assert.equal(denied.code, 'SP_POLICY_DENIED');
  assert.match(denied.reason, /no rule of team allows to list pods in namespace "prod"/);
});

test('a caller without an Enforce policy is refused, and let through only by defaultEnforcement Audit', () => {
  const bob = callerNamed('bob');
  const question = ask('GET', '/api/v1/namespaces/shop-a/pods', { caller: bob });
  assert.equal(compile([policy('team', [look])], options).decide(question).code, 'SP_NO_POLICY');
  const audited = compile([], { ...options, defaultEnforcement: 'Audit' }).decide(question);
  assert.equal(audited.action, 'Allow');
  assert.equal(audited.audit[0]?.action, 'Deny');
});

test('only a policy that changed is compiled again', () => {
  const first = compile([policy('a', [look]), policy('b', [look])], options);
  const changed = { ...policy('b', []), metadata: { name: 'b', uid: 'uid-b', generation: 2 } };
  const second = compile([policy('a', [look]), changed], options, first);
  assert.equal(second.policies[0], first.policies[0]);
  assert.notEqual(second.policies[1], first.policies[1]);
});

test('what a rule allows is one decision, the same for each request; more to be said of one request is not said of the next', () => {
  const everywhere: Rule = { ...look, match: { ...look.match, namespaces: ['*'] } };
  const warned: Rule = {
    name: 'no-lists',
    action: 'Deny',
    match: { verbs: ['list'], apiGroups: [''], resources: ['pods'], namespaces: ['*'] },
  };
  const watching = policy('watching', [warned], { enforcement: 'Warn' });
  const set = compile([policy('team', [everywhere]), watching], { ...options, allNamespaces: 'Exclude' });
  const one = (): unknown => set.decide(ask('GET', '/api/v1/namespaces/shop-a/pods/a'));
  const plain = one();
  assert.equal(one(), plain);

  // Of the same rule, each with something of its own.
  const listed = set.decide(ask('GET', '/api/v1/namespaces/shop-a/pods'));
  assert.equal(listed.rule, 'look');
  assert.equal(listed.warnings.length, 1);
  assert.equal(listed.audit.length, 1);
  const all = set.decide(ask('GET', '/apis/apps/v1/deployments'));
  assert.equal(all.rule, 'look');
  assert.equal(all.excludeNamespace, 'sallyport');

  assert.equal(one(), plain);
  const { warnings, audit, excludeNamespace, free, action } = set.decide(
    ask('GET', '/api/v1/namespaces/shop-a/pods/b'),
  );
  assert.deepEqual([warnings, audit, excludeNamespace, free, action], [[], [], undefined, false, 'Allow']);
});
