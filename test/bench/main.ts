/**
 * `make bench`: all parts, side by side, in one run. `BENCH_ONLY=get,list` chooses, `QUICK=1` only shows that everything
 * works, `STRICT=1` exits with 1 where a must is missed. A whole run writes docs/benchmarks.md; so does a part of one with
 * `BENCH_WRITE=1`, and the page then says what was left out.
 */
import { writeFileSync } from 'node:fs';
import { whyNoNode } from '../cluster/cluster.ts';
import { Bed, stopBeds } from './bed.ts';
import { exec } from './exec.ts';
import { get } from './get.ts';
import { kubectl } from './kubectl.ts';
import { list } from './list.ts';
import { describeLoad, describeMachine, packageVersion } from './machine.ts';
import { micro } from './micro.ts';
import { isWhole, type KEYS, type Plan, planOf } from './plan.ts';
import { asMarkdown, asText, type Report } from './report.ts';
import type { Part, Section } from './section.ts';
import { start } from './start.ts';
import { watch } from './watch.ts';
import { number } from './words.ts';

const PARTS: readonly Part[] = [get, list, watch, kubectl, start, exec, micro];
const PAGE = new URL('../../docs/benchmarks.md', import.meta.url);

function say(text: string): void {
  process.stdout.write(text);
}

async function main(): Promise<number> {
  if (process.platform !== 'linux') {
    process.stderr.write('The benchmark reads CPU time and memory from /proc: it runs on Linux only.\n');
    return 2;
  }
  const plan = planOf(process.env);
  const begun = performance.now();
  const load = describeLoad();
  say(`${describeMachine()}; load ${load}\n`);
  const sections = await measure(plan);
  const seconds = (performance.now() - begun) / 1_000;
  const musts = sections.flatMap((section) => section.musts);
  const missed = musts.filter((must) => !must.pass);
  say(`\n${musts.length - missed.length} of ${musts.length} musts hold; ${number(seconds, 0)} s\n`);
  for (const { what, measured } of missed) say(`  MISS  ${what}: ${measured}\n`);
  const left = PARTS.filter((part) => !plan.keys.has(part.key as (typeof KEYS)[number])).map((part) => part.key);
  if (isWhole(plan) || process.env['BENCH_WRITE'] === '1') {
    writeFileSync(
      PAGE,
      asMarkdown({
        facts: [
          ...facts(load, seconds),
          ['parts left out', left.join(', ') || 'none'],
          ['kind of run', plan.quick ? 'quick: few rounds, that it works; figures are provisional' : 'full'],
        ],
        sections,
      }),
    );
    say('written to docs/benchmarks.md\n');
  } else {
    say('not a whole run: docs/benchmarks.md is left as it is\n');
  }
  return missed.length > 0 && process.env['STRICT'] === '1' ? 1 : 0;
}

let kubernetes = '';
let nginx = '';

async function measure(plan: Plan): Promise<Section[]> {
  const bed = await Bed.start();
  kubernetes = bed.cluster.version;
  const sections: Section[] = [];
  try {
    for (const part of PARTS) {
      if (!plan.keys.has(part.key as (typeof KEYS)[number])) continue;
      const section = await part.run(bed, plan);
      say(asText(section));
      sections.push(section);
    }
    nginx = 'version' in bed.nginx ? bed.nginx.version : bed.nginx.missing;
  } finally {
    await bed.stop();
  }
  return sections;
}

function facts(load: string, seconds: number): Report['facts'] {
  return [
    ['date', new Date().toISOString().slice(0, 10)],
    ['machine', describeMachine()],
    ['load average before', load],
    ['length of the run', `${number(seconds, 0)} s`],
    ['Kubernetes, kubectl', kubernetes],
    ['Node.js', process.versions.node],
    ['undici', packageVersion('undici')],
    ['nginx', nginx],
    ['node for pods', whyNoNode() ?? 'yes'],
  ];
}

for (const [signal, code] of [
  ['SIGINT', 130],
  ['SIGTERM', 143],
] as const) {
  process.once(signal, () => void stopBeds().finally(() => process.exit(code)));
}
process.exitCode = await main();
