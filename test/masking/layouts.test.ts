import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { defaultPlan } from '../../src/masking/default-plan.ts';
import { DEFAULT_FAMILIES, FAMILIES, type Family } from '../../src/masking/detector.ts';
import { Placeholders } from '../../src/masking/marker.ts';
import type { MaskPlan } from '../../src/masking/mask-plan.ts';
import { ENVELOPES } from './layouts/envelopes.ts';
import { maskText, scoreLayouts } from './layouts/layout-score.ts';
import { LAYOUTS } from './layouts/layouts.ts';
import { Mint } from './layouts/mint.ts';

const planOf = (families: readonly Family[]): MaskPlan => defaultPlan(new Placeholders(Buffer.alloc(32, 5)), families);

suite('quality of masking on layouts of other programs', () => {
  const plan = planOf(DEFAULT_FAMILIES);
  for (const seed of [11, 222, 3333, 44444]) {
    test(`seed ${seed}: recall, false positives and form`, () => {
      const { secrets, hidden, structured, structuredHidden, survivors, damaged, leaks } = scoreLayouts(plan, seed);
      const why = [...new Set(leaks)].join('\n');
      assert.ok(secrets > 900 && survivors > 600);
      assert.ok(hidden / secrets >= 0.97, `recall over all: ${hidden / secrets}\n${why}`);
      assert.ok(
        structuredHidden / structured >= 0.995,
        `recall of structured kinds: ${structuredHidden / structured}\n${why}`,
      );
      assert.ok(damaged / survivors <= 0.005, `false positives: ${damaged / survivors}\n${why}`);
    });
  }

  test('with every family on, what is no secret stays as well', () => {
    const { survivors, damaged, leaks } = scoreLayouts(planOf(FAMILIES), 5);
    assert.ok(
      damaged / survivors <= 0.005,
      `${damaged / survivors}\n${leaks.filter((leak) => leak.startsWith('damaged')).join('\n')}`,
    );
  });

  test('a masker that does nothing would show all of it', () => {
    const nothing = { ...planOf([]), structure: false };
    const { hidden, secrets } = scoreLayouts(nothing, 11);
    assert.ok(hidden / secrets < 0.02, `${hidden / secrets}`);
  });

  test('however a layout is cut, what comes out is the same', () => {
    const mint = new Mint(77);
    for (const [name, layout] of Object.entries(LAYOUTS)) {
      for (const { format, wrap } of ENVELOPES) {
        if (format === 'json') continue;
        mint.begin();
        const input = wrap(layout(mint));
        const whole = maskText(plan, input);
        for (let round = 0; round < 12; round++) {
          const cuts = Array.from({ length: mint.int(9) }, () => mint.int(input.length)).sort((a, b) => a - b);
          assert.equal(maskText(plan, input, cuts), whole, `${name} cut at ${cuts.join()}`);
        }
        const bytes = Array.from({ length: Buffer.byteLength(input) }, (_, i) => i);
        assert.equal(maskText(plan, input, bytes), whole, `${name} byte by byte`);
      }
    }
  });
});
