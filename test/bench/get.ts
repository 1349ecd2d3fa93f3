import type { Bed } from './bed.ts';
import type { Endpoint, Protocol } from './endpoint.ts';
import { part } from './part.ts';
import { addPolicies, removePolicies } from './policies.ts';
import { type PolicyCost, type PolicyCostSize, policyCost, settled } from './policy-cost.ts';
import { ProcessUsage } from './process-usage.ts';
import { median, medianRatio, quantile } from './quantile.ts';
import type { Must, Section } from './section.ts';
import { turned } from './turns.ts';
import { number, percent, ratio, signed, spread } from './words.ts';

const MORE_POLICIES = 199;
const PROTOCOLS = ['HTTP/1.1', 'HTTP/2'] as const;
const CONNECTIONS: Readonly<Record<Protocol, number>> = { 'HTTP/1.1': 32, 'HTTP/2': 4 };
const PARALLEL = 32;
const MASKED = 'gateway, default masks';
/** Seconds of requests that are not counted, before those that are: in them the connections are made. */
const BREATH = 0.4;

interface Variant {
  readonly name: string;
  readonly protocol: Protocol;
  readonly endpoint: Endpoint;
  /** Undefined for direct: there is no process between. */
  readonly usage: ProcessUsage | undefined;
  /** In force while it is measured; undefined where none has a say. */
  readonly policies: number | undefined;
  saturation: number;
  /** One each round; not a number for a round in which it had no place. */
  readonly cpu: number[];
  readonly p50: number[];
  readonly p99: number[];
  failed: number;
}

/** Each round measures every variant that has a place in it once. */
interface Size {
  /** With 200 policies so many, with one half of them before and half after. */
  readonly rounds: number;
  readonly seconds: number;
  readonly saturationSeconds: number;
  /** Requests of each variant before anything is counted: until then the compilers still work, and that is no request's cost. */
  readonly warmRequests: number;
  readonly policyCost: PolicyCostSize;
}

/** CPU time and added latency of a small GET, side by side. */
export const get = part<Size>(
  'get',
  {
    full: {
      rounds: 4,
      seconds: 1.5,
      saturationSeconds: 1.5,
      warmRequests: 3_000,
      policyCost: { stretches: 7, portions: 9, requests: 500 },
    },
    quick: {
      rounds: 2,
      seconds: 0.5,
      saturationSeconds: 0.5,
      warmRequests: 50,
      policyCost: { stretches: 1, portions: 3, requests: 50 },
    },
  },
  async (bed, size) => {
    const variants = await variantsOf(bed, size);
    const few = variants.filter((one) => one.policies !== 1 + MORE_POLICIES);
    const lots = variants.filter((one) => one.policies !== 1);
    for (const one of few) await warm(bed, one, size);
    const rate = Math.max(20, Math.floor(Math.min(...few.map((one) => one.saturation)) / 20) * 10);
    const rounds = async (phase: readonly Variant[], from: number, to: number): Promise<void> => {
      for (let round = from; round < to; round++) {
        // The order turns from round to round, so that what wanders slowly (other load, clock rate) is nobody's own.
        for (const one of turned(phase, round)) await measure(bed, one, round, rate, size);
      }
    };
    // Few, many, few: what goes on getting faster or slower with time does so for both alike.
    const half = Math.ceil(size.rounds / 2);
    await rounds(few, 0, half);
    await addPolicies(bed.cluster, bed.gateway, MORE_POLICIES);
    try {
      await settled(new ProcessUsage(bed.gateway.pid));
      for (const one of lots.filter((each) => each.policies !== undefined)) await warm(bed, one, size);
      await rounds(lots, half, half + size.rounds);
    } finally {
      await removePolicies(bed.cluster, bed.gateway, MORE_POLICIES);
    }
    await settled(new ProcessUsage(bed.gateway.pid));
    await rounds(few, half + size.rounds, 2 * size.rounds);
    const cost = await policyCost(bed, PROTOCOLS, MORE_POLICIES, size.policyCost);
    return sectionOf(bed, size, variants, rate, cost);
  },
);

async function variantsOf(bed: Bed, size: Size): Promise<Variant[]> {
  const proxy = await bed.startKubectlProxy();
  const nginx = await bed.startNginx();
  const gateway = new ProcessUsage(bed.gateway.pid);
  const variants: Variant[] = [];
  const rounds = (): number[] => Array.from({ length: 2 * size.rounds }, () => Number.NaN);
  const add = (
    name: string,
    protocol: Protocol,
    endpoint: Endpoint,
    usage: ProcessUsage | undefined,
    policies?: number,
  ): void => {
    variants.push({
      name,
      protocol,
      endpoint,
      usage,
      policies,
      saturation: 0,
      cpu: rounds(),
      p50: rounds(),
      p99: rounds(),
      failed: 0,
    });
  };
  for (const protocol of PROTOCOLS) {
    add('direct', protocol, bed.direct, undefined);
    // Without TLS it offers HTTP/1.1 only.
    if (protocol === 'HTTP/1.1') add('kubectl proxy', protocol, proxy.endpoint, new ProcessUsage(proxy.pid));
    if (nginx !== undefined) add('nginx', protocol, nginx.endpoint, new ProcessUsage(nginx.pid));
    add('gateway, 1 policy', protocol, bed.unmasked(bed.gateway), gateway, 1);
    add(MASKED, protocol, bed.through(bed.gateway), gateway, 1);
    add('gateway, 200 policies', protocol, bed.unmasked(bed.gateway), gateway, 1 + MORE_POLICIES);
  }
  return variants;
}

