import { availableParallelism } from 'node:os';
import type { Bed } from './bed.ts';
import type { Endpoint, Protocol } from './endpoint.ts';
import { part } from './part.ts';
import { many } from './policies.ts';
import { ProcessUsage } from './process-usage.ts';
import { median, medianRatio } from './quantile.ts';
import type { Section } from './section.ts';
import { megabytes, number, ratio, spread } from './words.ts';

const OBJECTS = 200;
const OBJECT_BYTES = 256 * 1_024;
const MOST_GROWTH = 64 << 20;

interface Shape {
  readonly name: string;
  readonly query: string;
  /** What ends the part of a stream that stands for the list. */
  readonly until: string | undefined;
}

const SHAPES: readonly Shape[] = [
  { name: 'plain', query: 'labelSelector=bench%3Dlist', until: undefined },
  {
    name: 'streamed',
    query:
      'labelSelector=bench%3Dlist&watch=1&allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan',
    until: '"k8s.io/initial-events-end":"true"',
  },
];

interface Variant {
  readonly endpoint: Endpoint;
  /** Of what is between; undefined for direct. */
  readonly usage: ProcessUsage | undefined;
  readonly protocol: Protocol;
  readonly shape: Shape;
  readonly milliseconds: number[];
  readonly cpu: number[];
  bytes: number;
  peak: number;
}

interface Size {
  readonly rounds: number;
  /** Lists that are not counted, before those that are. */
  readonly warmRounds: number;
  /** Small GETs, by each protocol, before memory is looked at. */
  readonly warmRequests: number;
}

/** A list of 50 MB: how much longer through the gate, and what the gate holds of it. */
export const list = part<Size>(
  'list',
  { full: { rounds: 8, warmRounds: 3, warmRequests: 1_500 }, quick: { rounds: 1, warmRounds: 0, warmRequests: 100 } },
  async (bed, size) => {
    await fill(bed);
    const gateway = await bed.freshGateway();
    const usage = new ProcessUsage(gateway.pid);
    const nginx = await bed.startNginx();
    const ours = bed.unmasked(gateway, 'gateway');
    const ways: Pick<Variant, 'endpoint' | 'usage'>[] = [
      { endpoint: bed.direct, usage: undefined },
      ...(nginx === undefined ? [] : [{ endpoint: nginx.endpoint, usage: new ProcessUsage(nginx.pid) }]),
      { endpoint: ours, usage },
    ];
    const variants: Variant[] = [];
    for (const protocol of ['HTTP/1.1', 'HTTP/2'] as const) {
      await warm(bed, ours, protocol, size.warmRequests);
      for (const shape of SHAPES) {
        for (const way of ways) {
          variants.push({ ...way, protocol, shape, milliseconds: [], cpu: [], bytes: 0, peak: 0 });
        }
      }
    }
    const before = usage.resident();
    // Once or twice to let the compilers see what is hot; what memory grows by meanwhile counts.
    for (let round = 0; round < size.warmRounds; round++) {
      for (const one of variants) await measure(bed, one);
    }
    for (const one of variants) one.milliseconds.length = one.cpu.length = 0;
    for (let round = 0; round < size.rounds; round++) {
      const order = round % 2 === 0 ? variants : variants.toReversed();
      for (const one of order) await measure(bed, one);
    }
    await gateway.stop();
    return sectionOf(size, variants, ours, before);
  },
);

async function fill(bed: Bed): Promise<void> {
  const path = `/api/v1/namespaces/${bed.namespace}/configmaps`;
  const line = 'The quick brown fox jumps over the lazy dog; 0123456789.\n';
  const text = line.repeat(Math.ceil(OBJECT_BYTES / line.length)).slice(0, OBJECT_BYTES);
  await many(
    Array.from({ length: OBJECTS }, (_, index) => `big-${index}`),
    async (name) => {
      const object = { metadata: { name, labels: { bench: 'list' } }, data: { text } };
      const answer = await bed.cluster.admin('POST', path, object);
      if (answer.status !== 201) throw new Error(`no ConfigMap: ${answer.body}`);
    },
  );
}

