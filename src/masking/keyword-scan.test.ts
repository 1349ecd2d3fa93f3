import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { KeywordAutomaton } from './keyword-automaton.ts';
import { KeywordGate } from './keyword-gate.ts';
import { type KeywordPass, keywordPass, passInScript, passInWebAssembly } from './keyword-pass.ts';
import { PIECE } from './keyword-pass-memory.ts';
import { KeywordScan } from './keyword-scan.ts';

const KEYWORDS = ['pw', 'token', 'ghp_', 'a-very-long-keyword-indeed', 'key0'];

/** A number in letters: digits in keywords stand for any digit. */
const letters = (n: number): string => n.toString().replace(/[0-9]/g, (digit) => 'abcdefghij'[Number(digit)]!);

const inWebAssembly: KeywordPass = (...range) => {
  const ends = passInWebAssembly(...range);
  assert.ok(ends !== undefined, 'this machine has WebAssembly');
  return ends;
};

const WAYS: readonly (readonly [string, KeywordPass])[] = [
  ['in JavaScript', passInScript],
  ['in WebAssembly', inWebAssembly],
  ['by whichever is faster', keywordPass],
];

for (const [name, pass] of WAYS) {
  suite(`keywords in many bytes, ${name}`, () => {
    const first = (gate: KeywordGate, bytes: Buffer, from = 0, to = bytes.length): number =>
      new KeywordScan(gate, bytes, to, pass).next(from);

    test('finds a keyword wherever it stands, over the borders of stretches and pieces too', () => {
      const gate = new KeywordGate(KEYWORDS);
      const filler = Buffer.from('lorem ipsum dolor toke pass sit amet, a-very-long-keyword-inde ');
      const plain = Buffer.alloc(40_000, filler);
      const places = [0, 1, 500, 4_096, 8_192, 12_288, 16_384, 32_768].flatMap((near) =>
        Array.from({ length: 60 }, (_, i) => near - 30 + i).filter((at) => at >= 0),
      );
      for (const keyword of KEYWORDS) {
        const word = Buffer.from(keyword.replace('0', '7').toUpperCase());
        for (const at of places) {
          const bytes = Buffer.from(plain);
          word.copy(bytes, at);
          assert.equal(first(gate, bytes), at + word.length - 1, `${keyword} at ${at}`);
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
          assert.equal(first(gate, bytes), at + 1);
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
        assert.equal(first(gate, bytes), at + 1);
      }
    });

    test('neither reads before its start nor behind its end', () => {
      const gate = new KeywordGate(KEYWORDS);
      const bytes = Buffer.alloc(4_100, '.');
      bytes.write('token', 98);
      bytes.write('token', 3_998);
      assert.equal(first(gate, bytes, 100, 4_000), 4_000);
      assert.equal(first(gate, bytes, 98, 4_000), 102);
    });

    test('tells each of many, asked from left to right, and what was left out no more', () => {
      const gate = new KeywordGate(KEYWORDS);
      const bytes = Buffer.alloc(60_000, 'pw');
      const scan = new KeywordScan(gate, bytes, bytes.length, pass);
      for (let from = 0; from < 5_000; from += 2) assert.equal(scan.next(from), from + 1);
      assert.equal(scan.next(5_001), 5_003);
      assert.equal(scan.next(50_000), 50_001);
      assert.equal(scan.next(50_001), 50_003);
      assert.equal(scan.next(59_999), 60_000);
    });

    test('what another gate read in between does not matter', () => {
      const gates = ['aab', 'bba', 'aba'].map((keyword) => new KeywordGate([keyword]));
      const bytes = Buffer.alloc(3_000, '.');
      bytes.write('aababba', 2_990);
      const ends = gates.map((gate) => first(gate, bytes));
      assert.deepEqual(ends, [2_992, 2_996, 2_993]);
    });
  });
}

suite('the pass for keywords', () => {
  test('lists the same in WebAssembly as in JavaScript', () => {
    const letter = fc.constantFrom('a', 'b', 'A', '0', '1', '-', '\0');
    const keyword = fc.array(letter, { minLength: 1, maxLength: 6 }).map((letters) => letters.join('').toLowerCase());
    const keywords = fc.uniqueArray(keyword, { minLength: 1, maxLength: 8 });
    const text = fc.array(letter, { minLength: 1, maxLength: 400 }).map((letters) => Buffer.from(letters.join('')));
    fc.assert(
      fc.property(keywords, text, fc.nat(), fc.nat(), (words, bytes, a, b) => {
        const automaton = new KeywordAutomaton(words);
        const gate = new KeywordGate(automaton);
        const [from, to] = [a % bytes.length, b % (bytes.length + 1)].sort((x, y) => x - y) as [number, number];
        const begin = a % (from + 1);
        const inRange = (ends: Int32Array): string[] => {
          const told: string[] = [];
          for (let i = 0; i < ends.length; i += 2) {
            // What began earlier is told or not, as it happens: it counts in neither.
            if (gate.passes(ends[i + 1]!, bytes, ends[i]!, begin, to)) told.push(`${ends[i]}`);
          }
          return told;
        };
        const range = [automaton, bytes, begin, from, to] as const;
        assert.deepEqual(inRange(inWebAssembly(...range)), inRange(passInScript(...range)));
      }),
      { numRuns: 500 },
    );
  });

  test('is left to JavaScript where a keyword is too long for it, or they are too many, or of too many letters', () => {
    const long = new KeywordAutomaton(['pw', 'long'.repeat(100)]);
    const words = Array.from(
      { length: 6_000 },
      (_, i) => `${letters(i)}${'klmnopqrstuvwxyz-_./:@=+#%&!$^~'.slice(i % 22).slice(0, 9)}`,
    );
    const many = new KeywordAutomaton(['pw', ...words]);
    const wide = new KeywordAutomaton(['pw', String.fromCharCode(...Array.from({ length: 64 }, (_, i) => 0xa0 + i))]);
    for (const automaton of [long, many, wide]) {
      const bytes = Buffer.alloc(PIECE, '.');
      bytes.write('pw', 7_000);
      assert.equal(passInWebAssembly(automaton, bytes, 0, 0, bytes.length), undefined);
      assert.equal(new KeywordScan(new KeywordGate(automaton), bytes, bytes.length).next(0), 7_001);
    }
    const bytes = Buffer.alloc(4_100, '.');
    bytes.write('long'.repeat(100), 1_900);
    assert.equal(new KeywordScan(new KeywordGate(long), bytes, bytes.length).next(0), 2_299);
  });

  test('holds as many automatons as it has room for, once begins anew when it has none, and then leaves the others to JavaScript', () => {
    const automatons = Array.from({ length: 90 }, (_, n) => {
      const words = Array.from({ length: 300 }, (_, i) => `${letters(n)}z${letters(i)}-${'y'.repeat(12)}`);
      return { word: words[17]!, automaton: new KeywordAutomaton(words) };
    });
    const placed = automatons.map(({ word, automaton }) => {
      const bytes = Buffer.alloc(3_000, '.');
      bytes.write(word, 2_000);
      const range = [automaton, bytes, 0, 0, bytes.length] as const;
      const expected = [...passInScript(...range)];
      assert.ok(expected.length > 0);
      assert.deepEqual([...keywordPass(...range)], expected);
      const ends = passInWebAssembly(...range);
      if (ends !== undefined) assert.deepEqual([...ends], expected);
      return ends !== undefined;
    });
    assert.ok(placed[0], 'the first is placed');
    assert.ok(!placed.at(-1), 'the last is not: all that were placed before it are in use');
    // What was placed stays: nobody pays for who came too late.
    const last = placed.lastIndexOf(true);
    const bytes = Buffer.alloc(3_000, automatons[last]!.word);
    assert.ok(passInWebAssembly(automatons[last]!.automaton, bytes, 0, 0, bytes.length)!.length > 0);
  });
});
