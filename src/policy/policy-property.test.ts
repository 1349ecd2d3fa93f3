import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { parseRequest } from '../request/request.ts';
import type { AgentPolicy, Match, Rule } from './agent-policy.ts';
import { agent, notation, policy } from './cases/case.ts';
import { type CelValue, fromJson } from './cel/engine.ts';
import { compile } from './policy-set.ts';
import type { Question } from './question.ts';
import type { Leg } from './verbs.ts';

const GATEWAY = { gatewayNamespace: 'sallyport' };
const RANK = { Allow: 0, RequireApproval: 1, Deny: 2 } as const;

const some = (...values: string[]) => fc.uniqueArray(fc.constantFrom(...values), { minLength: 1, maxLength: 3 });
const optional = <T>(key: string, value: fc.Arbitrary<T>) =>
  fc.option(value, { nil: undefined, freq: 2 }).map((found) => (found === undefined ? {} : { [key]: found }));

const match: fc.Arbitrary<Match> = fc
  .tuple(
    fc.record({
      verbs: some('*', 'get', 'list', 'create', 'update', 'patch', 'delete', 'deletecollection'),
      apiGroups: some('*', '', 'apps'),
      resources: some('*', '*/*', 'pods', 'pods/exec', 'pods/*', 'deployments', 'serviceaccounts/token', '*/proxy'),
    }),
    optional('namespaces', some('shop', 'shop-*', '*', 'prod')),
    optional('resourceNames', some('web', 'w*', '*')),
    optional('namespaceSelector', fc.constantFrom({}, { matchLabels: { env: 'dev' } })),
  )
  .map(([base, ...rest]) => Object.assign(base, ...rest) as Match);

const expression = fc.constantFrom(
  'true',
  'false',
  'object.metadata.name == "web"',
  'object.spec.replicas > 1',
  'oldObject == null',
  'target.metadata.labels.app == "web"',
  'request.namespace == "shop"',
  'images(object).size() > 0',
  "podSecurity(object, 'restricted').size() > 0",
  'secretsOf(object).exists(s, s == "x")',
  'variables.name == "web"',
  'this does not compile',
  'caller.groups[7] == "x"',
  '[1, 2, 3].all(x, [1, 2, 3].all(y, [1, 2, 3].all(z, x + y + z > 0)))',
);

const ruleOf = (action: fc.Arbitrary<Rule['action']>): fc.Arbitrary<Rule> =>
  fc
    .record({
      action,
      match,
      name: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
      when: fc.array(expression, { maxLength: 2 }),
    })
    .map(({ when, ...rule }) => ({
      ...rule,
      matchConditions: when.map((text, i) => ({ name: `c${i}`, expression: text })),
    }));

const anyAction = fc.constantFrom<Rule['action']>('Allow', 'Allow', 'Deny', 'RequireApproval');
const policies: fc.Arbitrary<AgentPolicy[]> = fc
  .array(
    fc.record({
      rules: fc.uniqueArray(ruleOf(anyAction), { maxLength: 5, selector: ({ name }) => name }),
      enforcement: fc.constantFrom('Enforce' as const, 'Enforce' as const, 'Warn' as const),
    }),
    { maxLength: 4 },
  )
  .map((list) =>
    list.map(({ rules, enforcement }, i) =>
      policy(`p${i}`, rules, { enforcement, variables: [{ name: 'name', expression: 'object.metadata.name' }] }),
    ),
  );

const requests: [string, string][] = [
  ['GET', '/api/v1/namespaces/shop/pods/web'],
  ['GET', '/api/v1/namespaces/shop/pods'],
  ['GET', '/api/v1/nodes'],
  ['POST', '/api/v1/namespaces/shop/pods'],
  ['PUT', '/api/v1/namespaces/shop/pods/web'],
  ['DELETE', '/api/v1/namespaces/prod/pods/web'],
  ['DELETE', '/api/v1/namespaces/prod/pods'],
  ['POST', '/api/v1/namespaces/shop/pods/web/exec?command=ls'],
  ['POST', '/apis/apps/v1/namespaces/shop/deployments'],
  ['POST', '/api/v1/namespaces/shop/serviceaccounts/web/token'],
  ['GET', '/api/v1/namespaces/shop/services/web/proxy/'],
  ['GET', '/metrics'],
];

const deep: fc.Arbitrary<CelValue> = fc
  .oneof(
    fc.constantFrom<unknown>(
      { apiVersion: 'v1', kind: 'Pod', metadata: { name: 'web' }, spec: { containers: [{ image: 'x' }] } },
      {
        apiVersion: 'apps/v1',
        kind: 'Deployment',
        metadata: { name: 'web' },
        spec: { replicas: 2, template: { spec: { containers: 'x' } } },
      },
      { apiVersion: 'v1', kind: 'Pod', metadata: 7, spec: [] },
    ),
    fc.jsonValue({ maxDepth: 4 }),
  )
  .map((value) => fromJson(value));

const question: fc.Arbitrary<Question> = fc
  .record({
    request: fc.constantFrom(...requests),
    leg: fc.constantFrom<Leg>('Gateway', 'Admission'),
    object: fc.option(deep, { nil: undefined }),
    oldObject: fc.option(deep, { nil: undefined }),
    target: fc.option(deep, { nil: undefined }),
    namespaceObject: fc.option(deep, { nil: undefined }),
    creates: fc.constantFrom(true, false, undefined),
    unknown: fc.constantFrom(undefined, { object: 'no dry run' }),
  })
  .map(({ request: [method, target], ...rest }) => ({
    caller: agent,
    operation: parseRequest(method, target, {}),
    sourceIP: '10.0.0.1',
    now: 1_800_000_000_000,
    requestID: 'r',
    ...rest,
  }));

