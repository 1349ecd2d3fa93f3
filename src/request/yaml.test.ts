import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../errors.ts';
import { ACCEPTED, REFUSED } from './cases/yaml.ts';
import { writeJson } from './json.ts';
import { goNumber, MAX_YAML_LENGTH, parseYaml } from './yaml.ts';

for (const [yaml, json] of ACCEPTED) {
  test(`YAML ${JSON.stringify(yaml)} is ${json}`, () => assert.equal(writeJson(parseYaml(yaml)), json));
}

for (const [yaml, line] of REFUSED) {
  test(`YAML ${JSON.stringify(yaml)} is refused at line ${line}`, () => {
    assert.throws(
      () => parseYaml(yaml),
      (error) =>
        error instanceof SallyportError && error.code === 'SP_BAD_REQUEST' && error.message.includes(`(line ${line})`),
    );
  });
}

test('aliases that multiply are cut off early', () => {
  let bomb = 'a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n';
  for (let i = 1; i < 10; i++) bomb += `a${i}: &a${i} [${Array.from({ length: 10 }, () => `*a${i - 1}`).join(',')}]\n`;
  const start = performance.now();
  assert.throws(() => parseYaml(bomb), { code: 'SP_BAD_REQUEST' });
  assert.ok(performance.now() - start < 2000);
});

test('deep nesting and long documents are refused', () => {
  assert.throws(() => parseYaml('['.repeat(20_000)), { code: 'SP_BAD_REQUEST' });
  assert.throws(() => parseYaml(`${'- '.repeat(20_000)}x`), { code: 'SP_BAD_REQUEST' });
  assert.throws(() => parseYaml(`v: ${'x'.repeat(MAX_YAML_LENGTH)}`), { code: 'SP_BODY_TOO_LARGE' });
});

test('nothing but a SallyportError comes out, and what comes out is JSON', () => {
  const token = fc.constantFrom(
    'a',
    ': ',
    '- ',
    '\n',
    '  ',
    '"',
    "'",
    '{',
    '}',
    '[',
    ']',
    ',',
    '&x ',
    '*x',
    '!',
    '|',
    '>',
    '#',
    '?',
    '1',
    'yes',
    '~',
    '%',
    '---\n',
    '\t',
  );
  fc.assert(
    fc.property(
      fc.array(token, { maxLength: 25 }).map((parts) => parts.join('')),
      (text) => {
        try {
          JSON.parse(writeJson(parseYaml(text)));
        } catch (error) {
          assert.ok(error instanceof SallyportError, String(error));
        }
      },
    ),
    { numRuns: 3000 },
  );
});

test('JSON strings survive being read as YAML', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), (text) => {
      const json = writeJson(new Map([['v', text]]));
      assert.equal(writeJson(parseYaml(json)), json);
    }),
    { numRuns: 1000 },
  );
});

test('numbers are written as Go writes them', () => {
  for (const [text, written] of [
    ['1.0', '1'],
    ['-0', '0'],
    ['1E2', '100'],
    ['18446744073709551615', '18446744073709551615'],
    ['18446744073709551616', '18446744073709552000'],
    ['0.0000001', '1e-7'],
  ]) {
    assert.equal(goNumber(text!)?.text, written, text);
  }
  assert.equal(goNumber('1e999'), undefined);
});
