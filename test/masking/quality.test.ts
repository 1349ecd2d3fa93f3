import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { maskTree } from '../../src/cli/mask-tree.ts';
import { defaultPlan } from '../../src/masking/default-plan.ts';
import { FAMILIES } from '../../src/masking/detector.ts';
import { Placeholders } from '../../src/masking/marker.ts';
import { scoreCorpus, structuredRecall } from './corpus-score.ts';

suite('quality of masking on the labelled corpus', () => {
  for (const seed of ['1', '2', '3']) {
    test(`seed ${seed}: recall, false positives and form`, () => {
      const plan = defaultPlan(new Placeholders(Buffer.alloc(32, 7)), FAMILIES);
      const score = scoreCorpus(seed, (from, to) => void maskTree(plan, from, to));
      assert.ok(score.secrets > 3000);
      assert.equal(score.missing, 0);
      assert.equal(score.invalidFiles, 0);
      assert.ok(score.recall >= 0.97, `recall over all: ${score.recall}`);
      assert.ok(score.falsePositiveRate <= 0.005, `false positives: ${score.falsePositiveRate}`);
      assert.ok(score.falsePositiveRateNegatives <= 0.005, `in negatives: ${score.falsePositiveRateNegatives}`);
      const recall = structuredRecall(score);
      assert.ok(recall >= 0.995, `recall of structured kinds: ${recall}`);
    });
  }

  test('without detectors most of it would be seen: the measure measures', () => {
    const plan = { ...defaultPlan(new Placeholders(Buffer.alloc(32, 7)), []), structure: false };
    const score = scoreCorpus('1', (from, to) => void maskTree(plan, from, to));
    assert.ok(score.recall < 0.01, `recall of a masker that does nothing: ${score.recall}`);
  });
});
