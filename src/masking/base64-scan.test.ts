import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { type Base64Pass, base64Pass, passInScript, passInWebAssembly } from './base64-pass.ts';
import { PIECE } from './base64-pass-memory.ts';
import { Base64Scan, base64Runs, someRun } from './base64-scan.ts';

const inWebAssembly: Base64Pass = (...range) => {
  const runs = passInWebAssembly(...range);
  assert.ok(runs !== undefined, 'this machine has WebAssembly');
  return runs;
};

const WAYS: readonly (readonly [string, Base64Pass])[] = [
  ['in JavaScript', passInScript],
  ['in WebAssembly', inWebAssembly],
  ['by whichever is faster', base64Pass],
];

/** As the definition has it. */
function runsOf(text: string): [number, number][] {
  return [...text.matchAll(/[A-Za-z0-9+/_-]{16,}/g)].map((run) => {
    let end = run.index + run[0].length;
    while (text[end] === '=' && (end - run.index) % 4 !== 0) end++;
    return [run.index, end];
  });
}

for (const [name, pass] of WAYS) {
  suite(`base64 in many bytes, ${name}`, () => {
    const all = (bytes: Buffer, from = 0, to = bytes.length): [number, number][] => {
      const scan = new Base64Scan(bytes, to, pass);
      const runs: [number, number][] = [];
      for (let run = scan.next(from); run !== undefined; run = scan.next(run.end)) runs.push([run.start, run.end]);
      return runs;
    };

    test('finds a run wherever it stands, over the borders of pieces too, and none that is one too short', () => {
      const plain = Buffer.alloc(70_000, 'it is set. ');
      const places = [0, 4_096, 16_384, 32_768, 47_104].flatMap((near) =>
        Array.from({ length: 70 }, (_, i) => near - 35 + i).filter((at) => at > 0),
      );
      for (const length of [15, 16, 17, 33, 400, 20_000]) {
        for (const at of places) {
          const bytes = Buffer.from(plain);
          bytes.fill('.', at - 1, at + length + 4);
          bytes.fill('Zm9vYmFy', at, at + length);
          const expected = length < 16 ? [] : [[at, at + length]];
          assert.deepEqual(all(bytes), expected, `${length} at ${at}`);
        }
      }
    });

    test('knows each character of the alphabet, and no other', () => {
      for (let code = 0; code < 256; code++) {
        const bytes = Buffer.alloc(600, '.');
        bytes.fill(code, 300, 320);
        assert.equal(all(bytes).length, /[A-Za-z0-9+/_-]/.test(String.fromCharCode(code)) ? 1 : 0, `${code}`);
      }
    });

    test('takes its padding with a run, as much as it wants', () => {
      for (const padding of ['', '=', '==', '===']) {
        const text = `${'.'.repeat(400)}${'a'.repeat(22)}${padding}${'.'.repeat(400)}`;
        assert.deepEqual(all(Buffer.from(text)), runsOf(text));
      }
    });

    test('finds a run that begins right behind the padding of another', () => {
      const text = `${'a'.repeat(22)}==${'b'.repeat(16)}`;
      const bytes = Buffer.from(`${text}${'.'.repeat(600)}`);
      const expected = [
        [0, 24],
        [24, 40],
      ];
      assert.deepEqual(all(bytes), expected);
      const short = base64Runs(Buffer.from(text), 0, text.length);
      assert.deepEqual(
        short.map(({ start, end }) => [start, end]),
        expected,
      );
    });

    test('tells what stands of a run behind where it is asked from, if that is long enough', () => {
      const bytes = Buffer.from(`${'.'.repeat(300)}n${'a'.repeat(16)}${'.'.repeat(300)}`);
      assert.deepEqual(all(bytes, 301), [[301, 317]]);
      assert.deepEqual(all(bytes, 302), []);
      assert.deepEqual(all(bytes, 300, 315), []);
    });
  });
}

suite('the pass for base64', () => {
  const text = fc
    .array(
      fc.oneof(
        fc.integer({ min: 1, max: 40 }).map((n) => 'Ab9/'.repeat(10).slice(0, n)),
        fc.constantFrom('.', '=', '==', ' ', '\0', '\u00ff'),
      ),
      { minLength: 1, maxLength: 120 },
    )
    .map((parts) => parts.join(''));

  test('lists the same in WebAssembly as in JavaScript, of runs that may go on too', () => {
    fc.assert(
      fc.property(text, fc.nat(), fc.nat(), (string, a, b) => {
        const bytes = Buffer.from(string, 'latin1');
        const [from, to] = [a % bytes.length, b % (bytes.length + 1)].sort((x, y) => x - y) as [number, number];
        if (from === to) return;
        assert.deepEqual([...inWebAssembly(bytes, from, to)], [...passInScript(bytes, from, to)]);
      }),
      { numRuns: 500 },
    );
  });

  test('and both, and what asks for all runs or for one, find what the definition says', () => {
    fc.assert(
      fc.property(text, fc.boolean(), (string, long) => {
        const whole = long ? string.padStart(PIECE + 100, 'it is set. ') : string;
        const bytes = Buffer.from(whole, 'latin1');
        const expected = runsOf(whole);
        const runs = base64Runs(bytes, 0, bytes.length);
        assert.deepEqual(
          runs,
          expected.map(([start, end]) => ({ start, end })),
        );
        const last = expected.at(-1);
        const isLast = (_: Uint8Array, start: number): boolean => start === last?.[0];
        assert.equal(someRun(bytes, 0, bytes.length, isLast), last !== undefined);
      }),
      { numRuns: 500 },
    );
  });
});
