import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { maskTree } from '../../src/cli/mask-tree.ts';
import { defaultPlan } from '../../src/masking/default-plan.ts';
import { DEFAULT_FAMILIES, FAMILIES, type Family } from '../../src/masking/detector.ts';
import { Placeholders } from '../../src/masking/marker.ts';
import type { MaskPlan } from '../../src/masking/mask-plan.ts';
import { type CorpusScore, scoreCorpus, structuredRecall } from '../masking/corpus-score.ts';
import { scoreLayouts } from '../masking/layouts/layout-score.ts';
import { part } from './part.ts';
import type { Must, Section } from './section.ts';
import { number } from './words.ts';

/** What was masked, and what was damaged, of one corpus made from one seed. Shares are of one. */
interface Quality {
  readonly corpus: 'labelled corpus' | 'layouts';
  readonly seed: number;
  readonly secrets: number;
  readonly structured: number;
  readonly recall: number;
  /** Of all that is no secret, and of the files in which nothing is one (NaN where there are none). */
  readonly falsePositives: number;
  readonly falsePositivesInNegatives: number;
  /** Files whose form does not hold, or that are missing. */
  readonly invalid: number;
}

interface Size {
  readonly corpus: readonly number[];
  readonly layouts: readonly number[];
}

/** This file, as a program of its own: scoring holds the event loop for seconds. */
const PROGRAM = fileURLToPath(import.meta.url);

/** How well secrets are recognised, by the engines of the gateway: two corpora that share nothing, several seeds. */
export const maskingQuality = part<Size>(
  'quality',
  {
    full: { corpus: [1, 2, 3, 4, 5], layouts: [11, 222, 3333, 44444] },
    quick: { corpus: [1], layouts: [11] },
  },
  async (_bed, size) => {
    const { stdout } = await promisify(execFile)(process.execPath, [PROGRAM, JSON.stringify(size)], {
      timeout: 300_000,
    });
    return sectionOf(JSON.parse(stdout) as Quality[]);
  },
);

const planOf = (families: readonly Family[]): MaskPlan => defaultPlan(new Placeholders(Buffer.alloc(32, 7)), families);

function qualityOf({ corpus, layouts }: Size): Quality[] {
  const all = planOf(FAMILIES);
  const byDefault = planOf(DEFAULT_FAMILIES);
  return [
    ...corpus.map((seed) =>
      ofCorpus(
        seed,
        scoreCorpus(String(seed), (from, to) => void maskTree(all, from, to)),
      ),
    ),
    ...layouts.map((seed) => ofLayouts(seed, byDefault)),
  ];
}

function ofCorpus(seed: number, score: CorpusScore): Quality {
  return {
    corpus: 'labelled corpus',
    seed,
    secrets: score.secrets,
    structured: structuredRecall(score),
    recall: score.recall,
    falsePositives: score.falsePositiveRate,
    falsePositivesInNegatives: score.falsePositiveRateNegatives,
    invalid: score.invalidFiles + score.missing,
  };
}

/** Whoever scores layouts reads each that is JSON: an invalid one ends the run. */
function ofLayouts(seed: number, plan: MaskPlan): Quality {
  const { secrets, hidden, structured, structuredHidden, survivors, damaged } = scoreLayouts(plan, seed);
  return {
    corpus: 'layouts',
    seed,
    secrets,
    structured: structuredHidden / structured,
    recall: hidden / secrets,
    falsePositives: damaged / survivors,
    falsePositivesInNegatives: Number.NaN,
    invalid: 0,
  };
}

const share = (of: number): string => (Number.isFinite(of) ? `${number(of * 100, 2)} %` : '–');

function sectionOf(scores: readonly Quality[]): Section {
  const worst = (of: (one: Quality) => number, pick: (...values: number[]) => number): number =>
    pick(...scores.map(of).filter((value) => Number.isFinite(value)));
  const structured = worst((one) => one.structured, Math.min);
  const recall = worst((one) => one.recall, Math.min);
  const falsePositives = worst((one) => Math.max(one.falsePositives, one.falsePositivesInNegatives || 0), Math.max);
  const invalid = scores.reduce((sum, one) => sum + one.invalid, 0);
  const musts: Must[] = [
    {
      what: 'recall of secrets that have a form of their own: at least 99.5 %, whatever the seed',
      measured: share(structured),
      pass: structured >= 0.995,
    },
    { what: 'recall of all secrets: at least 97 %, whatever the seed', measured: share(recall), pass: recall >= 0.97 },
    {
      what: 'of what is no secret at most 0.5 % is damaged, whatever the seed',
      measured: share(falsePositives),
      pass: falsePositives <= 0.005,
    },
    { what: 'all output is valid', measured: `${invalid} invalid`, pass: invalid === 0 },
  ];
  return {
    title: 'What masking recognises',
    notes: [
      'The labelled corpus (test/masking/corpus) with all families of detectors, and the layouts of other programs (test/masking/layouts), which share nothing with it, with the default ones; both made anew from each seed, and masked by the engines of the gateway. ' +
        'A secret counts as masked if no run of 60 % of it can be read, not in what base64, gzip, escapes and colours hold either. docs/masking.md says what is complete and what can only be measured.',
    ],
    tables: [
      {
        columns: [
          ...['corpus', 'seed', 'secrets', 'recall, form of their own', 'recall, all', 'false positives'],
          ...['in files without a secret', 'invalid'],
        ],
        rows: scores.map((one) => [
          one.corpus,
          String(one.seed),
          number(one.secrets, 0),
          share(one.structured),
          share(one.recall),
          share(one.falsePositives),
          share(one.falsePositivesInNegatives),
          String(one.invalid),
        ]),
      },
    ],
    musts,
  };
}

// A share that is not a number is told as null.
if (import.meta.main) process.stdout.write(JSON.stringify(qualityOf(JSON.parse(process.argv[2]!) as Size)));