/** All that goes before what counts; what one way bears at most is found out on the way. */
async function warm(bed: Bed, one: Variant, size: Size): Promise<void> {
  await withChannel(bed, one, async (channel) => {
    // What is not under measurement runs ready-made code, but its connections and the API server's caches are to be there.
    if (one.policies === undefined) await bed.load.do('saturate', channel, bed.small, PARALLEL, size.saturationSeconds);
    else await bed.load.do('repeat', channel, bed.small, PARALLEL, size.warmRequests);
    one.saturation = await bed.load.do('saturate', channel, bed.small, PARALLEL, size.saturationSeconds);
  });
}

async function measure(bed: Bed, one: Variant, round: number, rate: number, size: Size): Promise<void> {
  await withChannel(bed, one, async (channel) => {
    await bed.load.do('paced', channel, bed.small, rate, BREATH);
    const before = one.usage?.cpu() ?? 0;
    const { latencies, failed } = await bed.load.do('paced', channel, bed.small, rate, size.seconds);
    const spent = (one.usage?.cpu() ?? 0) - before;
    one.cpu[round] = one.usage === undefined ? Number.NaN : spent / (latencies.length + failed);
    one.p50[round] = quantile(latencies, 0.5);
    one.p99[round] = quantile(latencies, 0.99);
    one.failed += failed;
  });
}

/** Connections of its own, closed again: idle ones some of the servers would close by themselves. */
async function withChannel(bed: Bed, one: Variant, use: (channel: number) => Promise<void>): Promise<void> {
  const channel = await bed.load.do('open', one.endpoint, one.protocol, CONNECTIONS[one.protocol]);
  await use(channel);
  await bed.load.do('close', channel);
  bed.gateway.log.length = 0;
}

type Cost = Readonly<Record<(typeof PROTOCOLS)[number], PolicyCost>>;

function sectionOf(bed: Bed, size: Size, variants: readonly Variant[], rate: number, cost: Cost): Section {
  const find = (name: string, protocol: Protocol) =>
    variants.find((one) => one.name === name && one.protocol === protocol)!;
  const reference = find('kubectl proxy', 'HTTP/1.1');
  const rows = variants.map((one) => {
    const direct = find('direct', one.protocol);
    const added = (own: number[], base: number[]): string =>
      one === direct ? `${number(median(own), 2)} in all` : signed(median(own.map((value, i) => value - base[i]!)));
    return [
      one.name,
      one.protocol,
      one.usage === undefined ? '–' : number(median(one.cpu), 3),
      one.usage === undefined ? '–' : spread(one.cpu, 3),
      one.usage === undefined ? '–' : ratio(medianRatio(one.cpu, reference.cpu)),
      added(one.p50, direct.p50),
      added(one.p99, direct.p99),
      number(one.saturation, 0),
      String(one.failed),
    ];
  });
  const costs = PROTOCOLS.map((protocol) => {
    const { few, many, ratios } = cost[protocol];
    return `over ${protocol} ${number(median(few), 3)} ms with one, ${number(median(many), 3)} with 200, ratios ${spread(ratios, 3)}`;
  });
  const notes = [
    `Open loop at ${rate} requests a second, half of the slowest one's saturation; rounds of ${size.seconds} s each, in turning order: ${size.rounds / 2} with one policy, ${size.rounds} with 200, and again ${size.rounds / 2} with one. ` +
      'Medians of the rounds (spread: the middle half of them); "× kubectl proxy" and added latency are of one round each. Latency counts from the moment at which a request was due.',
    `The gateway has had ${size.warmRequests} requests by each way before, which are not counted: its code is compiled then.`,
    `What 200 policies add is measured behind those rounds, in the same process, in a closed loop of 8 requests at once: ${size.policyCost.stretches} stretches with 200 policies, each of ${size.policyCost.portions} portions of ${size.policyCost.requests} requests a protocol, of which the median counts, and between two stretches with one, ` +
      `over the mean of which it is taken. Medians (spread: the middle half): ${costs.join('; ')}.`,
    'CPU is user and system time of the proxy process, its threads and workers. The gateway logs every request, as it does by default. ' +
      'All 200 policies name the caller. Saturation is with 32 requests at once, clients and API server on the same cores.',
    'The caller is exempt from masking, but in the row "default masks": what a gateway does for everyone else. What masking costs has its own part.',
    'kubectl proxy has no TLS towards its client, hence no HTTP/2, no identity and no policy; its HTTP/1.1 is what both are compared with.',
    ...('missing' in bed.nginx ? [`Left out: ${bed.nginx.missing}.`] : []),
  ];
  return {
    title: 'Small GET',
    notes,
    tables: [
      {
        columns: [
          '',
          'protocol',
          'CPU ms/request',
          'spread',
          '× kubectl proxy',
          'p50 ms',
          'p99 ms',
          'saturation /s',
          'failed',
        ],
        rows,
      },
    ],
    musts: mustsOf(find, reference, cost),
  };
}

function mustsOf(find: (name: string, protocol: Protocol) => Variant, reference: Variant, cost: Cost): Must[] {
  return PROTOCOLS.flatMap((protocol) => {
    const one = find('gateway, 1 policy', protocol);
    const times = medianRatio(one.cpu, reference.cpu);
    const more = median(cost[protocol].ratios) - 1;
    return [
      {
        what: `CPU of a small GET, ${protocol}: at most 2.2 × kubectl proxy (aim 1.6)`,
        measured: `${ratio(times)}${times <= 1.6 ? ', the aim met' : ''}`,
        pass: times <= 2.2,
      },
      { what: `200 policies add under 5 % to it, ${protocol}`, measured: percent(more), pass: more < 0.05 },
    ];
  });
}
