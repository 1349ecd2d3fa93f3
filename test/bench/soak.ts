import { setTimeout as sleep } from 'node:timers/promises';
import { Agent, request } from 'undici';
import type { GatewayProcess } from '../gateway/gateway-process.ts';
import { storedRecordings, verifyStored } from '../recording/recorded.ts';
import type { Bed } from './bed.ts';
import { GatewayMemory } from './gateway-memory.ts';
import { part } from './part.ts';
import { ProcessUsage } from './process-usage.ts';
import { median } from './quantile.ts';
import type { Must, Section } from './section.ts';
import { megabytes, number, percent } from './words.ts';

interface Size {
  readonly seconds: number;
  readonly sessions: number;
  /** Requests a second, of all of them. */
  readonly rate: number;
  /** Streams that are open at any time. */
  readonly watches: number;
}

interface Sample {
  readonly at: number;
  readonly resident: number;
}

/** What is left when the garbage is gone. */
interface Settled extends NodeJS.MemoryUsage {
  readonly at: number;
}

const MiB = 1 << 20;
/** The ConfigMap that all of them change. */
const PATCHED = 'soak-patched';

/** Hours in minutes: sessions come and go, are recorded and sealed, and nothing of them stays in memory. */
export const soak = part<Size>(
  'soak',
  {
    full: { seconds: 600, sessions: 200, rate: 100, watches: 20 },
    quick: { seconds: 20, sessions: 20, rate: 50, watches: 4 },
  },
  async (bed, size) => {
    // Recordings end early and often: what is left of each would be seen.
    const recording = { idleTimeout: '15s', maxDuration: '1m', segmentBytes: 1 << 20 };
    const memory = await GatewayMemory.start(bed, (env) => bed.recordingGateway('Process', { env, recording }));
    const path = `/api/v1/namespaces/${bed.namespace}/configmaps`;
    await bed.cluster.admin('POST', path, { metadata: { name: PATCHED } });
    const crowd = await Crowd.open(bed, memory.gateway, size);
    const usage = new ProcessUsage(memory.gateway.pid);
    const samples: Sample[] = [];
    const settled: Settled[] = [];
    const begun = performance.now();
    const cpu = usage.cpu();
    const elapsed = (): number => (performance.now() - begun) / 1_000;
    const working = crowd.work(size.seconds);
    // Many a time in each third: at any one moment two hundred recordings may just be being sealed, as they are when the minute is full.
    const between = size.seconds / 30;
    for (let next = between; elapsed() < size.seconds; await sleep(1_000)) {
      samples.push({ at: elapsed(), resident: usage.resident() });
      if (elapsed() < next) continue;
      next += between;
      settled.push({ at: elapsed(), ...(await memory.settled()) });
    }
    await working;
    const used = (usage.cpu() - cpu) / 1_000 / elapsed();
    await crowd.close();
    await sealed(memory.gateway);
    await memory.gateway.kill('SIGTERM');
    const names = storedRecordings(memory.gateway);
    let lines = 0;
    let sound = 0;
    for (const name of names) {
      const report = await verifyStored(memory.gateway, name).catch(() => undefined);
      lines += report?.lines ?? 0;
      if (report?.sound === true && report.state === 'Complete') sound += 1;
    }
    await memory.gateway.stop();
    return sectionOf(size, { samples, settled, crowd, cores: used, recordings: names.length, sound, lines });
  },
  { byName: true },
);

/** Waits until nobody has asked for so long that every recording is in the store; a busy machine takes its time. */
async function sealed(gateway: GatewayProcess): Promise<void> {
  for (const end = performance.now() + 240_000; performance.now() < end; await sleep(1_000)) {
    const { body } = await gateway.probe('/metrics');
    if (/^sallyport_recordings_open 0$/m.test(body) && /^sallyport_recording_spool_bytes 0$/m.test(body)) return;
  }
}

interface Asked {
  readonly method: 'GET' | 'POST' | 'PATCH';
  readonly path: string;
  readonly token: string;
  readonly wanted: number;
  readonly body?: string;
}

/** People's agents, each with a token of its own. */
class Crowd {
  readonly #bed: Bed;
  readonly #size: Size;
  readonly #url: string;
  readonly #agent: Agent;
  readonly #tokens: readonly string[];
  sent = 0;
  failed = 0;
  streamed = 0;

  private constructor(bed: Bed, gateway: GatewayProcess, size: Size, tokens: readonly string[]) {
    this.#bed = bed;
    this.#size = size;
    this.#url = gateway.url;
    this.#tokens = tokens;
    this.#agent = new Agent({ connections: 64, connect: { ca: gateway.caPem }, bodyTimeout: 0 });
  }

  static async open(bed: Bed, gateway: GatewayProcess, size: Size): Promise<Crowd> {
    const tokens: string[] = [];
    for (let index = 0; index < size.sessions; index += 1) tokens.push(await bed.recordedToken(`soak-${index}`));
    return new Crowd(bed, gateway, size, tokens);
  }

