import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parseRequest } from '../request/request.ts';
import type { Rule } from './agent-policy.ts';
import { agent, allow, approve, deny, match, policy } from './cases/case.ts';
import { compile } from './policy-set.ts';

const GATEWAY = { gatewayNamespace: 'sallyport' };
const SHOP = '/api/v1/namespaces/shop';
const APPLY = 'application/apply-patch+yaml';

function needs(rules: readonly Rule[], method: string, target: string, contentType?: string): string {
  const operation = parseRequest(method, target, { contentType });
  const found = compile([policy('p', rules)], GATEWAY).needs(agent, operation);
  const names = Object.entries(found).filter(([name, needed]) => name !== 'any' && needed);
  assert.equal(found.any, names.length > 0);
  return names.map(([name]) => name).join(' ');
}

const any = allow('any', match('*', '*,pods/exec'));
const readsObject = deny('d', match('create,update,patch', '*'), "object.metadata.name == 'x'");

test('nothing, where no rule that may match reads anything', () => {
  assert.equal(needs([any], 'POST', `${SHOP}/pods`), '');
  assert.equal(needs([any, readsObject], 'GET', `${SHOP}/pods`), '');
  const elsewhere = deny('d', match('create', '*', { namespaces: ['prod'] }), "object.metadata.name == 'x'");
  assert.equal(needs([any, elsewhere], 'POST', `${SHOP}/pods`), '');
});

test('the object of a write that a rule reads', () => {
  assert.equal(needs([any, readsObject], 'POST', `${SHOP}/pods`), 'object');
  assert.equal(needs([any, readsObject], 'PATCH', `${SHOP}/pods/x`, 'application/merge-patch+json'), 'object');
});

test('never the object of a read, a delete or a connect: there is none', () => {
  const reads = deny('d', match('*', '*,pods/exec'), "object.metadata.name == 'x'");
  for (const [method, target] of [
    ['GET', `${SHOP}/pods`],
    ['DELETE', `${SHOP}/pods/x`],
    ['POST', `${SHOP}/pods/x/exec`],
  ] as const) {
    assert.equal(needs([any, reads], method, target), '', `${method} ${target}`);
  }
});

test('the old object of changes and deletes of one object', () => {
  const reads = deny('d', match('*', '*'), 'oldObject != null');
  assert.equal(needs([any, reads], 'DELETE', `${SHOP}/pods/x`), 'oldObject');
  assert.equal(needs([any, reads], 'PUT', `${SHOP}/pods/x`), 'oldObject');
  assert.equal(needs([any, reads], 'POST', `${SHOP}/pods`), '');
  assert.equal(needs([any, reads], 'DELETE', `${SHOP}/pods`), '');
});

test('the target of a connect', () => {
  const reads = deny('d', match('*', 'pods/exec'), "target.metadata.name == 'x'");
  assert.equal(needs([any, reads], 'POST', `${SHOP}/pods/x/exec`), 'target');
  assert.equal(needs([any, reads], 'GET', `${SHOP}/pods/x`), '');
});

test('the namespace, for a selector and for a condition', () => {
  const selected = allow('a', match('get', 'pods', { namespaceSelector: { matchLabels: { env: 'dev' } } }));
  assert.equal(needs([selected], 'GET', `${SHOP}/pods/x`), 'namespaceObject');
  assert.equal(
    needs([deny('d', match('get', '*'), "namespaceObject.metadata.name == 'x'")], 'GET', `${SHOP}/pods/x`),
    'namespaceObject',
  );
  assert.equal(needs([selected], 'GET', '/api/v1/pods'), '');
});

test('the name that a POST gives its object', () => {
  const named = allow('a', match('create', 'pods', { resourceNames: ['x'] }));
  assert.equal(needs([named], 'POST', `${SHOP}/pods`), 'object');
  assert.equal(
    needs([allow('a', match('create', '*', { namespaces: ['x'] }))], 'POST', '/api/v1/namespaces'),
    'object',
  );
});

test('what only a message reads', () => {
  const spoken: Rule = { ...deny('d', match('create', '*')), messageExpression: 'string(object.metadata.name)' };
  assert.equal(needs([spoken], 'POST', `${SHOP}/pods`), 'object');
});

test('no condition of an Allow rule, where another allows without any', () => {
  const costly = allow('a', match('create', '*'), "object.metadata.name == 'x'");
  assert.equal(needs([costly], 'POST', `${SHOP}/pods`), 'object');
  assert.equal(needs([costly, any], 'POST', `${SHOP}/pods`), '');
});

test('through variables, only those that a rule uses', () => {
  const operation = parseRequest('POST', `${SHOP}/pods`, {});
  const variables = [
    { name: 'pod', expression: 'podSpec(object)' },
    { name: 'who', expression: 'caller.username' },
  ];
  const set = (expression: string) =>
    compile([policy('p', [any, deny('d', match('*', '*'), expression)], { variables })], GATEWAY);
  assert.equal(set("variables.who == 'x'").needs(agent, operation).object, false);
  assert.equal(set('variables.pod == null').needs(agent, operation).object, true);
});

test('whether a PUT or an apply creates, only where that changes the answer', () => {
  const both = allow('a', match('create,update,patch', '*'));
  assert.equal(needs([both], 'PATCH', `${SHOP}/pods/x`, APPLY), '');
  assert.equal(needs([allow('a', match('patch', '*'))], 'PATCH', `${SHOP}/pods/x`, APPLY), 'existence');
  assert.equal(needs([both, approve('q', match('create', '*'))], 'PUT', `${SHOP}/pods/x`), 'existence');
  assert.equal(needs([allow('a', match('patch', '*'))], 'PATCH', `${SHOP}/pods/x`, 'application/merge-patch+json'), '');
});

test('nothing for what bedrock refuses or what is free', () => {
  const reads = deny('d', match('*', '*'), "object.metadata.name == 'x'");
  assert.equal(needs([reads], 'POST', '/apis/sallyport.dev/v1alpha1/agentpolicies'), '');
  assert.equal(needs([reads], 'POST', '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews'), '');
});

test('the groups that an approval would add', () => {
  const lends = { ...approve('lends', match('patch', 'pods')), approval: { impersonateGroups: ['elevated'] } };
  const groups = (method: string, target: string): readonly string[] | undefined =>
    compile([policy('p', [any, readsObject, lends])], GATEWAY).needs(
      agent,
      parseRequest(method, target, { contentType: 'application/merge-patch+json' }),
    ).groups;
  assert.deepEqual(groups('PATCH', `${SHOP}/pods/x`), ['elevated']);
  assert.equal(groups('PATCH', `${SHOP}/services/x`), undefined);
  assert.equal(groups('GET', `${SHOP}/pods/x`), undefined);
});
