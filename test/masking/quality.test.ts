import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, suite, test } from 'node:test';
import { maskTree } from '../../src/cli/mask-tree.ts';
import { defaultPlan } from '../../src/masking/default-plan.ts';
import { FAMILIES } from '../../src/masking/detector.ts';
import { Placeholders } from '../../src/masking/marker.ts';

const CORPUS = new URL('./corpus/', import.meta.url).pathname;

/** Found by their place or the name beside them, or alike to other numbers: the corpus' README tells which. */
const UNSTRUCTURED = new Set([
  ...[
    'generic-password',
    'generic-api-key',
    'datadog-key',
    'twilio-key',
    'k8s-bootstrap-token',
    'phone',
    'ssn',
    'email',
  ],
]);

interface Tally {
  readonly total: number;
  readonly hit: number;
}
interface Score {
  readonly missing: number;
  readonly invalidFiles: number;
  readonly secrets: number;
  readonly recall: number;
  readonly falsePositiveRate: number;
  readonly falsePositiveRateNegatives: number;
  readonly byKind: Readonly<Record<string, Tally>>;
}

suite('quality of masking on the labelled corpus', () => {
  let folder = '';
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'sallyport-corpus-'));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  const node = (script: string, ...args: string[]): string =>
    execFileSync(process.execPath, [join(CORPUS, script), ...args], { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 });

  function score(seed: string, mask: (from: string, to: string) => void): Score {
    const from = join(folder, `corpus-${seed}`);
    const to = join(folder, `masked-${seed}`);
    node('generate.mjs', '--seed', seed, '--out', from);
    mask(from, to);
    return JSON.parse(node('score.mjs', '--labels', join(from, 'labels.json'), '--masked', to, '--json')) as Score;
  }

  for (const seed of ['1', '2', '3']) {
    test(`seed ${seed}: recall, false positives and form`, () => {
      const plan = defaultPlan(new Placeholders(Buffer.alloc(32, 7)), FAMILIES);
      const result = score(seed, (from, to) => void maskTree(plan, from, to));
      assert.ok(result.secrets > 3000);
      assert.equal(result.missing, 0);
      assert.equal(result.invalidFiles, 0);
      assert.ok(result.recall >= 0.97, `recall over all: ${result.recall}`);
      assert.ok(result.falsePositiveRate <= 0.005, `false positives: ${result.falsePositiveRate}`);
      assert.ok(result.falsePositiveRateNegatives <= 0.005, `in negatives: ${result.falsePositiveRateNegatives}`);
      const structured = Object.entries(result.byKind).filter(([kind]) => !UNSTRUCTURED.has(kind));
      const sum = (of: keyof Tally): number => structured.reduce((n, [, tally]) => n + tally[of], 0);
      const recall = sum('hit') / sum('total');
      assert.ok(recall >= 0.995, `recall of structured kinds: ${recall}`);
    });
  }

  test('without detectors most of it would be seen: the measure measures', () => {
    const plan = { ...defaultPlan(new Placeholders(Buffer.alloc(32, 7)), []), structure: false };
    const result = score('1', (from, to) => void maskTree(plan, from, to));
    assert.ok(result.recall < 0.01, `recall of a masker that does nothing: ${result.recall}`);
  });
});
