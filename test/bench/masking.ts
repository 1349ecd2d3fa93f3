/** Megabytes per second of the masking engines, beside JSON.parse on the same bytes in the same run: `node test/bench/masking.ts`. */
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
import { TextMask } from '../../src/masking/text-mask.ts';

const ROUNDS = Number(process.env['ROUNDS'] ?? 5);
const CHUNK = 65_536;

const none = defaultPlan(new Placeholders(Buffer.alloc(32, 7)), []);
const path = parseFieldPath('spec.containers[*].env[*].value');
const fields: MaskPlan = { ...none, fields: [{ path, action: 'Redact', scope: 'Object', rule: 'env' }] };
const all = defaultPlan(none.placeholders, FAMILIES);

function pass(engine: { write(chunk: Buffer): Buffer; end(): Buffer }, bytes: Buffer): void {
  for (let at = 0; at < bytes.length; at += CHUNK) engine.write(bytes.subarray(at, at + CHUNK));
  engine.end();
}

/** CPU time of the best round: others may use the machine meanwhile. */
function speed(bytes: Buffer, work: () => void): number {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < ROUNDS; round++) {
    const start = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(start);
    best = Math.min(best, user + system);
  }
  return bytes.length / best;
}

const folder = mkdtempSync(join(tmpdir(), 'sallyport-bench-'));
try {
  const generate = new URL('../masking/corpus/generate.mjs', import.meta.url).pathname;
  execFileSync(process.execPath, [generate, '--seed', '1', '--out', folder, '--size', 'large'], { stdio: 'ignore' });
  const report = (name: string, value: number, base: number): void =>
    void process.stdout.write(
      `${name.padEnd(52)} ${value.toFixed(0).padStart(6)} MB/s  ${(value / base).toFixed(2)}×\n`,
    );

  const pods = readFileSync(join(folder, 'api/bulk-podlist-000.json'));
  const parse = speed(pods, () => JSON.parse(pods.toString()));
  report('JSON.parse, a list of Pods', parse, parse);
  report(
    'structure only, the same',
    speed(pods, () => pass(new JsonMask(none), pods)),
    parse,
  );
  report(
    'structure and a field rule that masks all env',
    speed(pods, () => pass(new JsonMask(fields), pods)),
    parse,
  );
  report(
    'all detectors, the same',
    speed(pods, () => pass(new JsonMask(all), pods)),
    parse,
  );

  const secrets = readFileSync(join(folder, 'api/bulk-secretlist-000.json'));
  report(
    'all detectors, a list of Secrets (long base64)',
    speed(secrets, () => pass(new JsonMask(all), secrets)),
    parse,
  );

  const log = readFileSync(join(folder, 'logs/bulk-000.txt'));
  const text = (bytes: Buffer): void => pass(new TextMask(all.recognizer, replacer(all, 'log', 'text')), bytes);
  report(
    'all detectors, a log',
    speed(log, () => text(log)),
    parse,
  );

  const encoded = Buffer.from(`${(log.toString('base64', 0, 400_000).match(/.{1,4000}/g) ?? []).join('\n')}\n`);
  report(
    'all detectors, base64 of that log (decoded inside)',
    speed(encoded, () => text(encoded)),
    parse,
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}
