import { execFile } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { LAYOUTS } from '../masking/layouts/layouts.ts';
import { Mint } from '../masking/layouts/mint.ts';
import type { Bed } from './bed.ts';
import { cpuInClosedLoop, PARALLEL } from './closed-loop.ts';
import type { Endpoint, Protocol } from './endpoint.ts';
import { LoadClient } from './load-client.ts';
import type { EngineSpeed } from './masking.ts';
import { part } from './part.ts';
import { many } from './policies.ts';
import { ProcessUsage } from './process-usage.ts';
import { median, medianRatio, quantile } from './quantile.ts';
import type { Must, Section } from './section.ts';
import { turned } from './turns.ts';
import { megabytes, number, percent, ratio } from './words.ts';

const OBJECTS = 100;
const OBJECT_BYTES = 256 * 1_024;
const MOST_GROWTH = 64 << 20;
const RATE = 100;
const PROTOCOLS = ['HTTP/1.1', 'HTTP/2'] as const;
const CONNECTIONS: Readonly<Record<Protocol, number>> = { 'HTTP/1.1': 32, 'HTTP/2': 4 };

interface Size {
  readonly rounds: number;
  readonly engineRounds: number;
  /** Of small GETs while lists are read, by each caller, in each round. */
  readonly seconds: number;
  readonly warmRequests: number;
  readonly closedRounds: number;
  readonly closedRequests: number;
}

interface Caller {
  readonly endpoint: Endpoint;
  /** Milliseconds and CPU milliseconds for the lists that must hold, one each round; and milliseconds for each list. */
  readonly milliseconds: number[];
  readonly each: readonly number[][];
  readonly cpu: number[];
  readonly cpuOfGet: Readonly<Record<Protocol, number[]>>;
  bytes: number;
  peak: number;
}

/** What masking costs: the engines alone, a list of 50 MB and small GETs through the gateway with and without it. */
export const maskedAnswers = part<Size>(
  'masking',
  {
    full: { rounds: 6, engineRounds: 80, seconds: 4, warmRequests: 8_000, closedRounds: 48, closedRequests: 600 },
    quick: { rounds: 1, engineRounds: 2, seconds: 1, warmRequests: 500, closedRounds: 2, closedRequests: 300 },
  },
  async (bed, size) => {
    const engines = await speedsOfEngines(size.engineRounds);
    await fill(bed);
    const gateway = await bed.freshGateway();
    const usage = new ProcessUsage(gateway.pid);
    const callers = [bed.through(gateway, 'masked'), bed.unmasked(gateway)].map(
      (endpoint): Caller => ({
        endpoint,
        milliseconds: [],
        each: LISTS.map(() => []),
        cpu: [],
        cpuOfGet: { 'HTTP/1.1': [], 'HTTP/2': [] },
        bytes: 0,
        peak: 0,
      }),
    );
    const [masked, unmasked] = callers as [Caller, Caller];
    await tellApart(bed, masked, unmasked);
    for (const protocol of PROTOCOLS) await smallGets(bed, callers, protocol, usage, size);
    for (const one of callers) await warm(bed, one.endpoint);
    const before = usage.resident();
    for (let round = 0; round < size.rounds; round++) {
      for (const one of turned(callers, round)) await lists(bed, one, usage);
    }
    const others: Record<Way, Others[]> = { direct: [], unmasked: [], masked: [] };
    const endpoints: Readonly<Record<Way, Endpoint>> = {
      direct: bed.direct,
      unmasked: unmasked.endpoint,
      masked: masked.endpoint,
    };
    for (let round = 0; round < size.rounds; round++) {
      for (const way of turned(WAYS, round)) others[way].push(await othersMeanwhile(bed, endpoints[way], size));
    }
    await gateway.stop();
    return sectionOf(size, engines, masked, unmasked, before, others);
  },
);

