/**
 * `make bench`: all parts, side by side, in one run. `BENCH_ONLY=get,list` chooses, `QUICK=1` only shows that everything
 * works, `STRICT=1` exits with 1 where a must is missed. `make soak` is the part that runs only when it is named; its page is docs/soak.md. A whole run writes docs/benchmarks.md; so does a part of one with
 * `BENCH_WRITE=1`, and the page then says what was left out. A part that fails does not take the others with it: the
 * page says that it failed, and the exit code is 1.
 */
import { writeFileSync } from 'node:fs';
import { whyNoNode } from '../cluster/cluster.ts';
import { Bed, stopBeds } from './bed.ts';
import { describeLoad, describeMachine, packageVersion } from './machine.ts';
import type { Part } from './part.ts';
import { PARTS } from './parts.ts';
import { type Plan, planOf } from './plan.ts';
import { asMarkdown, asText, type Report } from './report.ts';
import type { Section } from './section.ts';
import { number } from './words.ts';

/** Milliseconds for one part. One that takes longer has failed: the others are to be measured all the same. */
const PART_LIMIT = 600_000;
const PAGE = new URL('../../docs/benchmarks.md', import.meta.url);
const SOAK_PAGE = new URL('../../docs/soak.md', import.meta.url);

interface Run {
  readonly bed: Bed;
  readonly sections: readonly Section[];
  readonly failed: readonly string[];
}

function say(text: string): void {
  process.stdout.write(text);
}

async function main(): Promise<number> {
  if (process.platform !== 'linux') {
    process.stderr.write('The benchmark reads CPU time and memory from /proc: it runs on Linux only.\n');
    return 2;
  }
  const keys = PARTS.map((part) => part.key);
  const byName = PARTS.filter((part) => part.byName).map((part) => part.key);
  const plan = planOf(process.env, keys, byName);
  const begun = performance.now();
  const load = describeLoad();
  say(`${describeMachine()}; load ${load}\n`);
  const { bed, sections, failed } = await measure(plan);
  const seconds = (performance.now() - begun) / 1_000;
  const musts = sections.flatMap((section) => section.musts);
  const missed = musts.filter((must) => !must.pass);
  say(`\n${musts.length - missed.length} of ${musts.length} musts hold; ${number(seconds, 0)} s\n`);
  for (const { what, measured } of missed) say(`  MISS  ${what}: ${measured}\n`);
  for (const key of failed) say(`  FAILED  ${key}: not measured to its end\n`);
  const left = keys.filter((key) => !plan.keys.has(key) && !byName.includes(key));
  // Only a whole run may speak for the project.
  if ((!plan.quick && left.length === 0) || process.env['BENCH_WRITE'] === '1') {
    const facts: Report['facts'] = [
      ...factsOf(bed, load, seconds),
      ['parts left out', left.join(', ') || 'none'],
      ...(failed.length === 0 ? [] : [['parts that failed', failed.join(', ')] as const]),
      ['kind of run', plan.quick ? 'quick: few rounds, that it works; figures are provisional' : 'full'],
    ];
    const soaked = byName.some((key) => plan.keys.has(key));
    writeFileSync(soaked ? SOAK_PAGE : PAGE, asMarkdown({ facts, sections }, soaked ? 'Soak' : 'Benchmarks'));
    say(`written to docs/${soaked ? 'soak' : 'benchmarks'}.md\n`);
  } else {
    say('not a whole run: docs/benchmarks.md is left as it is\n');
  }
  return failed.length > 0 || (missed.length > 0 && process.env['STRICT'] === '1') ? 1 : 0;
}

async function measure(plan: Plan): Promise<Run> {
  let bed = await Bed.start();
  const sections: Section[] = [];
  const failed: string[] = [];
  try {
    for (const part of PARTS) {
      if (!plan.keys.has(part.key)) continue;
      const begun = performance.now();
      const section = await measureOne(part, bed, plan);
      say(asText(section));
      say(`\n(${part.key}: ${number((performance.now() - begun) / 1_000, 0)} s)\n`);
      sections.push(section);
      if ('failed' in section) {
        failed.push(part.key);
        // Whatever it has begun is still there, and may be still at work.
        await bed.stop();
        bed = await Bed.start();
      }
    }
  } finally {
    await bed.stop();
  }
  return { bed, sections, failed };
}

async function measureOne(part: Part, bed: Bed, plan: Plan): Promise<Section & { failed?: true }> {
  try {
    const work = part.measure(bed, plan.quick);
    return await (part.byName ? work : within(work, PART_LIMIT));
  } catch (error) {
    process.stderr.write(`${part.key}: ${error instanceof Error ? error.stack : String(error)}\n`);
    const reason = error instanceof Error ? error.message : String(error);
    return { failed: true, title: part.key, notes: [`Failed: ${reason}`], tables: [], musts: [] };
  }
}

async function within<Result>(work: Promise<Result>, milliseconds: number): Promise<Result> {
  const { promise, reject } = Promise.withResolvers<never>();
  const timer = setTimeout(() => reject(new Error(`not done within ${milliseconds / 1_000} s`)), milliseconds);
  try {
    return await Promise.race([work, promise]);
  } finally {
    clearTimeout(timer);
  }
}

function factsOf(bed: Bed, load: string, seconds: number): Report['facts'] {
  return [
    ['date', new Date().toISOString().slice(0, 10)],
    ['machine', describeMachine()],
    ['load average before', load],
    ['length of the run', `${number(seconds, 0)} s`],
    ['Kubernetes, kubectl', bed.cluster.version],
    ['Node.js', process.versions.node],
    ['undici', packageVersion('undici')],
    ['nginx', 'version' in bed.nginx ? bed.nginx.version : bed.nginx.missing],
    ['node for pods', whyNoNode() ?? 'yes'],
  ];
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => void stopBeds().finally(() => process.exit(code)));
}
// Whoever read what is said has gone; the page is still to be written, and what was begun to be ended.
process.stdout.on('error', () => {});
process.exitCode = await main();
