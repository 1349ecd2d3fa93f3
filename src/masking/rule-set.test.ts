import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Caller } from '../identity/caller.ts';
import { parseRequest } from '../request/request.ts';
import { JsonMask } from './json-stream.ts';
import { MARKER, Placeholders } from './marker.ts';
import type { Masked } from './mask-plan.ts';
import type { MaskingRule, MaskingRuleSpec } from './masking-rule.ts';
import { BrokenMaskingRule } from './rule-plan.ts';
import { compileMaskingRules, type MaskingRuleSet } from './rule-set.ts';

const placeholders = new Placeholders(Buffer.alloc(32, 7));
const caller: Caller = {
  method: 'OIDC',
  issuer: 'https://issuer.example',
  username: 'ci',
  uid: '',
  groups: ['ai-agents'],
  serviceAccount: undefined,
  agent: undefined,
  onBehalfOf: undefined,
  session: undefined,
  expiresAt: Number.POSITIVE_INFINITY,
  authTime: undefined,
};
const agents = [{ kind: 'Group', name: 'ai-agents' }] as const;
const customers = { apiGroups: ['crm.example'], resources: ['customers'] };
let uids = 0;

function rule(name: string, spec: Partial<MaskingRuleSpec>): MaskingRule {
  return {
    metadata: { name, uid: String(++uids), generation: 1 },
    spec: { subjects: agents, match: customers, ...spec } as MaskingRuleSpec,
  };
}

const setOf = (...rules: MaskingRule[]): MaskingRuleSet => compileMaskingRules(rules, placeholders);

function through(set: MaskingRuleSet, path: string, value: unknown, masked?: (what: Masked) => void): unknown {
  const plan = set.planFor(caller, parseRequest('GET', path, {}), masked);
  const text = JSON.stringify(value);
  if (plan === undefined) return JSON.parse(text);
  const engine = new JsonMask(plan);
  return JSON.parse(Buffer.concat([engine.write(Buffer.from(text)), engine.end()]).toString());
}

const customer = (namespace: string, name: string) => ({
  kind: 'Customer',
  metadata: { namespace, name, uid: `${namespace}-${name}` },
  spec: { phone: 'one' },
});
const list = { kind: 'CustomerList', items: [customer('shop', 'a'), customer('shop', 'b'), customer('bank', 'a')] };
const seen = (value: unknown): boolean[] =>
  (value as typeof list).items.map(({ spec }) => !spec.phone.startsWith(MARKER));
const PATH = '/apis/crm.example/v1';

suite('which rules mask an answer', () => {
  const phone = { fields: [{ path: 'spec.phone' }] };

  test('those that name the caller and what is asked', () => {
    const set = setOf(rule('phone', phone));
    assert.deepEqual(seen(through(set, `${PATH}/customers`, list)), [false, false, false]);
    assert.deepEqual(seen(through(set, `${PATH}/orders`, list)), [true, true, true]);
    const others = setOf(rule('phone', { ...phone, subjects: [{ kind: 'User', name: 'someone' }] }));
    assert.deepEqual(seen(through(others, `${PATH}/customers`, list)), [true, true, true]);
    const everyone = setOf(rule('phone', { ...phone, subjects: [{ kind: 'Group', name: 'system:authenticated' }] }));
    assert.deepEqual(everyone.errors, []);
    assert.deepEqual(seen(through(everyone, `${PATH}/customers`, list)), [false, false, false]);
  });

  test('the object is the same behind its status and scale', () => {
    const set = setOf(rule('phone', phone));
    for (const subresource of ['status', 'scale', 'anything']) {
      const path = `${PATH}/namespaces/shop/customers/a/${subresource}`;
      assert.notDeepEqual(through(set, path, customer('shop', 'a')), customer('shop', 'a'), subresource);
    }
  });

  test('events are events in both of their groups', () => {
    const match = { apiGroups: [''], resources: ['events'] };
    const set = setOf(rule('reasons', { match, fields: [{ path: 'reason' }] }));
    const event = { kind: 'Event', metadata: { name: 'a', namespace: 'shop' }, reason: 'Scheduled' };
    assert.notDeepEqual(through(set, '/apis/events.k8s.io/v1/namespaces/shop/events/a', event), event);
  });

  test('of a list over all namespaces, object by object', () => {
    const set = setOf(rule('phone', { ...phone, match: { ...customers, namespaces: ['sh*'] } }));
    assert.deepEqual(seen(through(set, `${PATH}/customers`, list)), [false, false, true]);
    assert.deepEqual(seen(through(set, `${PATH}/namespaces/bank/customers`, list)), [true, true, true]);
    const named = setOf(rule('phone', { ...phone, match: { ...customers, resourceNames: ['a'] } }));
    assert.deepEqual(seen(through(named, `${PATH}/customers`, list)), [false, true, false]);
  });

  test('what is counted of one object counts for its answer', () => {
    const set = setOf(rule('phone', { ...phone, match: { ...customers, namespaces: ['shop'] } }));
    const counted: string[] = [];
    through(set, `${PATH}/customers`, list, ({ rule: by, kind }) => void counted.push(`${by} ${kind}`));
    assert.deepEqual(counted, ['phone field', 'phone field']);
  });
});

