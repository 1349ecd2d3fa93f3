import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { JsonMask } from './json-stream.ts';
import { MARKER, Placeholders } from './marker.ts';
import { type CompiledMaskingRule, compileMaskingRule, type MaskingRuleSpec } from './masking-rule.ts';
import { BrokenMaskingRule, planOf } from './rule-plan.ts';

const placeholders = new Placeholders(Buffer.alloc(32, 1));
const everything = { subjects: [{ kind: 'User' as const, name: 'a' }], match: { apiGroups: ['*'], resources: ['*'] } };
const compile = (spec: Partial<MaskingRuleSpec>, name = 'r'): CompiledMaskingRule =>
  compileMaskingRule({ metadata: { name }, spec: { ...everything, ...spec } } as Parameters<
    typeof compileMaskingRule
  >[0]);

function masked(rules: readonly CompiledMaskingRule[], value: unknown): Record<string, string> {
  const plan = planOf(rules, placeholders);
  assert.ok(plan !== undefined);
  const engine = new JsonMask(plan);
  return JSON.parse(engine.write(Buffer.from(JSON.stringify(value))).toString() + engine.end().toString());
}

suite('MaskingRule', () => {
  test('mistakes have a place and a column, and the rule fails closed', () => {
    for (const [spec, at, column] of [
      [{ fields: [{ path: 'spec..a' }] }, 'spec.fields[0].path', 6],
      [{ fields: [{ path: 'metadata.name' }] }, 'spec.fields[0].path', 1],
      [{ fields: [{ path: '**' }] }, 'spec.fields[0].path', 1],
      [{ patterns: [{ name: 'a', regex: 'ab(?=c)' }] }, 'spec.patterns[0].regex', 3],
      [{ patterns: [{ name: 'a', regex: 'x*' }] }, 'spec.patterns[0].regex', undefined],
      [{ patterns: [{ name: 'a', regex: '(?:a{500}){500}' }] }, 'spec.patterns[0].regex', undefined],
      [{ patterns: [{ name: 'a', regex: 'a', group: 2 }] }, 'spec.patterns[0].group', undefined],
      [{}, 'spec', undefined],
      [{ exempt: true, detectors: ['credentials'] }, 'spec', undefined],
    ] as const) {
      const rule = compile(spec as Partial<MaskingRuleSpec>);
      const found = rule.errors.find((error) => error.at === at);
      assert.ok(found !== undefined, `${JSON.stringify(spec)}: ${JSON.stringify(rule.errors)}`);
      if (column !== undefined) assert.equal(found.column, column, found.message);
      assert.throws(() => planOf([rule], placeholders), BrokenMaskingRule);
    }
  });

  test('own patterns: group, keywords, entropy, action', () => {
    const pattern = { name: 'acme', regex: 'ACME-([A-Za-z0-9]{12})', keywords: ['acme'], group: 1, minEntropy: '2.5' };
    const out = masked([compile({ patterns: [pattern], action: 'Partial' })], {
      kind: 'X',
      a: 'ACME-abcd1234EFgh',
      b: 'ACME-aaaaaaaaaaaa',
    });
    assert.match(out['a']!, /^ACME-sallyport\.masked\.[a-z2-7]{26}Fgh$/);
    assert.equal(out['b'], 'ACME-aaaaaaaaaaaa');
  });

  test('a pattern that backtracks elsewhere is linear here, and a thousand are bounded', () => {
    const patterns = Array.from({ length: 1000 }, (_, i) => ({
      name: `p${i}`,
      regex: `k${i}-(a+)+b`,
      keywords: [`k${i}-`],
    }));
    const rule = compile({ patterns });
    assert.deepEqual(rule.errors, []);
    const start = process.cpuUsage();
    masked([rule], { kind: 'X', a: `k7-${'a'.repeat(20_000)}` });
    const { user, system } = process.cpuUsage(start);
    assert.ok(user + system < 5_000_000, `${user + system} µs`);
    assert.ok(compile({ patterns: [...patterns, { name: 'q', regex: 'q' }] }).errors.length > 0);
  });

  test('Hash is equal for equal values of one place, and by installation only for kinds that cannot be searched', () => {
    const by = (hashScope: 'Object' | 'Installation', value: string, uid: string) =>
      masked([compile({ fields: [{ path: 'v' }], action: 'Hash', hashScope })], {
        kind: 'X',
        metadata: { uid },
        v: value,
      })['v']!;
    assert.equal(by('Object', 'a', '1'), by('Object', 'a', '1'));
    assert.notEqual(by('Object', 'a', '1'), by('Object', 'b', '1'));
    assert.notEqual(by('Object', 'a', '1'), by('Object', 'a', '2'));
    assert.equal(by('Installation', 'a', '1'), by('Installation', 'a', '2'));
    const card = (uid: string) =>
      masked([compile({ detectors: ['payment-cards'], action: 'Hash', hashScope: 'Installation' })], {
        kind: 'X',
        metadata: { uid },
        v: `4${'1'.repeat(15)}`,
      })['v']!;
    assert.ok(card('1').startsWith(MARKER));
    assert.notEqual(card('1'), card('2'));
  });

  test('an exemption alone leaves the answer; beside another rule it does not', () => {
    const exempt = compile({ exempt: true }, 'e');
    assert.equal(planOf([exempt], placeholders), undefined);
    assert.ok(planOf([exempt, compile({ detectors: ['credentials'] })], placeholders) !== undefined);
  });
});
