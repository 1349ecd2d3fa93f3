import { setTimeout as sleep } from 'node:timers/promises';
import type { Bed } from './bed.ts';
import type { Endpoint, Protocol } from './endpoint.ts';
import { part } from './part.ts';
import { addPolicies, removePolicies } from './policies.ts';
import { ProcessUsage } from './process-usage.ts';
import { median, medianRatio, quantile } from './quantile.ts';
import type { Must, Section } from './section.ts';
import { number, percent, ratio, signed, spread } from './words.ts';

const MORE_POLICIES = 199;
const CONNECTIONS: Readonly<Record<Protocol, number>> = { 'HTTP/1.1': 32, 'HTTP/2': 4 };
const PARALLEL = 32;
/** Requests that are not counted, before those that are. */
const WARM_SECONDS = 0.5;

interface Variant {
  readonly name: string;
  readonly protocol: Protocol;
  readonly endpoint: Endpoint;
  /** Undefined for direct: there is no process between. */
  readonly usage: ProcessUsage | undefined;
  readonly policies: number;
  channel: number;
  saturation: number;
  /** One each round. */
  readonly cpu: number[];
  readonly p50: number[];
  readonly p99: number[];
  failed: number;
}

/** Each round measures every variant once. */
interface Size {
  readonly rounds: number;
  readonly seconds: number;
  readonly saturationSeconds: number;
}

/** CPU time and added latency of a small GET, side by side. */
export const get = part<Size>(
  'get',
  {
    full: { rounds: 5, seconds: 3, saturationSeconds: 2 },
    quick: { rounds: 1, seconds: 1, saturationSeconds: 0.5 },
  },
  async (bed, size) => {
    const variants = await variantsOf(bed);
    await inPolicyOrder(bed, variants, 0, async (one) => {
      one.channel = await bed.load.do('open', one.endpoint, one.protocol, CONNECTIONS[one.protocol]);
      // Once to let the compilers see what is hot, once to measure.
      await bed.load.do('saturate', one.channel, bed.small, PARALLEL, size.saturationSeconds);
      one.saturation = await bed.load.do('saturate', one.channel, bed.small, PARALLEL, size.saturationSeconds);
      bed.gateway.log.length = 0;
    });
    const rate = Math.max(20, Math.floor(Math.min(...variants.map((one) => one.saturation)) / 20) * 10);
    for (let round = 0; round < size.rounds; round++) {
      await inPolicyOrder(bed, variants, round, (one) => measure(bed, one, rate, size.seconds));
    }
    for (const one of variants) await bed.load.do('close', one.channel);
    return sectionOf(bed, size, variants, rate);
  },
);

async function variantsOf(bed: Bed): Promise<Variant[]> {
  const proxy = await bed.startKubectlProxy();
  const nginx = await bed.startNginx();
  const gateway = new ProcessUsage(bed.gateway.pid);
  const variants: Variant[] = [];
  const add = (name: string, protocol: Protocol, endpoint: Endpoint, usage?: ProcessUsage, policies = 1): void => {
    variants.push({
      name,
      protocol,
      endpoint,
      usage,
      policies,
      channel: 0,
      saturation: 0,
      cpu: [],
      p50: [],
      p99: [],
      failed: 0,
    });
  };
  for (const protocol of ['HTTP/1.1', 'HTTP/2'] as const) {
    add('direct', protocol, bed.direct);
    // Without TLS it offers HTTP/1.1 only.
    if (protocol === 'HTTP/1.1') add('kubectl proxy', protocol, proxy.endpoint, new ProcessUsage(proxy.pid));
    if (nginx !== undefined) add('nginx', protocol, nginx.endpoint, new ProcessUsage(nginx.pid));
    add('gateway, 1 policy', protocol, bed.unmasked(bed.gateway), gateway);
    add('gateway, default masks', protocol, bed.through(bed.gateway), gateway);
    add('gateway, 200 policies', protocol, bed.unmasked(bed.gateway), gateway, 1 + MORE_POLICIES);
  }
  return variants;
}

/**
 * Every variant once. The order turns from round to round, so that what wanders slowly (other load, clock rate) is
 * nobody's own; the same gateway process runs with few and with many policies, first one way, then the other.
 */
async function inPolicyOrder(
  bed: Bed,
  variants: readonly Variant[],
  round: number,
  work: (one: Variant) => Promise<void>,
): Promise<void> {
  const turn = round % variants.length;
  const order = [...variants.slice(turn), ...variants.slice(0, turn)];
  const few = order.filter((one) => one.policies === 1);
  const lots = order.filter((one) => one.policies > 1);
  const withLots = async (): Promise<void> => {
    await addPolicies(bed.cluster, bed.gateway, MORE_POLICIES);
    await settled(new ProcessUsage(bed.gateway.pid));
    try {
      for (const one of lots) await work(one);
    } finally {
      await removePolicies(bed.cluster, bed.gateway, MORE_POLICIES);
      await settled(new ProcessUsage(bed.gateway.pid));
    }
  };
  if (round % 2 === 1) await withLots();
  // Those with one policy beside those with 200: their ratio is the finest one asked for.
  const rank = (one: Variant): number => (one.name.startsWith('gateway') ? 1 : 0);
  for (const one of few.toSorted((a, b) => (round % 2 === 1 ? rank(b) - rank(a) : rank(a) - rank(b)))) await work(one);
  if (round % 2 === 0) await withLots();
}

/** Until the gateway has written what it says of new policies into their status: that is no request's work. */
async function settled(usage: ProcessUsage): Promise<void> {
  for (let attempt = 0; attempt < 60; attempt++) {
    const before = usage.cpu();
    await sleep(500);
    if (usage.cpu() - before < 20) return;
  }
}

async function measure(bed: Bed, one: Variant, rate: number, seconds: number): Promise<void> {
  await bed.load.do('paced', one.channel, bed.small, rate, WARM_SECONDS);
  const before = one.usage?.cpu() ?? 0;
  const { latencies, failed } = await bed.load.do('paced', one.channel, bed.small, rate, seconds);
  const spent = (one.usage?.cpu() ?? 0) - before;
  one.cpu.push(one.usage === undefined ? Number.NaN : spent / (latencies.length + failed));
  one.p50.push(quantile(latencies, 0.5));
  one.p99.push(quantile(latencies, 0.99));
  one.failed += failed;
  bed.gateway.log.length = 0;
}

function sectionOf(bed: Bed, size: Size, variants: readonly Variant[], rate: number): Section {
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
  const notes = [
    `Open loop at ${rate} requests a second, half of the slowest one's saturation; ${size.rounds} rounds of ${size.seconds} s each, in turning order; medians of the rounds (spread: the middle half of them), ratios within a round. ` +
      'Latency counts from the moment at which a request was due.',
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
    musts: mustsOf(find, reference),
  };
}

function mustsOf(find: (name: string, protocol: Protocol) => Variant, reference: Variant): Must[] {
  return (['HTTP/1.1', 'HTTP/2'] as const).flatMap((protocol) => {
    const one = find('gateway, 1 policy', protocol);
    const times = medianRatio(one.cpu, reference.cpu);
    const more = medianRatio(find('gateway, 200 policies', protocol).cpu, one.cpu) - 1;
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
