import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { Budget, CelBudgetError, CelCompileError, CelRuntimeError, type CelValue, compile, DYN } from './engine.ts';

const variables = { object: DYN, params: DYN };

/** The value; or the kind of a CEL error. Anything else that is thrown is a bug. */
function outcome(source: string, object: CelValue = null): CelValue {
  try {
    const limits = { expressionCost: 20_000, expressionMilliseconds: 1_000, totalMilliseconds: 1_000 };
    return compile(source, { variables }).evaluate({ object, params: null }, new Budget(limits));
  } catch (error) {
    if (error instanceof CelCompileError) {
      assert.ok(error.line >= 1 && error.column >= 1 && error.message !== '');
      return 'compile error';
    }
    if (error instanceof CelRuntimeError) return 'runtime error';
    if (error instanceof CelBudgetError) return 'budget error';
    throw error;
  }
}

const refused = (source: string): void => {
  const started = performance.now();
  assert.throws(() => compile(source, { variables }), CelCompileError);
  assert.ok(performance.now() - started < 5_000);
};

describe('hostile sources', () => {
  test('nesting without end is refused, not a stack overflow', () => {
    const deep = 10_000;
    for (const [open, middle, close] of [
      ['(', '1', ')'],
      ['[', '', ']'],
      ["{'a': ", '1', '}'],
      ['true ? 1 : ', '1', ''],
      ['object[', '0', ']'],
      ['size(', "''", ')'],
      ['[1].all(x, ', 'true', ')'],
    ] as const) {
      refused(open.repeat(deep) + middle + close.repeat(deep));
    }
  });

  test('chains without end are refused, not a stack overflow', () => {
    for (const link of ['.a', '[0]', '.?a', ' + 1', ' * 1', ' == 1', '.map(x, x)', '.first()']) {
      refused(`object${link.repeat(10_000)}`);
    }
  });

  test('what is only long compiles: a thousand alternatives, ten thousand signs, a hundred kilobytes of text', () => {
    assert.equal(outcome(`${'false || '.repeat(2_000)}true`), true);
    assert.equal(outcome(`${'!'.repeat(10_000)}true`), true);
    assert.equal(outcome(`size('${'x'.repeat(99_000)}')`), 99_000);
    assert.equal(outcome(`size([${'1,'.repeat(5_000)}])`), 5_000);
    assert.equal(outcome(`1 ${'// comment\n'.repeat(5_000)} + 1`), 2);
  });

  test('what is too long is refused', () => {
    refused(`'${'x'.repeat(100_001)}'`);
    refused(`[${'1,'.repeat(60_000)}]`.slice(0, 99_999));
    refused(`[${'[],'.repeat(30_000)}1`);
    refused('9'.repeat(99_000));
    refused(`1e${'9'.repeat(9_000)}`);
    assert.equal(outcome(`'👋${'👋'.repeat(99_000)}'.size()`), 99_001);
  });

  test('an unfinished string is refused in linear time', () => {
    for (const quote of ["'", '"', "'''", 'r"""', "b'"]) refused(quote + 'a\\n'.repeat(30_000));
    refused("'\\".repeat(30_000));
    refused('`'.repeat(50_000));
  });

  test('a pattern may not be made to explode', () => {
    for (const pattern of [
      '(a{1000}){1000}',
      '((a{100}){100}){100}',
      `${'('.repeat(5000)}${')'.repeat(5000)}`,
      'a{1001}',
    ]) {
      assert.ok(['compile error', false].includes(outcome(`'x'.matches('${pattern}')`) as string));
    }
  });
});

const ATOMS = ['true', 'false', '1 / 0 > 0', "dyn('a')", 'object.missing', 'optional.of(true).value()', 'null == null'];
const TOKENS =
  "object params x 1 2u 1.5 'a' b'a' null true [ ] { } ( ) . , ? : + - * / % ! == != < >= && || in has all exists map filter .? [? matches size int duration optional.of".split(
    ' ',
  );

