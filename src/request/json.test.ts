import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../errors.ts';
import {
  decodeUtf8,
  type Json,
  JsonNumber,
  MAX_JSON_CONTAINERS,
  MAX_JSON_DEPTH,
  memberAt,
  parseJson,
  writeJson,
} from './json.ts';

function plain(value: Json): unknown {
  if (value instanceof JsonNumber) return Number(value.text);
  if (Array.isArray(value)) return value.map(plain);
  if (value instanceof Map) return Object.fromEntries([...value].map(([name, member]) => [name, plain(member)]));
  return value;
}

const refused = (text: string, what: RegExp): void =>
  assert.throws(
    () => parseJson(text),
    (error) => error instanceof SallyportError && error.code === 'SP_BAD_REQUEST' && what.test(error.message),
    text.slice(0, 80),
  );

test('reads what JSON.parse reads, from any formatting', () => {
  fc.assert(
    fc.property(fc.json({ maxDepth: 6 }), fc.nat(4), (text, indent) => {
      const value = JSON.parse(text);
      const formatted = JSON.stringify(value, null, indent);
      assert.deepEqual(plain(parseJson(formatted)), value);
      assert.deepEqual(JSON.parse(writeJson(parseJson(formatted))), value);
    }),
    { numRuns: 1000 },
  );
});

test('accepts nothing that JSON.parse refuses', () => {
  const mutated = fc
    .tuple(
      fc.json(),
      fc.nat(),
      fc.constantFrom('', ',', '}', ']', '"', '\\', '0', '-', '\u0000', '\u00a0', 'e', '.', 'nul'),
    )
    .map(([text, at, piece]) => {
      const index = at % (text.length + 1);
      return text.slice(0, index) + piece + text.slice(index + (piece === '' ? 1 : 0));
    });
  fc.assert(
    fc.property(mutated, (text) => {
      let tree: Json;
      try {
        tree = parseJson(text);
      } catch (error) {
        assert.ok(error instanceof SallyportError);
        return;
      }
      assert.deepEqual(plain(tree), JSON.parse(text));
    }),
    { numRuns: 5000 },
  );
});

test('a name that stands twice is refused, in any spelling and depth', () => {
  refused('{"a":1,"a":2}', /"a" stands twice/);
  refused('{"a":1,"\\u0061":2}', /"a" stands twice/);
  refused('[{"x":{"kind":1,\n"b":2,"kind":1}}]', /"kind" stands twice.*line 2/);
  refused('{"__proto__":1,"__proto__":2}', /stands twice/);
  assert.deepEqual([...(parseJson('{"__proto__":1,"a":{"a":1}}') as Map<string, Json>).keys()], ['__proto__', 'a']);
});

test('numbers keep their text', () => {
  for (const text of ['9007199254740993', '1.0', '-0', '1e2', '0.1000', '18446744073709551615', '1E+2']) {
    assert.equal(writeJson(parseJson(text)), text);
  }
});

test('numbers without a value are refused', () => {
  for (const text of ['1e999', '-1e999', '01', '+1', '.5', '1.', '0x1', 'NaN', 'Infinity', '-', '1e', '9'.repeat(500)])
    refused(text, /./);
});

test('depth and number of containers are bounded', () => {
  const nested = (depth: number): string => '['.repeat(depth) + ']'.repeat(depth);
  parseJson(nested(MAX_JSON_DEPTH));
  refused(nested(MAX_JSON_DEPTH + 1), /nested deeper/);
  refused('['.repeat(1_000_000), /nested deeper/);
  refused('{"a":'.repeat(1_000_000), /nested deeper/);
  refused(`[${'{},'.repeat(MAX_JSON_CONTAINERS)}{}]`, /more than/);
});

test('half surrogates, bare control characters, invalid UTF-8 and byte order marks are refused', () => {
  refused('"\\ud800"', /half a surrogate/);
  refused('{"\\udc00a":1}', /half a surrogate/);
  refused('"a\nb"', /control character/);
  assert.equal(parseJson('"\\ud83d\\ude00"'), '😀');
  for (const bytes of [[0xff], [0xc0, 0xae], [0xed, 0xa0, 0x80], [0x22, 0xe2, 0x82, 0x22]]) {
    assert.throws(() => decodeUtf8(Uint8Array.from(bytes)), { code: 'SP_BAD_REQUEST' });
  }
  assert.throws(() => decodeUtf8(Buffer.from('\ufeff{}')), { code: 'SP_BAD_REQUEST' });
});

test('faults name the line and never the values', () => {
  const secret = 'hunter'.concat('2');
  for (const text of [`{"a":"${secret}",\n\n}`, `{"a":"${secret}\\x"}`, `{"a":"${secret}`, `["${secret}" 1]`]) {
    assert.throws(
      () => parseJson(text),
      (error) =>
        error instanceof SallyportError && /line [0-9]+/.test(error.message) && !error.message.includes(secret),
    );
  }
});

test('what YAML readers take for a line break is written escaped', () => {
  const text = writeJson(parseJson('"a\u2028b\u2029c\u0085d\ufeffe\u007ff"'));
  assert.equal(text, '"a\\u2028b\\u2029c\\u0085d\\ufeffe\\u007ff"');
});

test('members are found by their path', () => {
  const tree = parseJson('{"a":{"b":[1]}}');
  assert.ok(Array.isArray(memberAt(tree, 'a', 'b')));
  assert.equal(memberAt(tree, 'a', 'b', 'c'), undefined);
  assert.equal(memberAt(tree, 'toString'), undefined);
});
