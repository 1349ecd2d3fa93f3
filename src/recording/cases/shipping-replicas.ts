import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import type { EventLine, Line } from '../line.ts';
import type { Manifest } from '../manifest.ts';
import { Shipper, type ShipperEvents, type ShipperOptions } from '../shipping/shipper.ts';
import { newSigningKey, readSigningKey } from '../signing-key.ts';
import { Spool, type SpoolOptions } from '../spool/spool.ts';
import type { SpooledRecording } from '../spool/spooled-recording.ts';
import { FilesystemStorage } from '../storage/filesystem.ts';
import { type Storage, StorageError, type StorageFault } from '../storage/storage.ts';
import { recordingFiles } from '../stored-recording.ts';
import { linesOf } from '../timeline-lines.ts';
import { verifyRecording } from '../verify.ts';
import { SAMPLE_IDENTITY } from './sample-recording.ts';

/** What tests of shipping run on: replicas with spools of their own, and a store whose answers can be spoiled. */

export const key = readSigningKey(newSigningKey());
/** Of one test: spools by the names of their replicas, and the store. */
export let home: string;
const running: { stop(): Promise<void> }[] = [];

/** Makes a home for each test of a file, and stops what was started in it. */
export function inAHomeOfItsOwn(): void {
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'shipping-'));
  });
  afterEach(async () => {
    for (const each of running.splice(0)) await each.stop();
    rmSync(home, { recursive: true, force: true });
  });
}

/** A store whose answers a test can spoil. */
export class Moody {
  fault: StorageFault | undefined;
  /** Does what was asked, and then says that it failed. */
  losesAnswers = false;
  /** Calls stay under way until it is opened. */
  gate: Promise<void> | undefined;
  calls = 0;
  /** Calls under way, and the most that were at once. */
  underway = 0;
  most = 0;
  /** Calls by their names. */
  readonly asked: string[] = [];
  readonly storage: Storage;

  constructor(folder: string) {
    const real = new FilesystemStorage(folder);
    this.storage = new Proxy(real as Storage, {
      get: (_, name) => {
        const value = (real as unknown as Record<string | symbol, unknown>)[name];
        if (typeof value !== 'function') return value;
        const asynchronous = ['putSealed', 'putMutable', 'appendPart', 'sealParts', 'remove', 'parts'].includes(
          String(name),
        );
        if (!asynchronous) return value.bind(real) as unknown;
        return async (...args: unknown[]) => {
          this.calls += 1;
          this.asked.push(String(name));
          this.underway += 1;
          this.most = Math.max(this.most, this.underway);
          try {
            await this.#pass(args.at(-1));
          } finally {
            this.underway -= 1;
          }
          if (this.fault !== undefined) throw new StorageError(this.fault, 'a fault of the test');
          const result: unknown = await (value as (...all: unknown[]) => Promise<unknown>).apply(real, args);
          if (this.losesAnswers) throw new StorageError('Unavailable', 'the answer was lost');
          return result;
        };
      },
    });
  }

  /** Ends early as the client of a real store does: at its time-out, which here is the shipper's signal. */
  async #pass(signal: unknown): Promise<void> {
    if (this.gate === undefined) return;
    const ended = new Promise<never>((_, reject) => {
      if (!(signal instanceof AbortSignal)) return;
      const end = (): void => reject(new StorageError('Unavailable', 'ended'));
      if (signal.aborted) end();
      else signal.addEventListener('abort', end, { once: true });
    });
    await Promise.race([this.gate, ended]);
  }
}

export async function replica(
  name: string,
  store: Storage,
  more: Partial<ShipperOptions> = {},
  spooling: Partial<SpoolOptions> = {},
) {
  const log: string[] = [];
  const sealed: Manifest[] = [];
  const shipped = { bytes: 0 };
  let shipper: Shipper | undefined;
  const spool = await Spool.open({
    folder: join(home, name),
    durability: 'Process',
    maxBytes: 64 << 20,
    minFreeBytes: 0,
    segmentBytes: 1 << 16,
    segmentAge: 3_600_000,
    events: { grown: (recording) => shipper?.grown(recording) },
    ...spooling,
  });
  const events: ShipperEvents = {
    shipped: (bytes) => void (shipped.bytes += bytes),
    failed: (error) => void log.push(`failed ${error.message}`),
    sealed: (manifest) => {
      sealed.push(manifest);
      log.push(`sealed ${manifest.recording.name}`);
    },
    adopted: (manifest) => {
      sealed.push(manifest);
      log.push(`adopted ${manifest.recording.name}`);
    },
    superseded: (manifest, rest) => void log.push(`superseded ${manifest.recording.name} ${rest}`),
    broken: (recording, reason) => void log.push(`broken ${recording}: ${reason}`),
  };
  shipper = new Shipper({
    spool,
    storage: store,
    key,
    replica: name,
    partInterval: 30,
    announceInterval: 50,
    adoptAfter: 3_600_000,
    events,
    ...more,
  });
  await shipper.start();
  let stopped = false;
  const stop = async (): Promise<void> => {
    if (stopped) return;
    stopped = true;
    await shipper.stop(2_000);
    await spool.close();
  };
  /** As `kill -9` does: nothing is sent any more. */
  const vanish = async (): Promise<void> => {
    stopped = true;
    await shipper.stop(0);
    await spool.close();
  };
  running.push({ stop });
  return { spool, shipper, log, sealed, shipped, stop, vanish };
}

let events = 0;
export function lines(count: number, size = 100): Line[] {
  return Array.from({ length: count }, (): EventLine => {
    events += 1;
    return {
      kind: 'Event',
      level: 'Metadata',
      auditID: `event-${events}`,
      stage: 'ResponseComplete',
      requestReceivedTimestamp: '2026-01-02T03:04:05.700Z',
      stageTimestamp: '2026-01-02T03:04:05.800Z',
      requestURI: `/api/v1/pods?x=${randomBytes(size / 2).toString('hex')}`,
      verb: 'list',
      user: { username: 'alice', groups: [] },
      caller: SAMPLE_IDENTITY.caller,
      sourceIPs: ['192.0.2.7'],
      outcome: 'Complete',
    };
  });
}

export const append = async (recording: SpooledRecording, count: number, size = 100): Promise<void> =>
  await recording.append(lines(count, size), count * (300 + size));
export const identity = (name: string, by = 'a') => ({ ...SAMPLE_IDENTITY, name, replica: by });

export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000;
  while (!(await condition())) {
    if (performance.now() > deadline) throw new Error(`in vain: ${what}`);
    await delay(10);
  }
}

export async function verified(storage: Storage, name: string) {
  const report = await verifyRecording(recordingFiles(storage, name), (id) =>
    id === key.id ? key.publicKey : undefined,
  );
  assert.deepEqual(report.findings, []);
  return report;
}

export async function storedSeq(storage: Storage, name: string): Promise<number> {
  let last = 0;
  for await (const { seq } of linesOf(storage, name)) last = seq;
  return last;
}
