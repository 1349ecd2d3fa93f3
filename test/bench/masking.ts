/** Speed of the masking engines, beside JSON.parse on the same bytes in the same run: `node test/bench/masking.ts [--json]`. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { defaultPlan } from '../../src/masking/default-plan.ts';
import { FAMILIES } from '../../src/masking/detector.ts';
import { parseFieldPath } from '../../src/masking/field-path.ts';
import { JsonMask } from '../../src/masking/json-stream.ts';
import { Placeholders } from '../../src/masking/marker.ts';
import { type MaskPlan, replacer } from '../../src/masking/mask-plan.ts';
import { compileMaskingRule } from '../../src/masking/masking-rule.ts';
import { planOf } from '../../src/masking/rule-plan.ts';
import { TextMask } from '../../src/masking/text-mask.ts';

/** What one engine does on one body. */
export interface EngineSpeed {
  readonly key: 'parse' | 'structure' | 'fields' | 'all' | 'secrets' | 'text' | 'encoded' | 'patterns';
  readonly what: string;
  readonly bytes: number;
  /** Megabytes (10⁶) a second of CPU time. */
  readonly speed: number;
  /** Times the speed of JSON.parse (with the decoding of its text) in the same run: of the same bytes, or, for text, of the list of Pods. */
  readonly ratio: number;
}

const ROUNDS = Number(process.env['ROUNDS'] ?? 7);
const CHUNK = 65_536;

const none = defaultPlan(new Placeholders(Buffer.alloc(32, 7)), []);
const path = parseFieldPath('spec.containers[*].env[*].value');
const fields: MaskPlan = { ...none, fields: [{ path, action: 'Redact', scope: 'Object', rule: 'env' }] };
const all = defaultPlan(none.placeholders, FAMILIES);

function pass(engine: { write(chunk: Buffer): Buffer; end(): Buffer }, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; at += CHUNK) engine.write(bytes.subarray(at, at + CHUNK));
  engine.end();
}

interface Work {
  readonly key: EngineSpeed['key'];
  readonly what: string;
  readonly bytes: Buffer;
  run(): void;
}

/** The best CPU time of each, in turn: others may use the machine meanwhile, and a turn is slow or fast for all. */
function best(works: readonly Work[]): Map<Work, number> {
  const times = new Map(works.map((work) => [work, Number.POSITIVE_INFINITY]));
  for (let round = 0; round < ROUNDS; round++) {
    for (const work of works) {
      const start = process.cpuUsage();
      work.run();
      const { user, system } = process.cpuUsage(start);
      times.set(work, Math.min(times.get(work)!, user + system));
    }
  }
  return times;
}

/** A thousand patterns of one rule: names of customers, as no list of keywords has them. */
function thousandPatterns(): MaskPlan {
  const patterns = Array.from({ length: 1000 }, (_, i) => ({
    name: `p${i}`,
    regex: `cust-${i}-[0-9a-f]{8}`,
    keywords: [`cust-${i}-`],
  }));
  const spec = { subjects: [], match: { apiGroups: ['*'], resources: ['*'] }, patterns };
  const rule = compileMaskingRule({ metadata: { name: 'customers' }, spec } as never);
  const broken = rule.errors.filter(({ at }) => at.startsWith('spec.patterns'));
  if (broken.length > 0) throw new Error(broken[0]!.message);
  return planOf([{ ...rule, errors: [] }], none.placeholders)!;
}

export function engineSpeeds(): EngineSpeed[] {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-'));
  try {
    const generate = new URL('../masking/corpus/generate.mjs', import.meta.url).pathname;
    execFileSync(process.execPath, [generate, '--seed', '1', '--out', folder, '--size', 'large'], { stdio: 'ignore' });
    const pods = readFileSync(join(folder, 'api/bulk-podlist-000.json'));
    const secrets = readFileSync(join(folder, 'api/bulk-secretlist-000.json'));
    const log = readFileSync(join(folder, 'logs/bulk-000.txt'));
    const encoded = Buffer.from(`${(log.toString('base64', 0, 400_000).match(/.{1,4000}/g) ?? []).join('\n')}\n`);
    const json = (plan: MaskPlan, bytes: Buffer) => () => pass(new JsonMask(plan), bytes);
    const text = (bytes: Buffer) => () => pass(new TextMask(all.recognizer, replacer(all, 'log', 'text')), bytes);
    const parse = (bytes: Buffer) => () => void JSON.parse(bytes.toString());
    const patterns = thousandPatterns();
    const parsePods: Work = { key: 'parse', what: 'JSON.parse, a list of Pods', bytes: pods, run: parse(pods) };
    const parseSecrets: Work = {
      key: 'parse',
      what: 'JSON.parse, a list of Secrets',
      bytes: secrets,
      run: parse(secrets),
    };
    const works: readonly (readonly [Work, base: Work])[] = [
      [parsePods, parsePods],
      [{ key: 'structure', what: 'structure only, Pods', bytes: pods, run: json(none, pods) }, parsePods],
      [
        { key: 'fields', what: 'a field rule that masks all env, Pods', bytes: pods, run: json(fields, pods) },
        parsePods,
      ],
      [{ key: 'all', what: 'all detectors, Pods', bytes: pods, run: json(all, pods) }, parsePods],
      [
        { key: 'patterns', what: 'defaults and 1,000 patterns, Pods', bytes: pods, run: json(patterns, pods) },
        parsePods,
      ],
      [parseSecrets, parseSecrets],
      [
        { key: 'secrets', what: 'all detectors, Secrets (long base64)', bytes: secrets, run: json(all, secrets) },
        parseSecrets,
      ],
      [{ key: 'text', what: 'all detectors, a log', bytes: log, run: text(log) }, parsePods],
      [
        {
          key: 'encoded',
          what: 'all detectors, base64 of that log, decoded inside',
          bytes: encoded,
          run: text(encoded),
        },
        parsePods,
      ],
    ];
    const times = best(works.map(([work]) => work));
    const speedOf = (work: Work): number => work.bytes.length / times.get(work)!;
    return works.map(([work, base]) => ({
      key: work.key,
      what: work.what,
      bytes: work.bytes.length,
      speed: speedOf(work),
      ratio: speedOf(work) / speedOf(base),
    }));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (import.meta.main) {
  const speeds = engineSpeeds();
  if (process.argv.includes('--json')) process.stdout.write(JSON.stringify(speeds));
  else {
    for (const { what, speed, ratio } of speeds) {
      process.stdout.write(`${what.padEnd(52)} ${speed.toFixed(0).padStart(6)} MB/s  ${ratio.toFixed(2)}×\n`);
    }
  }
}