suite('exemptions', () => {
  const exempt = { exempt: true, match: { ...customers, namespaces: ['shop'] } };
  const token = { kind: 'Customer', spec: { password: 'correct-horse-battery' } };
  const inside = (namespace: string) => ({ ...token, metadata: { name: 'a', namespace } });

  test('spare what they certainly speak of, object by object', () => {
    const set = setOf(rule('spared', exempt));
    const items = { kind: 'CustomerList', items: [inside('shop'), inside('bank')] };
    const out = through(set, `${PATH}/customers`, items) as typeof items;
    assert.equal(out.items[0]!.spec.password, 'correct-horse-battery');
    assert.ok(out.items[1]!.spec.password.startsWith(MARKER));
    assert.deepEqual(through(set, `${PATH}/namespaces/shop/customers/a`, inside('shop')), inside('shop'));
  });

  test('never what another rule masks, no stream of it, and no one else', () => {
    const both = setOf(rule('spared', exempt), rule('phone', { fields: [{ path: 'spec.phone' }] }));
    assert.deepEqual(seen(through(both, `${PATH}/customers`, list)), [false, false, false]);
    const pods = setOf(rule('spared', { exempt: true, match: { apiGroups: [''], resources: ['pods'] } }));
    assert.notEqual(pods.planFor(caller, parseRequest('GET', '/api/v1/namespaces/a/pods/b/log', {})), undefined);
    const all = setOf(rule('spared', { ...exempt, subjects: [{ kind: 'Group', name: 'system:authenticated' }] }));
    assert.match(all.errors[0]?.message ?? '', /means everyone/);
  });

  test('an inner object of a text cannot name itself into one', () => {
    const set = setOf(rule('spared', exempt));
    const inner = JSON.stringify({ metadata: { namespace: 'shop', name: 'a' }, password: 'correct-horse-battery' });
    const outer = { kind: 'Customer', metadata: { namespace: 'bank', name: 'a' }, spec: { text: inner } };
    const out = through(set, `${PATH}/customers`, { kind: 'CustomerList', items: [outer] });
    assert.ok(!JSON.stringify(out).includes('correct-horse'));
  });
});

suite('rules that do not compile', () => {
  test('refuse what they could mask, and nothing else', () => {
    const set = setOf(rule('broken', { match: { ...customers, namespaces: ['shop'] }, fields: [{ path: 'a..b' }] }));
    for (const path of [`${PATH}/customers`, `${PATH}/namespaces/shop/customers/a`]) {
      assert.throws(() => set.planFor(caller, parseRequest('GET', path, {})), BrokenMaskingRule);
    }
    assert.notEqual(set.planFor(caller, parseRequest('GET', `${PATH}/namespaces/bank/customers/a`, {})), undefined);
  });

  test('are found by what can be understood of them, and an unchanged one is not compiled again', () => {
    const good = rule('good', { fields: [{ path: 'spec.phone' }] });
    const first = setOf(good, rule('bad', { match: {} as never, fields: [{ path: 'spec.phone' }] }));
    assert.match(first.errors.map(({ at }) => at).join(), /spec\.match\.apiGroups/);
    const second = compileMaskingRules([good], placeholders, first);
    assert.equal(
      second.rules[0],
      first.rules.find(({ name }) => name === 'good'),
    );
  });
});
