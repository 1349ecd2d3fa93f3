import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { CelDouble, type CelValue, fromJson, parseJson } from './engine.ts';

/** The slow and certain way: every number by its source. */
function certain(text: string): unknown {
  return JSON.parse(text, ((_key: string, value: unknown, context: { source: string }) => {
    if (typeof value !== 'number') return value;
    if (!/^-?\d+$/.test(context.source)) return new CelDouble(value);
    const exact = BigInt(context.source);
    if (BigInt.asIntN(64, exact) !== exact) return new CelDouble(value);
    return Number.isSafeInteger(value) ? value + 0 : exact;
  }) as never);
}

describe('parseJson', () => {
  test('an int is an int only by its digits', () => {
    const cases: [string, CelValue][] = [
      ['2', 2],
      ['-0', 0],
      ['2.0', new CelDouble(2)],
      ['1e3', new CelDouble(1000)],
      ['9007199254740991', 9007199254740991],
      ['9007199254740993', 9007199254740993n],
      ['-9223372036854775808', -9223372036854775808n],
      ['9223372036854775808', new CelDouble(2 ** 63)],
      [`1${'0'.repeat(30)}`, new CelDouble(1e30)],
    ];
    for (const [text, value] of cases) {
      assert.deepEqual(parseJson(text), value, text);
      assert.deepEqual(parseJson(`{"a": [1,\n ${text}]}`), { a: [1, value] }, text);
      assert.deepEqual(parseJson(`{"a":${text}}`), { a: value }, text);
      assert.deepEqual(parseJson(`[${text} ]`), [value], text);
    }
  });

  test('agrees with the certain way on every document', () => {
    const number = fc.oneof(
      fc.integer().map(String),
      fc.double({ noNaN: true, noDefaultInfinity: true }).map(String),
      fc.bigInt({ min: -(2n ** 70n), max: 2n ** 70n }).map(String),
      fc.constantFrom('0', '-0', '1.0', '1E5', '2e-3', '0.5'),
    );
    const text = fc.oneof(
      fc.string(),
      fc.constantFrom('nginx:1.25.3', 'a,1.5', '{"x":1.5}', '["1e5"', '\\"a\\":2.5', ':1.5'),
    );
    const space = fc.constantFrom('', ' ', '\n', ' \t ');
    const { document } = fc.letrec<{ document: string }>((tie) => ({
      document: fc.oneof(
        { maxDepth: 3 },
        number,
        text.map((t) => JSON.stringify(t)),
        fc.constantFrom('null', 'true'),
        fc
          .tuple(fc.array(tie('document'), { maxLength: 4 }), space)
          .map(([e, s]) => `[${s}${e.join(`${s},${s}`)}${s}]`),
        fc
          .tuple(fc.array(fc.tuple(text, tie('document')), { maxLength: 4 }), space)
          .map(([e, s]) => `{${e.map(([k, v]) => `${JSON.stringify(k)}${s}:${s}${v}`).join(`${s},`)}}`),
      ),
    }));
    fc.assert(
      fc.property(document, (source) => {
        assert.deepEqual(parseJson(source), certain(source));
      }),
      { numRuns: 3_000 },
    );
  });

  test('a document of the usual kind is the tree of JSON.parse itself', () => {
    const text = '{"spec":{"replicas":3,"image":"nginx:1.25","ports":[80,443]}}';
    assert.deepEqual(parseJson(text), JSON.parse(text));
    assert.throws(() => parseJson('{"a":1.5'), SyntaxError);
    assert.throws(() => parseJson('{'), SyntaxError);
  });
});

describe('fromJson', () => {
  test('converts what is no integer, and shares the rest', () => {
    const tree = { a: [1, { b: 2 }], c: { d: 1.5, e: [0.5] }, f: undefined };
    const { f: _, ...plain } = tree;
    assert.equal(fromJson(plain.a), plain.a);
    const converted = fromJson(plain) as unknown as typeof plain;
    assert.deepEqual(converted, { a: [1, { b: 2 }], c: { d: new CelDouble(1.5), e: [new CelDouble(0.5)] } });
    assert.equal(converted.a, plain.a);
    assert.equal(plain.c.d, 1.5);
  });

  test('a key __proto__ stays a key', () => {
    const converted = fromJson(JSON.parse('{"__proto__": {"x": 1.5}, "a": 1}')) as object;
    assert.deepEqual(Object.keys(converted), ['__proto__', 'a']);
    assert.equal(Object.getPrototypeOf(converted), Object.prototype);
  });
});