/** In a process of their own: nothing else has shaped what the compiler made of the engines. */
async function speedsOfEngines(rounds: number): Promise<EngineSpeed[]> {
  const program = fileURLToPath(new URL('masking.ts', import.meta.url));
  const env = { ...process.env, ROUNDS: String(rounds) };
  const { stdout } = await promisify(execFile)(process.execPath, [program, '--json'], { env, timeout: 300_000 });
  return JSON.parse(stdout) as EngineSpeed[];
}

interface List {
  readonly what: string;
  readonly resource: 'secrets' | 'configmaps';
  /** The objects' names begin with it, and a label says it. */
  readonly name: string;
  /** Of ConfigMaps: pairs of lines that hold no secret, between two pieces that hold some. */
  readonly filler: number;
  /** Whether it is of the list that must hold. */
  readonly must: boolean;
}

/**
 * Secrets of random bytes, and ConfigMaps of what programs print and read, with a secret every fourteen kilobytes, as in the
 * large lists of the labelled corpus. And, to see what a hit costs, others in which nine times as many are.
 */
const LISTS: readonly List[] = [
  { what: 'secrets', resource: 'secrets', name: 'masking', filler: 0, must: true },
  { what: 'configmaps', resource: 'configmaps', name: 'masking', filler: 390, must: true },
  { what: 'crowded configmaps', resource: 'configmaps', name: 'masking-crowded', filler: 40, must: false },
];

const FILLER = '# The quick brown fox jumps over the lazy dog; 0123456789.\nsetting.number = 12\n';

async function fill(bed: Bed): Promise<void> {
  const mint = new Mint(1);
  const layouts = Object.values(LAYOUTS);
  for (const { resource, name: list, filler } of LISTS) {
    const names = Array.from({ length: OBJECTS }, (_, index) => `${list}-${index}`);
    await many(names, async (name) => {
      const body = { metadata: { name, labels: { bench: list } }, data: dataOf(resource, mint, layouts, filler) };
      const answer = await bed.cluster.admin('POST', `/api/v1/namespaces/${bed.namespace}/${resource}`, body);
      if (answer.status !== 201) throw new Error(`no ${resource}: ${answer.body}`);
    });
  }
}

function dataOf(
  resource: List['resource'],
  mint: Mint,
  layouts: readonly ((mint: Mint) => string)[],
  filler: number,
): Record<string, string> {
  const data: Record<string, string> = {};
  if (resource === 'secrets') {
    for (let i = 0; i < 16; i++) data[`key-${i}`] = randomBytes((OBJECT_BYTES / 16) * 0.75).toString('base64');
    return data;
  }
  let text = '';
  while (text.length < OBJECT_BYTES) {
    mint.begin();
    text += `${mint.pick(layouts)(mint)}\n${FILLER.repeat(filler)}`;
  }
  return { 'application.conf': text.slice(0, OBJECT_BYTES) };
}

const pathOf = (bed: Bed, { resource, name }: List): string =>
  `/api/v1/namespaces/${bed.namespace}/${resource}?labelSelector=bench%3D${name}`;

/** The rule that spares the one caller has to be known before anything is measured. */
async function tellApart(bed: Bed, masked: Caller, unmasked: Caller): Promise<void> {
  for (let attempt = 0; attempt < 200; attempt++) {
    const sizes: number[] = [];
    for (const { endpoint } of [masked, unmasked]) {
      const channel = await bed.load.do('open', endpoint, 'HTTP/1.1', 1);
      sizes.push((await bed.load.do('read', channel, `/api/v1/namespaces/${bed.namespace}/secrets/masking-0`)).bytes);
      await bed.load.do('close', channel);
    }
    if (sizes[0]! < sizes[1]! / 2) return;
    await sleep(50);
  }
  throw new Error('the masked and the unmasked caller see the same');
}

async function warm(bed: Bed, endpoint: Endpoint): Promise<void> {
  const channel = await bed.load.do('open', endpoint, 'HTTP/2', 4);
  await bed.load.do('saturate', channel, bed.small, 8, 2);
  for (const list of LISTS) await bed.load.do('read', channel, pathOf(bed, list));
  await bed.load.do('close', channel);
}

