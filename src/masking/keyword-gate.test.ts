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

suite('the first keyword in many bytes', () => {
  test('finds a keyword wherever it stands, over the borders of what is read side by side too', () => {
    const gate = new KeywordGate(KEYWORDS);
    const filler = Buffer.from('lorem ipsum dolor toke pass sit amet, a-very-long-keyword-inde ');
    for (const keyword of KEYWORDS) {
      const word = Buffer.from(keyword.replace('0', '7').toUpperCase());
      for (let at = 0; at < 4_000; at++) {
        const bytes = Buffer.alloc(4_100, filler);
        word.copy(bytes, at);
        assert.equal(gate.first(bytes, 0, bytes.length), at + word.length - 1, `${keyword} at ${at}`);
      }
    }
  });

  test('finds the first of several, whichever stretch it is in', () => {
    const gate = new KeywordGate(KEYWORDS);
    for (let at = 0; at < 3_800; at += 17) {
      for (let further = at + 2; further < 4_000; further += 61) {
        const bytes = Buffer.alloc(4_100, '.');
        bytes.write('pw', at);
        bytes.write('pw', further);
        assert.equal(gate.first(bytes, 0, bytes.length), at + 1);
      }
    }
  });

  test('passes over what its check does not let pass, and goes on from there', () => {
    const gate = new KeywordGate(
      KEYWORDS,
      KEYWORDS.map(() => (bytes, at) => bytes[at + 2] === 0x3d),
    );
    for (let at = 200; at < 3_900; at += 3) {
      const bytes = Buffer.alloc(4_100, 'pw. ');
      bytes.write('pw=', at);
      assert.equal(gate.first(bytes, 0, bytes.length), at + 1);
    }
  });

  test('knows keywords that are longer than what it reads side by side', () => {
    const gate = new KeywordGate(['pw', 'long'.repeat(500)]);
    for (let at = 1_000; at < 2_400; at += 13) {
      const bytes = Buffer.alloc(4_100, '.');
      bytes.write('pw', at);
      assert.equal(gate.first(bytes, 0, bytes.length), at + 1);
    }
  });

  test('neither reads before its start nor behind its end', () => {
    const gate = new KeywordGate(KEYWORDS);
    const bytes = Buffer.alloc(4_100, '.');
    bytes.write('token', 98);
    bytes.write('token', 3_998);
    assert.equal(gate.first(bytes, 100, 4_000), 4_000);
    assert.equal(gate.first(bytes, 98, 4_000), 102);
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