/** What a process needs for its first requests is not what a list needs. */
async function warm(bed: Bed, endpoint: Endpoint, protocol: Protocol, requests: number): Promise<void> {
  const channel = await bed.load.do('open', endpoint, protocol, 4);
  for (let done = 0; done < requests; ) done += await bed.load.do('saturate', channel, bed.small, 8, 1);
  await bed.load.do('close', channel);
}

async function measure(bed: Bed, one: Variant): Promise<void> {
  const { usage } = one;
  const channel = await bed.load.do('open', one.endpoint, one.protocol, 1);
  // The handshake is no part of it.
  await bed.load.do('read', channel, bed.small);
  usage?.resetPeak();
  const cpu = usage?.cpu() ?? 0;
  const path = `/api/v1/namespaces/${bed.namespace}/configmaps?${one.shape.query}`;
  const { milliseconds, bytes } = await bed.load.do('read', channel, path, one.shape.until);
  one.milliseconds.push(milliseconds);
  one.bytes = bytes;
  if (usage !== undefined) {
    one.cpu.push(usage.cpu() - cpu);
    one.peak = Math.max(one.peak, usage.peak());
  }
  await bed.load.do('close', channel);
}

function sectionOf(size: Size, variants: readonly Variant[], ours: Endpoint, before: number): Section {
  const directOf = ({ protocol, shape }: Variant) =>
    variants.find((one) => one.endpoint.name === 'direct' && one.protocol === protocol && one.shape === shape)!;
  const rows = variants.map((one) => [
    one.endpoint.name,
    one.protocol,
    one.shape.name,
    megabytes(one.bytes),
    number(median(one.milliseconds), 0),
    spread(one.milliseconds, 0),
    ratio(medianRatio(one.milliseconds, directOf(one).milliseconds)),
    one.cpu.length > 0 ? number(median(one.cpu), 0) : '–',
    one.endpoint === ours ? megabytes(one.peak - before) : '–',
  ]);
  /** What a proxy that does nothing but TLS takes in the same run. */
  const besideNginx = ({ protocol, shape }: Variant): string => {
    const nginx = variants.find(
      (one) => one.endpoint.name === 'nginx' && one.protocol === protocol && one.shape === shape,
    );
    return nginx === undefined ? '' : `; nginx ${ratio(medianRatio(nginx.milliseconds, directOf(nginx).milliseconds))}`;
  };
  const mine = variants.filter((one) => one.endpoint === ours);
  const growth = Math.max(...mine.map((one) => one.peak)) - before;
  return {
    title: 'LIST of 50 MB',
    notes: [
      `${OBJECTS} ConfigMaps of ${OBJECT_BYTES / 1_024} KiB, read whole; not compressed. Streamed: a watch with sendInitialEvents, up to the bookmark that ends the initial events. ` +
        `${size.rounds} rounds after ${size.warmRounds} that are not counted; medians (spread: the middle half), ratios within a round.`,
      'The caller is exempt from masking, which has a part of its own.',
      `API server, proxy and client share ${availableParallelism()} cores: their CPU time together bounds what any proxy can reach here. nginx, which does nothing but TLS, is the measure of that.`,
      `Growth is the peak of the gateway's resident memory during the list, over what it had after ${2 * size.warmRequests} small GETs (${megabytes(before)}).`,
    ],
    tables: [
      {
        columns: ['', 'protocol', 'shape', 'bytes', 'ms', 'spread', '× direct', 'its CPU ms', 'growth'],
        rows,
      },
    ],
    musts: [
      ...mine.map((one) => {
        const times = medianRatio(one.milliseconds, directOf(one).milliseconds);
        return {
          what: `50 MB LIST, ${one.shape.name}, ${one.protocol}: within 1.3 × direct`,
          measured: `${ratio(times)}${besideNginx(one)}`,
          pass: times <= 1.3,
        };
      }),
      { what: 'memory grows by at most 64 MiB meanwhile', measured: megabytes(growth), pass: growth <= MOST_GROWTH },
    ],
  };
}