/** Expressions of the right form, of types right and wrong. */
const { expression } = fc.letrec<{ expression: string }>((tie) => ({
  expression: fc.oneof(
    { maxDepth: 5, depthSize: 'small' },
    fc.constantFrom(
      ...ATOMS,
      'object',
      'object.a',
      'object.b[0]',
      'params',
      '1',
      '-1',
      '9223372036854775807',
      '2.5',
      "'a.b'",
      '[1, 2]',
      "{'a': 1}",
      'x',
    ),
    fc
      .tuple(
        tie('expression'),
        fc.constantFrom('+', '-', '*', '/', '%', '==', '<', '&&', '||', 'in'),
        tie('expression'),
      )
      .map(([a, o, b]) => `(${a} ${o} ${b})`),
    fc.tuple(tie('expression'), tie('expression'), tie('expression')).map(([a, b, c]) => `(${a} ? ${b} : ${c})`),
    fc
      .tuple(
        tie('expression'),
        fc.constantFrom('all', 'exists', 'exists_one', 'map', 'filter', 'sortBy', 'optMap'),
        tie('expression'),
      )
      .map(([a, m, b]) => `${a}.${m}(x, ${b})`),
    fc
      .tuple(
        tie('expression'),
        fc.constantFrom(
          '.size()',
          '.sort()',
          '.sum()',
          '.distinct()',
          ".split('.')",
          ".join('')",
          '.flatten()',
          '.first()',
          '.?a',
          '.a',
          '[0]',
          '[?0]',
          ".matches('^a')",
          '.trim()',
          '.value()',
        ),
      )
      .map(([a, f]) => a + f),
    fc
      .tuple(
        fc.constantFrom('string', 'int', 'type', 'dyn', 'size', 'quantity', 'ip', 'timestamp', '!', '-', 'optional.of'),
        tie('expression'),
      )
      .map(([f, a]) => `${f}(${a})`),
    fc.array(tie('expression'), { maxLength: 3 }).map((e) => `[${e.map((v) => `dyn(${v})`).join(', ')}]`),
  ),
}));

describe('properties', () => {
  test('whatever the text, compiling gives a program or a CelCompileError', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 60 }), (source) => void outcome(source)),
      { numRuns: 2_000 },
    );
    fc.assert(
      fc.property(fc.array(fc.constantFrom(...TOKENS), { maxLength: 25 }), (tokens) => void outcome(tokens.join(' '))),
      { numRuns: 4_000 },
    );
  });

  test('whatever the object, evaluating gives a value or one of the CEL errors', () => {
    fc.assert(
      fc.property(expression, fc.jsonValue({ maxDepth: 3 }), (source, object) => {
        const ints = JSON.parse(JSON.stringify(object), (_k, v: unknown) =>
          typeof v === 'number' ? Math.trunc(v) % 1000 : v,
        ) as CelValue;
        outcome(source, ints);
      }),
      { numRuns: 3_000 },
    );
  });

  test('&& and || do not depend on the order of their sides, and De Morgan holds', () => {
    const atom = fc.constantFrom(...ATOMS);
    const kind = (source: string): CelValue => outcome(source, {});
    fc.assert(
      fc.property(atom, atom, atom, (a, b, c) => {
        assert.deepEqual(kind(`${a} || ${b}`), kind(`${b} || ${a}`));
        assert.deepEqual(kind(`${a} && ${b}`), kind(`${b} && ${a}`));
        assert.deepEqual(kind(`${a} || ${b} || ${c}`), kind(`${c} || (${b} || ${a})`));
        assert.deepEqual(
          kind(`[${a} || false, ${b} || false].exists(x, x)`),
          kind(`[${b} || false, ${a} || false].exists(x, x)`),
        );
        const [all, any] = [kind(`[1, 2].all(x, x == 1 ? (${a}) : (${b}))`), kind(`(${a}) && (${b})`)];
        assert.deepEqual(all, any);
        const sides = [kind(`!((${a}) && (${b}) == true)`), kind(`!(${a}) || !(${b})`)];
        if (sides.every((s) => typeof s === 'boolean')) assert.equal(sides[0], sides[1]);
      }),
      { numRuns: 500 },
    );
  });
});
