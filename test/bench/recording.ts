import type { GatewayProcess } from '../gateway/gateway-process.ts';
import type { Bed } from './bed.ts';
import { cpuInClosedLoop, PARALLEL } from './closed-loop.ts';
import type { Endpoint } from './endpoint.ts';
import { keptEvent, lineAlone } from './line-alone.ts';
import { part } from './part.ts';
import { ProcessUsage } from './process-usage.ts';
import { median, medianRatio, quantile } from './quantile.ts';
import type { Must, Section } from './section.ts';
import { apart, type Side, sideBySide } from './side-by-side.ts';
import { turned } from './turns.ts';
import { number, percent, ratio, signed, spread } from './words.ts';

interface Variant {
  readonly name: string;
  readonly gateway: GatewayProcess;
  readonly endpoint: Endpoint;
  readonly usage: ProcessUsage;
  channel: number;
  readonly cpu: number[];
  readonly closed: number[];
  readonly p50: number[];
  readonly p99: number[];
  readonly list: number[];
  readonly listCPU: number[];
  failed: number;
}

interface Size {
  readonly rounds: number;
  readonly seconds: number;
  readonly warmRequests: number;
  readonly closedRounds: number;
  readonly closedRequests: number;
  readonly lists: number;
  readonly pairedRounds: number;
  readonly pairedSeconds: number;
}

const CONNECTIONS = 32;
const RATE = 300;
/** Of each of two that are asked at the same time. */
const PAIRED_RATE = 100;
const DURABILITIES = ['Process', 'Disk', 'Remote'] as const;
const LIST = 'labelSelector=bench%3Drecording';

/** What recording adds to a small GET and to a list of 50 MB, at each level of durability. */
export const recording = part<Size>(
  'recording',
  {
    full: {
      rounds: 10,
      seconds: 2,
      warmRequests: 12_000,
      closedRounds: 40,
      closedRequests: 600,
      lists: 6,
      pairedRounds: 16,
      pairedSeconds: 5,
    },
    quick: {
      rounds: 1,
      seconds: 1,
      warmRequests: 500,
      closedRounds: 2,
      closedRequests: 300,
      lists: 1,
      pairedRounds: 2,
      pairedSeconds: 1,
    },
  },
  async (bed, size) => {
    await fill(bed);
    const variants: Variant[] = [];
    for (const durability of DURABILITIES) {
      const gateway = await bed.recordingGateway(durability);
      // In the same process, by another caller: two processes differ by more than what is to be told apart.
      if (durability === 'Process') variants.push(variant('not recorded', gateway, bed.unrecorded(gateway)));
      variants.push(variant(durability, gateway, bed.through(gateway)));
    }
    for (const one of variants) {
      one.channel = await bed.load.do('open', one.endpoint, 'HTTP/1.1', CONNECTIONS);
      // Code that is compiled meanwhile would be counted as recording: there is more of it where more is done.
      const { warmRequests } = size;
      const compared = one.name === 'Process' || one === variants[0];
      await bed.load.do('repeat', one.channel, bed.small, PARALLEL, compared ? warmRequests : warmRequests / 4);
    }
    const compared = variants.slice(0, 2);
    for (let round = 0; round < size.closedRounds; round += 1) {
      for (const one of turned(compared, round)) await closed(bed, one, size.closedRequests);
    }
    const alone = lineAlone(keptEvent(compared[1]!.gateway, bed.small));
    const sides = compared.map(({ channel }): Side => ({ channel, p50: [], p99: [], failed: 0 })) as [Side, Side];
    await sideBySide(bed, sides, PAIRED_RATE, size.pairedSeconds, size.pairedRounds);
    for (let round = 0; round < size.rounds; round += 1) {
      for (const one of turned(variants, round)) await gets(bed, one, size.seconds);
    }
    for (let round = 0; round < size.lists; round += 1) {
      for (const one of turned(variants, round)) await lists(bed, one);
    }
    for (const one of variants) await bed.load.do('close', one.channel);
    for (const gateway of new Set(variants.map((one) => one.gateway))) await gateway.stop();
    return sectionOf(size, variants, sides, alone);
  },
);

function variant(name: string, gateway: GatewayProcess, endpoint: Endpoint): Variant {
  const series = { cpu: [], closed: [], p50: [], p99: [], list: [], listCPU: [] };
  return { name, gateway, endpoint, usage: new ProcessUsage(gateway.pid), channel: 0, ...series, failed: 0 };
}

async function closed(bed: Bed, one: Variant, requests: number): Promise<void> {
  one.closed.push(await cpuInClosedLoop(bed, one.channel, one.usage, requests));
  one.gateway.log.length = 0;
}

async function gets(bed: Bed, one: Variant, seconds: number): Promise<void> {
  await bed.load.do('paced', one.channel, bed.small, RATE, 0.5);
  const before = one.usage.cpu();
  const { latencies, failed } = await bed.load.do('paced', one.channel, bed.small, RATE, seconds);
  one.cpu.push((one.usage.cpu() - before) / (latencies.length + failed));
  one.p50.push(quantile(latencies, 0.5));
  one.p99.push(quantile(latencies, 0.99));
  one.failed += failed;
  one.gateway.log.length = 0;
}