  async work(seconds: number): Promise<void> {
    const { rate, watches } = this.#size;
    const begun = performance.now();
    const over = (): boolean => performance.now() - begun > seconds * 1_000;
    const streams = Array.from({ length: watches }, (_, index) => this.#watch(index, over));
    const open = new Set<Promise<void>>();
    let due = 0;
    while (!over()) {
      for (const until = ((performance.now() - begun) / 1_000) * rate; due < until; due += 1) {
        const one: Promise<void> = this.#request(due).finally(() => open.delete(one));
        open.add(one);
      }
      await sleep(10);
    }
    await Promise.all([...open, ...streams]);
  }

  async close(): Promise<void> {
    await this.#agent.destroy();
  }

  /** Mostly reads; every tenth a list; every seventh a write, by turns one that is carried out and one that is refused and kept. */
  async #request(index: number): Promise<void> {
    // In turns of a minute only some of the sessions are at work: the others are idle, and sealed.
    const half = Math.ceil(this.#tokens.length / 2);
    const turn = Math.floor(index / (this.#size.rate * 30)) % 2;
    const token = this.#tokens[(turn * half + (index % half)) % this.#tokens.length]!;
    const maps = `/api/v1/namespaces/${this.#bed.namespace}/configmaps`;
    if (index % 14 === 0) {
      const body = JSON.stringify({ data: { by: String(index % half), at: String(index) } });
      await this.#ask({ method: 'PATCH', path: `${maps}/${PATCHED}`, token, wanted: 200, body });
    } else if (index % 7 === 0) {
      const body = JSON.stringify({ metadata: { name: `soak-${index}` } });
      await this.#ask({ method: 'POST', path: maps, token, wanted: 403, body });
    } else {
      await this.#ask({ method: 'GET', path: index % 10 === 0 ? maps : this.#bed.small, token, wanted: 200 });
    }
  }

  async #ask({ method, path, token, wanted, body }: Asked): Promise<void> {
    this.sent += 1;
    try {
      const type = method === 'PATCH' ? 'application/merge-patch+json' : 'application/json';
      const headers = { authorization: `Bearer ${token}`, ...(body !== undefined && { 'content-type': type }) };
      const answer = await request(this.#url + path, { method, headers, dispatcher: this.#agent, body: body ?? null });
      await answer.body.dump();
      if (answer.statusCode !== wanted) this.failed += 1;
    } catch {
      this.failed += 1;
    }
  }

  async #watch(index: number, over: () => boolean): Promise<void> {
    const token = this.#tokens[index % this.#tokens.length]!;
    const path = `/api/v1/namespaces/${this.#bed.namespace}/configmaps?watch=1&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true&timeoutSeconds=5`;
    while (!over()) {
      try {
        const headers = { authorization: `Bearer ${token}` };
        const answer = await request(this.#url + path, { headers, dispatcher: this.#agent });
        if (answer.statusCode !== 200) this.failed += 1;
        for await (const chunk of answer.body) this.streamed += (chunk as Buffer).length;
      } catch {
        this.failed += 1;
        await sleep(200);
      }
    }
  }
}

interface Found {
  readonly samples: readonly Sample[];
  readonly settled: readonly Settled[];
  readonly crowd: Crowd;
  readonly cores: number;
  readonly recordings: number;
  readonly sound: number;
  readonly lines: number;
}

function sectionOf(size: Size, { samples, settled, crowd, cores, recordings, sound, lines }: Found): Section {
  const thirds = <Each extends { readonly at: number }>(all: readonly Each[], of: (each: Each) => number): number[] =>
    [0, 1, 2].map((third) =>
      median(all.filter(({ at }) => Math.min(2, Math.floor((at * 3) / size.seconds)) === third).map(of)),
    );
  const live = thirds(settled, ({ heapUsed, external }) => heapUsed + external);
  const held = thirds(samples, ({ resident }) => resident);
  const grown = live[2]! - live[0]!;
  const resident = held[2]! / held[1]! - 1;
  const musts: Must[] = [
    { what: 'no request fails', measured: `${crowd.failed} of ${crowd.sent}`, pass: crowd.failed === 0 },
    {
      what: 'every recording is sealed and verifies',
      measured: `${sound} of ${recordings}`,
      pass: sound === recordings,
    },
    {
      what: 'what lives in memory does not grow: from the first third to the last at most 8 MiB',
      measured: megabytes(grown),
      pass: grown <= 8 * MiB,
    },
    {
      what: 'resident memory is flat: the last third at most 10 % over the second',
      measured: percent(resident),
      pass: resident <= 0.1,
    },
  ];
  return {
    title: 'Soak',
    notes: [
      `${size.sessions} sessions for ${number(size.seconds / 60, 1)} minutes, ${size.rate} requests a second (reads, lists, writes that are carried out and that are refused) and ${size.watches} watches of five seconds, one behind the other; level RequestResponse, Strict, durability Process. ` +
        'Recordings end after fifteen seconds without a request, and after a minute; all of them were verified in the end.',
      'Lives: heap and what belongs to it after a collection of garbage, median of ten looks in each third. Resident: median of one sample a second.',
    ],
    tables: [
      {
        columns: ['', 'first third', 'second', 'last'],
        rows: [
          ['lives', ...live.map((bytes) => megabytes(bytes))],
          ['of it the heap', ...thirds(settled, ({ heapUsed }) => heapUsed).map((bytes) => megabytes(bytes))],
          ['resident', ...held.map((bytes) => megabytes(bytes))],
        ],
      },
      {
        columns: ['requests', 'failed', 'KB of watches', 'cores', 'recordings', 'lines, all verified'],
        rows: [
          [
            number(crowd.sent, 0),
            String(crowd.failed),
            number(crowd.streamed / 1e3, 1),
            number(cores, 2),
            number(recordings, 0),
            number(lines, 0),
          ],
        ],
      },
    ],
    musts,
  };
}
