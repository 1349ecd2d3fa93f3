import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { KeywordCheck } from './keyword-check.ts';
import { KeywordGate } from './keyword-gate.ts';

const KEYWORDS = ['pw', 'token', 'ghp_', 'a-very-long-keyword-indeed', 'key0'];
/** A keyword counts where a sign stands behind it. */
const assigned: KeywordCheck = (bytes, at, _start, end) => {
  for (let i = at; i < end; i++) if (bytes[i] === 0x3d) return true;
  return false;
};

suite('every keyword of a text', () => {
  test('is told where it begins, in the order of their ends, in a text longer than a piece too', () => {
    const gate = new KeywordGate(['pw', 'wor', 'word']);
    const bytes = Buffer.alloc(40_000, '.');
    for (const at of [0, 16_381, 16_382, 16_383, 32_766, 39_996]) {
      const text = Buffer.from(bytes);
      text.write('pWOR', at);
      const told: [number, number][] = [];
      gate.each(text, 0, text.length, (keyword, begins) => told.push([keyword, begins]));
      const expected = [
        [0, at],
        [1, at + 1],
      ];
      assert.deepEqual(told, expected, `at ${at}`);
    }
  });

  test('is one that stands in the range as a whole, and that its check lets pass there', () => {
    const gate = new KeywordGate(
      KEYWORDS,
      KEYWORDS.map(() => assigned),
    );
    const bytes = Buffer.from('token token=ghp_ token');
    const told: number[] = [];
    gate.each(bytes, 1, 16, (_, at) => told.push(at));
    assert.deepEqual(told, [6]);
  });
});

suite('the end of a short string in which nothing can be', () => {
  const gate = new KeywordGate(
    KEYWORDS,
    KEYWORDS.map(() => assigned),
  );
  const of = (text: string): number => gate.quietEnd(Buffer.from(text, 'latin1'), 0, text.length);

  test('gives the quote behind a string that holds nothing', () => {
    assert.equal(of('plain","x'), 5);
    assert.equal(of('"'), 0);
    assert.equal(of('tokens of love"'), 14);
  });

  test('asks the check with the end that the string has: what stands behind the quote is none of its', () => {
    assert.equal(of('token"='), 5);
    assert.equal(of('token="'), -1);
  });

  test('leaves to be read what holds a keyword, an escape or a control character, or ends far away or nowhere', () => {
    for (const text of ['my ghp_x="', 'a\\"b"', 'a\nb"', 'a\0b"', `${'x'.repeat(256)}"`, 'no quote']) {
      assert.equal(of(text), -1, JSON.stringify(text));
    }
    assert.equal(of(`${'x'.repeat(255)}"`), 255);
  });
});
