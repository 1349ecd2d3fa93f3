import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const CORPUS = new URL('./corpus/', import.meta.url).pathname;

/** Found by their place or the name beside them, or alike to other numbers: the corpus' README tells which. */
const UNSTRUCTURED: ReadonlySet<string> = new Set([
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

/** What the labelled corpus' scorer says. Shares are of one. */
export interface CorpusScore {
  readonly files: number;
  /** Files that the masker did not write. */
  readonly missing: number;
  readonly invalidFiles: number;
  readonly secrets: number;
  readonly recall: number;
  readonly falsePositiveRate: number;
  readonly falsePositiveRateNegatives: number;
  readonly byKind: Readonly<Record<string, Tally>>;
}

/** Recall of those kinds that have a form of their own. */
export function structuredRecall({ byKind }: CorpusScore): number {
  let total = 0;
  let hit = 0;
  for (const [kind, tally] of Object.entries(byKind)) {
    if (UNSTRUCTURED.has(kind)) continue;
    total += tally.total;
    hit += tally.hit;
  }
  return hit / total;
}

/**
 * Makes the labelled corpus, has it masked, and scores what came out.
 * @param mask reads one folder, and writes another of the same names
 */
export function scoreCorpus(seed: string, mask: (from: string, to: string) => void): CorpusScore {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-corpus-'));
  try {
    const from = join(folder, 'corpus');
    const to = join(folder, 'masked');
    node('generate.mjs', '--seed', seed, '--out', from);
    mask(from, to);
    return JSON.parse(
      node('score.mjs', '--labels', join(from, 'labels.json'), '--masked', to, '--json'),
    ) as CorpusScore;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function node(script: string, ...args: string[]): string {
  const options = { encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 } as const;
  return execFileSync(process.execPath, [join(CORPUS, script), ...args], options);
}