const action = (list: readonly AgentPolicy[], asked: Question) => compile(list, GATEWAY).decide(asked).action;
const RUNS = { numRuns: 400 };

test('it never throws, and always says why', () => {
  fc.assert(
    fc.property(policies, question, (list, asked) => {
      const set = compile(list, GATEWAY);
      set.needs(agent, asked.operation, asked.leg);
      const decision = set.decide(asked);
      assert.ok(decision.reason.length > 0 && decision.reason.length <= 1024);
      assert.equal(decision.code === undefined, decision.action === 'Allow');
    }),
    RUNS,
  );
});

test('order never matters', () => {
  const shuffled = policies.chain((list) =>
    fc
      .tuple(
        fc.shuffledSubarray(list, { minLength: list.length }),
        ...list.map(({ spec }) => fc.shuffledSubarray([...spec.rules], { minLength: spec.rules.length })),
      )
      .map(([order, ...rules]) => {
        const byName = new Map(list.map((one, i) => [one.metadata.name, rules[i] ?? []]));
        const mixed = order.map((one) => ({
          ...one,
          spec: { ...one.spec, rules: byName.get(one.metadata.name) ?? [] },
        }));
        return { list, mixed };
      }),
  );
  fc.assert(
    fc.property(shuffled, question, ({ list, mixed }, asked) => {
      const first = compile(list, GATEWAY).decide(asked);
      const second = compile(mixed, GATEWAY).decide(asked);
      assert.equal(notation(second), notation(first));
      assert.equal(second.reason, first.reason);
    }),
    RUNS,
  );
});

test('one Deny rule more never allows more', () => {
  fc.assert(
    fc.property(policies, ruleOf(fc.constant('Deny')), question, (list, extra, asked) => {
      // The caller is governed by the extra policy too: being governed at all must be what it was.
      fc.pre(list.some(({ spec }) => spec.enforcement === 'Enforce'));
      assert.ok(RANK[action([...list, policy('extra', [extra])], asked)] >= RANK[action(list, asked)]);
    }),
    RUNS,
  );
});

test('one Allow rule less never allows more', () => {
  fc.assert(
    fc.property(policies, fc.nat(), question, (list, pick, asked) => {
      const all = list.flatMap(({ metadata, spec }) => spec.rules.map((rule) => ({ policy: metadata.name, rule })));
      const allowing = all.filter(({ rule }) => rule.action === 'Allow');
      fc.pre(allowing.length > 0);
      const gone = allowing[pick % allowing.length]!;
      const fewer = list.map((one) =>
        one.metadata.name === gone.policy
          ? { ...one, spec: { ...one.spec, rules: one.spec.rules.filter((rule) => rule !== gone.rule) } }
          : one,
      );
      assert.ok(RANK[action(fewer, asked)] >= RANK[action(list, asked)]);
    }),
    RUNS,
  );
});

test('an expression that stops compiling never allows more', () => {
  fc.assert(
    fc.property(policies, fc.nat(), question, (list, pick, asked) => {
      const rules = list.flatMap(({ spec }) => spec.rules);
      fc.pre(rules.length > 0);
      const broken = rules[pick % rules.length]!;
      const worse = list.map((one) => ({
        ...one,
        spec: {
          ...one.spec,
          rules: one.spec.rules.map((rule) =>
            rule === broken ? { ...rule, matchConditions: [{ name: 'x', expression: '((' }] } : rule,
          ),
        },
      }));
      assert.ok(RANK[action(worse, asked)] >= RANK[action(list, asked)]);
    }),
    RUNS,
  );
});

test('what needs does not name changes nothing', () => {
  fc.assert(
    fc.property(policies, question, (list, asked) => {
      const set = compile(list, GATEWAY);
      const most: Question = {
        ...asked,
        leg: 'Gateway',
        unknown: undefined,
        object: natural(asked, 'object'),
        oldObject: natural(asked, 'oldObject'),
      };
      const needs = set.needs(agent, asked.operation);
      const least: Question = {
        ...most,
        object: needs.object ? most.object : undefined,
        oldObject: needs.oldObject ? most.oldObject : undefined,
        target: needs.target ? most.target : undefined,
        namespaceObject: needs.namespaceObject ? most.namespaceObject : undefined,
      };
      assert.equal(set.decide(least).action, set.decide(most).action);
    }),
    RUNS,
  );
});

/** An input that by its nature there is none of is not given either way. */
function natural(asked: Question, input: 'object' | 'oldObject'): CelValue | undefined {
  const { verb, subresource } = asked.operation;
  if (subresource === 'exec' || subresource === 'proxy' || !asked.operation.isResource) return undefined;
  const writes = verb === 'create' || verb === 'update';
  if (input === 'object') return writes ? (asked.object as CelValue | undefined) : undefined;
  if (verb === 'create' || (verb === 'update' && asked.creates === true)) return undefined;
  return verb === 'update' || verb === 'delete' ? (asked.oldObject as CelValue | undefined) : undefined;
}
