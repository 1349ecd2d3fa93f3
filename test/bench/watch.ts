import { setTimeout as sleep } from 'node:timers/promises';
import { startBareServer } from './bare-server.ts';
import type { Bed } from './bed.ts';
import type { Endpoint, Protocol } from './endpoint.ts';
import { GatewayMemory } from './gateway-memory.ts';
import { part } from './part.ts';
import { ProcessUsage } from './process-usage.ts';
import { quantile } from './quantile.ts';
import type { RunningProxy } from './running-proxy.ts';
import type { Section } from './section.ts';
import { kilobytes, number } from './words.ts';

interface Shape {
  /** What must hold does so for watches; a client's own connection is a second thing, and shown beside. */
  readonly must?: boolean;
  readonly name: string;
  readonly protocol: Protocol;
  readonly perConnection: number;
}

const SHAPES: readonly Shape[] = [
  { name: '100 on a connection', protocol: 'HTTP/2', perConnection: 100, must: true },
  { name: 'a connection each', protocol: 'HTTP/2', perConnection: 1 },
  { name: 'a connection each', protocol: 'HTTP/1.1', perConnection: 1 },
];
const MOST_EACH = 60 * 1_024;

interface Measured {
  readonly name: string;
  readonly shape: Shape;
  /** Bytes of each watch; undefined for direct. */
  readonly resident: number | undefined;
  readonly heap: number | undefined;
  readonly external: number | undefined;
  readonly delays: readonly number[];
}

interface Size {
  /** Opened before memory is looked at: what a process takes for its first watches is not what each one takes. */
  readonly first: number;
  readonly watches: number;
  readonly fanOuts: number;
}

/** Idle watches: what one costs in memory, and how fast an event reaches all. */
export const watch = part<Size>(
  'watch',
  { full: { first: 200, watches: 500, fanOuts: 10 }, quick: { first: 20, watches: 50, fanOuts: 2 } },
  async (bed, size) => {
    const writer = await bed.writer();
    const measured: Measured[] = [];
    for (const shape of SHAPES) {
      measured.push({
        name: 'direct',
        shape,
        resident: undefined,
        heap: undefined,
        external: undefined,
        delays: (await withWatches(bed, bed.direct, shape, size, writer, () => undefined)).delays,
      });
      const proxies: (RunningProxy | undefined)[] = [
        shape.protocol === 'HTTP/1.1' ? await bed.startKubectlProxy() : undefined,
        await bed.startNginx(),
        await startBareServer(),
      ];
      for (const proxy of proxies) {
        if (proxy === undefined) continue;
        measured.push(await throughProxy(bed, proxy, shape, size, writer));
        await proxy.stop();
      }
      measured.push(await throughGateway(bed, shape, size, writer, 'gateway'));
      if (shape.must === true) measured.push(await throughGateway(bed, shape, size, writer, 'gateway, no masks'));
    }
    return sectionOf(size, measured);
  },
);

async function throughGateway(
  bed: Bed,
  shape: Shape,
  size: Size,
  writer: Endpoint,
  name: 'gateway' | 'gateway, no masks',
): Promise<Measured> {
  const memory = await GatewayMemory.start(bed);
  const endpoint = name === 'gateway' ? bed.through(memory.gateway) : bed.unmasked(memory.gateway);
  const { delays, before, after } = await withWatches(bed, endpoint, shape, size, writer, () => memory.settled());
  await memory.gateway.stop();
  const more = size.watches - size.first;
  return {
    name,
    shape,
    resident: (after.rss - before.rss) / more,
    heap: (after.heapUsed - before.heapUsed) / more,
    external: (after.external - before.external) / more,
    delays,
  };
}

async function throughProxy(
  bed: Bed,
  proxy: RunningProxy,
  shape: Shape,
  size: Size,
  writer: Endpoint,
): Promise<Measured> {
  const usage = new ProcessUsage(proxy.pid);
  const { delays, before, after } = await withWatches(
    bed,
    proxy.endpoint,
    shape,
    size,
    proxy.answersItself === true ? undefined : writer,
    () => usage.resident(),
  );
  const resident = (after - before) / (size.watches - size.first);
  return { name: proxy.endpoint.name, shape, resident, heap: undefined, external: undefined, delays };
}

/** @param look at the memory of what is between: with the first watches open, and with all of them */
async function withWatches<Memory>(
  bed: Bed,
  endpoint: Endpoint,
  shape: Shape,
  size: Size,
  writer: Endpoint | undefined,
  look: () => Memory | Promise<Memory>,
): Promise<{ delays: number[]; before: Memory; after: Memory }> {
  const open = async (count: number): Promise<Memory> => {
    await bed.load.do('openWatches', endpoint, shape.protocol, pathOf(bed), count, shape.perConnection);
    await sleep(1_000);
    return await look();
  };
  const before = await open(size.first);
  const after = await open(size.watches - size.first);
  const delays: number[] = [];
  for (let change = 0; writer !== undefined && change < size.fanOuts; change++) {
    delays.push(...(await bed.load.do('fanOut', writer, bed.small)));
    await sleep(50);
  }
  await bed.load.do('closeWatches');
  await sleep(300);
  return { delays, before, after };
}

function pathOf(bed: Bed): string {
  return `/api/v1/namespaces/${bed.namespace}/configmaps?watch=1&fieldSelector=metadata.name%3Dsmall`;
}

function sectionOf(size: Size, measured: readonly Measured[]): Section {
  const shown = (bytes: number | undefined): string => (bytes === undefined ? '–' : kilobytes(bytes));
  return {
    title: `${size.watches} idle watches`,
    notes: [
      `Memory each: what the proxy process has more with ${size.watches} watches open than with ${size.first}, divided by the difference; the gateway after its garbage is collected. ` +
        'What a process takes for its first watches (its young generation grows, code is compiled) is in none of them.',
      'In the rows "gateway" the caller is one like any other: the default masks apply, and each watch has an engine that looks at its events. "No masks" is a caller who is exempt; the difference is what masking holds of a watch that is silent.',
      `Fan-out: from the moment before one object is changed until each watch has its event, all ${size.watches} clients in one process; ${size.fanOuts} changes.`,
      'kubectl proxy has no TLS towards its client, and one HTTP/2 connection to the API server; nginx has one upstream connection for each watch. ' +
        '"bare node" is a TLS server of node alone that answers and then says nothing, with no API server behind it: what a client’s own connection costs in node before anything is done with it.',
    ],
    tables: [
      {
        columns: [
          '',
          'watches',
          'protocol',
          'resident each',
          'JS heap each',
          'external each',
          'p50 ms',
          'p99 ms',
          'max ms',
        ],
        rows: measured.map(({ name, shape, resident, heap, external, delays }) => [
          name,
          shape.name,
          shape.protocol,
          shown(resident),
          shown(heap),
          shown(external),
          number(quantile(delays, 0.5), 1),
          number(quantile(delays, 0.99), 1),
          number(quantile(delays, 1), 1),
        ]),
      },
    ],
    musts: measured
      .filter((one) => one.name.startsWith('gateway') && one.shape.must === true)
      .map(({ name, shape, resident }) => ({
        what: `a watch takes under 60 KB, ${shape.name}, ${shape.protocol}${name === 'gateway' ? '' : ', no masks'}`,
        measured: shown(resident),
        pass: resident !== undefined && resident < MOST_EACH,
      })),
  };
}