async function lists(bed: Bed, one: Caller, usage: ProcessUsage): Promise<void> {
  const channel = await bed.load.do('open', one.endpoint, 'HTTP/2', 1);
  await bed.load.do('read', channel, bed.small);
  usage.resetPeak();
  const cpu = usage.cpu();
  let milliseconds = 0;
  one.bytes = 0;
  let taken = 0;
  for (const [i, list] of LISTS.entries()) {
    const read = await bed.load.do('read', channel, pathOf(bed, list));
    one.each[i]!.push(read.milliseconds);
    if (!list.must) continue;
    milliseconds += read.milliseconds;
    one.bytes += read.bytes;
    taken = usage.cpu() - cpu;
  }
  one.milliseconds.push(milliseconds);
  one.cpu.push(taken);
  one.peak = Math.max(one.peak, usage.peak());
  await bed.load.do('close', channel);
}

/** By both callers in turn, through one process: two that do the same differ by as much as is to be told apart. */
async function smallGets(
  bed: Bed,
  callers: readonly Caller[],
  protocol: Protocol,
  usage: ProcessUsage,
  size: Size,
): Promise<void> {
  const ways: { cpuOfGet: number[]; channel: number }[] = [];
  for (const { endpoint, cpuOfGet } of callers) {
    const channel = await bed.load.do('open', endpoint, protocol, CONNECTIONS[protocol]);
    await bed.load.do('repeat', channel, bed.small, PARALLEL, size.warmRequests);
    ways.push({ cpuOfGet: cpuOfGet[protocol], channel });
  }
  for (let round = 0; round < size.closedRounds; round++) {
    for (const { cpuOfGet, channel } of turned(ways, round)) {
      cpuOfGet.push(await cpuInClosedLoop(bed, channel, usage, size.closedRequests));
    }
  }
  for (const { channel } of ways) await bed.load.do('close', channel);
}

/** What is read while others wait, and how: with no gateway between too, since the API server and both clients use the same cores. */
const WAYS = ['direct', 'unmasked', 'masked'] as const;
type Way = (typeof WAYS)[number];

interface Others {
  readonly idle: number;
  readonly meanwhile: number;
}

/** p99 of small GETs, and of the same while one client of the same kind reads lists without a pause. */
async function othersMeanwhile(bed: Bed, endpoint: Endpoint, size: Size): Promise<Others> {
  const reader = new LoadClient();
  try {
    const lists = await reader.do('open', endpoint, 'HTTP/2', 1);
    const channel = await bed.load.do('open', endpoint, 'HTTP/2', 4);
    await bed.load.do('paced', channel, bed.small, RATE, 0.5);
    const idle = await bed.load.do('paced', channel, bed.small, RATE, size.seconds);
    let reading = true;
    const read = (async () => {
      while (reading) for (const list of LISTS) if (list.must) await reader.do('read', lists, pathOf(bed, list));
    })();
    await sleep(200);
    const busy = await bed.load.do('paced', channel, bed.small, RATE, size.seconds);
    reading = false;
    await read;
    await bed.load.do('close', channel);
    return { idle: quantile(idle.latencies, 0.99), meanwhile: quantile(busy.latencies, 0.99) };
  } finally {
    await reader.stop();
  }
}

/** What the engines must reach, as a share of JSON.parse. */
const AIMS: readonly (readonly [EngineSpeed['key'], string, number])[] = [
  ['structure', 'JSON, structure only', 0.7],
  ['fields', 'JSON, a field rule that masks all env', 0.7],
  ['all', 'JSON, all detectors', 0.35],
  ['text', 'text, all detectors', 0.35],
];