async function lists(bed: Bed, one: Variant): Promise<void> {
  const before = one.usage.cpu();
  const path = `/api/v1/namespaces/${bed.namespace}/configmaps?${LIST}`;
  const { milliseconds, bytes } = await bed.load.do('read', one.channel, path);
  if (bytes < 50_000_000) throw new Error(`${one.name}: a list of ${bytes} bytes`);
  one.list.push(milliseconds);
  one.listCPU.push(one.usage.cpu() - before);
}

async function fill(bed: Bed): Promise<void> {
  const path = `/api/v1/namespaces/${bed.namespace}/configmaps`;
  const text = 'The quick brown fox jumps over the lazy dog; 0123456789.\n'.repeat(4_500);
  for (let index = 0; index < 200; index += 1) {
    const object = { metadata: { name: `recorded-${index}`, labels: { bench: 'recording' } }, data: { text } };
    const answer = await bed.cluster.admin('POST', path, object);
    if (answer.status !== 201) throw new Error(`no ConfigMap: ${answer.body}`);
  }
}

function sectionOf(size: Size, variants: readonly Variant[], sides: readonly [Side, Side], alone: number): Section {
  const bare = variants[0]!;
  const rows = variants.map((one) => [
    one.name,
    number(median(one.closed), 3),
    one.closed.length === 0 || one === bare ? '–' : percent(medianRatio(one.closed, bare.closed) - 1),
    number(median(one.cpu), 3),
    one === bare ? '–' : percent(medianRatio(one.cpu, bare.cpu) - 1),
    one === bare ? `${number(median(one.p50), 2)} in all` : signed(apart(one.p50, bare.p50)),
    one === bare ? `${number(median(one.p99), 2)} in all` : signed(apart(one.p99, bare.p99)),
    number(median(one.list), 0),
    one === bare ? '–' : ratio(medianRatio(one.list, bare.list)),
    number(median(one.listCPU), 0),
    String(one.failed),
  ]);
  const process = variants.find((one) => one.name === 'Process')!;
  const cpu = medianRatio(process.closed, bare.closed) - 1;
  const p99 = apart(sides[1].p99, sides[0].p99);
  const list = medianRatio(process.list, bare.list);
  const musts: Must[] = [
    {
      what: 'recording adds at most 10 % CPU to a small GET (Process)',
      measured: `${percent(cpu)}, ${number(1_000 * apart(process.closed, bare.closed), 0)} µs`,
      pass: cpu <= 0.1,
    },
    { what: 'and at most 1 ms to its p99', measured: `${number(p99, 2)} ms`, pass: p99 <= 1 },
    { what: 'and at most 25 % time to a 50 MB LIST', measured: ratio(list), pass: list <= 1.25 },
  ];
  return {
    title: 'Recording',
    notes: [
      'Level RequestResponse, mode Strict, HTTP/1.1, masking as it is by default; the store is a folder on the same disk. Process: written before the ' +
        'answer. Disk: and on disk. Remote: and in the store.',
      'Not recorded: by a caller of whom as many policies speak and none wants a record, through the very process of “Process”. Between two processes that do the same the compilers make a difference of up to a tenth.',
      `CPU of a GET: closed loop of ${PARALLEL} at once, ${size.closedRequests} requests a round, ${size.closedRounds} rounds, the two in turn (ABBA), after ${size.warmRequests} requests each that are not counted: their code is compiled then.`,
      `An event by JSON.stringify, SHA-256 and write(2) in a loop that does nothing else: ${number(alone, 1)} µs, ${number(alone / 10 / median(bare.closed), 1)} % of a GET that is not recorded. In a gateway at work the same takes several times as long ([why](adr/0076-cost-of-a-line.md)).`,
      `Latency of a GET, what the must is taken of: both callers at the same time, each in an open loop at ${PAIRED_RATE} requests a second, ${size.pairedRounds} rounds of ${size.pairedSeconds} s (last table).`,
      `In the first table: open loop at ${RATE} requests a second, ${size.rounds} rounds of ${size.seconds} s each in turning order. LIST: ${size.lists} rounds. Medians; ratios and differences within a round.`,
    ],
    tables: [
      {
        columns: [
          '',
          'CPU ms/GET, closed loop',
          'added',
          'CPU ms/GET, paced',
          'added',
          'p50 ms',
          'p99 ms',
          'LIST ms',
          '× not recorded',
          'CPU ms/LIST',
          'failed',
        ],
        rows,
      },
      {
        columns: ['side by side', 'p50 ms', 'added', 'p99 ms', 'added', 'spread of what is added', 'failed'],
        rows: sides.map((side, index) => [
          index === 0 ? 'not recorded' : 'Process',
          number(median(side.p50), 2),
          index === 0 ? '–' : signed(apart(side.p50, sides[0].p50)),
          number(median(side.p99), 2),
          index === 0 ? '–' : signed(p99),
          index === 0
            ? '–'
            : spread(
                side.p99.map((value, round) => value - sides[0].p99[round]!),
                2,
              ),
          String(side.failed),
        ]),
      },
    ],
    musts,
  };
}