function sectionOf(
  size: Size,
  engines: readonly EngineSpeed[],
  masked: Caller,
  unmasked: Caller,
  before: number,
  others: Readonly<Record<Way, readonly Others[]>>,
): Section {
  const times = medianRatio(masked.milliseconds, unmasked.milliseconds);
  const growth = masked.peak - before;
  const more = (protocol: Protocol): number => medianRatio(masked.cpuOfGet[protocol], unmasked.cpuOfGet[protocol]) - 1;
  const p99 = (of: readonly Others[], when: keyof Others): number => median(of.map((one) => one[when]));
  const slower = (of: readonly Others[]): number =>
    medianRatio(
      of.map(({ meanwhile }) => meanwhile),
      of.map(({ idle }) => idle),
    );
  const musts: Must[] = AIMS.map(([key, what, aim]) => {
    const reached = engines.find((one) => one.key === key)!.ratio;
    return { what: `${what}: at least ${aim} × JSON.parse`, measured: ratio(reached), pass: reached >= aim };
  });
  musts.push(
    { what: '50 MB of Secrets and ConfigMaps, masked: within 2 × unmasked', measured: ratio(times), pass: times <= 2 },
    { what: 'memory grows by at most 64 MiB meanwhile', measured: megabytes(growth), pass: growth <= MOST_GROWTH },
    ...PROTOCOLS.map((protocol) => ({
      what: `CPU of a small GET, ${protocol}: at most 15 % over unmasked`,
      measured: percent(more(protocol)),
      pass: more(protocol) <= 0.15,
    })),
    {
      what: 'p99 of other requests during a masked list: under 3 × of idle',
      measured: `${ratio(slower(others.masked))}; an unmasked one ${ratio(slower(others.unmasked))}, without a gateway ${ratio(slower(others.direct))}`,
      pass: slower(others.masked) < 3,
    },
  );
  return {
    title: 'Masking',
    notes: [
      `The engines in a process of their own, on the labelled corpus’ large size: CPU time, the best of ${size.engineRounds} rounds in turn. The ratio is to JSON.parse of the same bytes (for text: of the list of Pods); strings of many kilobytes it only copies.`,
      `Through the gateway, over HTTP/2: ${OBJECTS} Secrets and ${OBJECTS} ConfigMaps of ${OBJECT_BYTES / 1_024} KiB each, with the default detectors, against a caller whom a rule exempts; ${size.rounds} rounds, medians, ratios within a round. ` +
        `A ConfigMap holds a secret every 14 kB, as the large lists of the labelled corpus do; a crowded one, which is read for comparison and counted in neither times nor CPU, one every 1.6 kB. ` +
        `Growth is the peak of the gateway’s resident memory over what it had after it was warm (${megabytes(before)}). The API server and both clients use the same cores.`,
      `CPU of a small GET: closed loop of ${PARALLEL} at once, ${size.closedRequests} requests a round, ${size.closedRounds} rounds, both callers in turn (ABBA) through one process, after ${size.warmRequests} requests each that are not counted. Latency of small GETs: ${RATE} a second for ${size.seconds} s.`,
    ],
    tables: [
      {
        columns: ['engine', 'MB', 'MB/s', '× JSON.parse'],
        rows: engines.map(({ what, bytes, speed, ratio: of }) => [
          what,
          number(bytes / 1e6, 1),
          number(speed, 0),
          ratio(of),
        ]),
      },
      {
        columns: [
          ...['caller', 'bytes', 'ms', '× unmasked', ...LISTS.map(({ what }) => `× ${what}`)],
          ...['gateway CPU ms', 'growth', ...PROTOCOLS.map((protocol) => `CPU ms of a small GET, ${protocol}`)],
        ],
        rows: [unmasked, masked].map((one) => [
          one.endpoint.name,
          megabytes(one.bytes),
          number(median(one.milliseconds), 0),
          ratio(medianRatio(one.milliseconds, unmasked.milliseconds)),
          ...one.each.map((of, i) => ratio(medianRatio(of, unmasked.each[i]!))),
          number(median(one.cpu), 0),
          megabytes(one.peak - before),
          ...PROTOCOLS.map((protocol) => number(median(one.cpuOfGet[protocol]), 3)),
        ]),
      },
      {
        columns: ['small GETs', 'p99 ms alone', 'while lists are read', '×'],
        rows: WAYS.map((one) => [
          one,
          number(p99(others[one], 'idle'), 2),
          number(p99(others[one], 'meanwhile'), 2),
          ratio(slower(others[one])),
        ]),
      },
    ],
    musts,
  };
}
