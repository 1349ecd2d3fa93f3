import { BackOff } from '../../kubernetes/back-off.ts';
import type { JointManifest } from '../joint-manifest.ts';
import type { Manifest } from '../manifest.ts';
import { chainName, layout, recordingOf } from '../segment.ts';
import type { SigningKey } from '../signing-key.ts';
import type { Spool } from '../spool/spool.ts';
import { SpoolError } from '../spool/spool-error.ts';
import type { SpooledRecording } from '../spool/spooled-recording.ts';
import type { Storage } from '../storage/storage.ts';
import { readManifest } from '../stored-recording.ts';
import { Adopter } from './adopter.ts';
import { readAnnouncement } from './announcement.ts';
import { Joiner } from './joiner.ts';
import { sealOwn } from './own-seal.ts';
import { Presence } from './presence.ts';
import { keepRemainder } from './remainder.ts';
import { SealOrder } from './seal-order.ts';
import { MOST_IN_PART, PART_BYTES, Shipment, Superseded } from './shipment.ts';

export interface ShipperOptions {
  readonly spool: Spool;
  readonly storage: Storage;
  readonly key: SigningKey;
  /** Of this replica: in announcements and manifests. The same after a restart, where its spool is the same. */
  readonly replica: string;
  /** Milliseconds that what is sealed stays locked; undefined: no lock. */
  readonly retention?: number | undefined;
  /** Milliseconds after which lines are sent although they make no part. */
  readonly partInterval?: number;
  /** Milliseconds between announcements. */
  readonly announceInterval?: number;
  /** Milliseconds without an announcement after which another replica is taken for gone. */
  readonly adoptAfter?: number;
  /** Recordings that are sent at once. */
  readonly parallel?: number;
  /** Milliseconds that durability Remote waits for the store. */
  readonly remoteTimeout?: number;
  readonly events?: ShipperEvents;
}

export interface ShipperEvents {
  /** @param bytes as stored */
  shipped?(bytes: number): void;
  /** The store did not take something; it is tried again. */
  failed?(error: Error): void;
  /** A recording of this replica is sealed. @param key of its manifest in the store */
  sealed?(manifest: Manifest, manifestSHA256: string, key: string): void;
  /** A recording of a replica that is gone is sealed, Incomplete. */
  adopted?(manifest: Manifest, manifestSHA256: string, key: string): void;
  /** The last chain of a recording has ended, here or for a replica that is gone: the recording is sealed. */
  joined?(manifest: JointManifest, manifestSHA256: string): void;
  /** A chain of a recording has ended, and another replica has one open: that one will seal it. */
  left?(chain: string): void;
  /** Another replica sealed a recording of this one; what it did not have is kept as `rest`. */
  superseded?(manifest: Manifest, rest: string | undefined): void;
  /** What the store has of another replica's recording does not chain: left as it is. */
  broken?(recording: string, reason: string): void;
}

export interface ShipperStatus {
  /** Bytes of lines in the spool that the store does not have. */
  readonly unshippedBytes: number;
  /** Milliseconds for which the store has not taken anything that was sent to it; 0 while it does. */
  readonly failingFor: number;
  readonly lastError: Error | undefined;
}

interface Task {
  readonly shipment: Shipment;
  /** Nobody else has sealed it while this replica could not be heard. */
  ours: boolean;
  timer: NodeJS.Timeout | undefined;
  /** When the timer is due, and before when a part is not worth its way, of a clock that never jumps. */
  due: number;
  restsUntil: number;
  queued: boolean;
  running: boolean;
}

const LOST_TRIED_AGAIN = 30_000;
/**
 * Milliseconds from one part of a recording to the next, unless that one is as large as a part may be: what streams would else go in
 * parts of a megabyte, each with a request or two flushes of its own.
 */
const REST = 200;

/**
 * Carries what the spool holds to the store: in parts while recordings are open, sealed with their manifest when they have ended.
 * While the store is down everything stays in the spool. Says in the store what it has open, and seals for replicas that are gone.
 */
export class Shipper {
  readonly #options: ShipperOptions;
  readonly #partInterval: number;
  readonly #announceInterval: number;
  readonly #adoptAfter: number;
  readonly #parallel: number;
  readonly #events: ShipperEvents;
  readonly #abort = new AbortController();
  readonly #backOff = new BackOff(250, 15_000);
  readonly #tasks = new Map<SpooledRecording, Task>();
  readonly #queue: Task[] = [];
  readonly #order = new SealOrder();
  readonly #presence: Presence;
  readonly #joiner: Joiner;
  readonly #adopter: Adopter;
  #running = 0;
  #pausedUntil = 0;
  #failingSince: number | undefined;
  #lastError: Error | undefined;
  #changed = Promise.withResolvers<void>();
  #timers: NodeJS.Timeout[] = [];
  #started = false;
  #stopped = false;

  constructor(options: ShipperOptions) {
    this.#options = options;
    this.#partInterval = options.partInterval ?? 5_000;
    this.#announceInterval = options.announceInterval ?? 10_000;
    this.#adoptAfter = options.adoptAfter ?? 120_000;
    this.#parallel = options.parallel ?? 4;
    const events = options.events ?? {};
    this.#events = events;
    const { storage, spool, replica, retention } = options;
    const order = this.#order;
    const { signal } = this.#abort;
    this.#presence = new Presence({
      ...{ storage, spool, replica, order, signal },
      trustedFor: this.#adoptAfter / 2,
      joining: () => this.#joiner.due,
      onSilence: () => {
        for (const task of this.#tasks.values()) task.ours = false;
      },
    });
    // The key may be another one by then.
    const common = { storage, replica, retention, order, signal, key: () => options.key };
    const announce = (): Promise<void> => this.#presence.announce();
    this.#joiner = new Joiner({
      ...common,
      spool,
      announce,
      onJoined: (manifest, sha256) => events.joined?.(manifest, sha256),
      onFailed: (error) => events.failed?.(error),
    });
    this.#adopter = new Adopter({
      ...common,
      joiner: this.#joiner,
      after: this.#adoptAfter,
      announce,
      onAdopted: (manifest, sha256, key) => events.adopted?.(manifest, sha256, key),
      onBroken: (recording, reason) => events.broken?.(recording, reason),
    });
    options.spool.onStored((recording) => this.flush(recording));
  }

  /** Goes on where a former process stopped. Resolves at once where the store is down: that is waited for in the background. */
  async start(): Promise<void> {
    const { storage, replica } = this.#options;
    try {
      const own = await readAnnouncement(storage, layout.announcement(replica), this.#abort.signal);
      this.#order.last = own?.lastSealed;
      for (const name of own?.joining ?? []) this.#joiner.add(name);
    } catch (error) {
      this.#failed(error as Error);
    }
    this.#started = true;
    void storage.removeTemporaries?.(this.#abort.signal).catch(() => {});
    for (const recording of this.#options.spool.recordings) this.grown(recording);
    this.#timers = [
      setInterval(
        () =>
          void this.#presence
            .announce()
            .then(() => this.#joiner.join())
            .catch(() => {}),
        this.#announceInterval,
      ).unref(),
      setInterval(() => void this.adoptLost().catch(() => {}), Math.max(this.#adoptAfter / 4, 50)).unref(),
    ];
  }

  /** A recording has new lines, or a segment of it is closed. */
  grown(recording: SpooledRecording): void {
    if (!this.#started || this.#stopped) return;
    const task = this.#task(recording);
    if (task.queued || task.running) return;
    const { unshipped } = task.shipment;
    const urgent = recording.segments[0]?.closed === true || unshipped >= MOST_IN_PART;
    if (urgent || recording.end !== undefined) this.#enqueue(task);
    else this.#later(task, unshipped >= PART_BYTES ? task.restsUntil - performance.now() : this.#partInterval);
  }

  /** Sends it after so many milliseconds, if not before. */
  #later(task: Task, milliseconds: number): void {
    if (milliseconds <= 0) {
      this.#enqueue(task);
      return;
    }
    const due = performance.now() + milliseconds;
    if (task.timer !== undefined && task.due <= due) return;
    clearTimeout(task.timer);
    task.due = due;
    task.timer = setTimeout(() => this.#enqueue(task), milliseconds).unref();
  }

  /** Resolves when the store has all that is written of a recording now. @throws SpoolError `Unstored` when it does not take it in time */
  async flush(recording: SpooledRecording): Promise<void> {
    const task = this.#task(recording);
    const { seq } = recording;
    const late = AbortSignal.timeout(this.#options.remoteTimeout ?? 10_000);
    const ended = new Promise<void>((resolve) => {
      late.addEventListener('abort', () => resolve(), { once: true });
    });
    while (task.shipment.shippedSeq < seq && this.#tasks.get(recording) === task) {
      if (late.aborted || this.#stopped) {
        throw new SpoolError('Unstored', 'the store does not take what is recorded', { cause: this.#lastError });
      }
      if (!task.queued && !task.running) this.#enqueue(task);
      await Promise.race([this.#changed.promise, ended]);
    }
  }

  get status(): ShipperStatus {
    let unshippedBytes = 0;
    for (const recording of this.#options.spool.recordings) {
      const shipment = this.#tasks.get(recording)?.shipment;
      unshippedBytes += shipment?.unshipped ?? recording.segments.reduce((sum, { bytes }) => sum + bytes, 0);
    }
    const failingFor = this.#failingSince === undefined ? 0 : performance.now() - this.#failingSince;
    return { unshippedBytes, failingFor, lastError: this.#failingSince === undefined ? undefined : this.#lastError };
  }

  /** Sends what is left, for so long; what is not in the store then stays in the spool. @param deadline milliseconds */
  async stop(deadline: number): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    const late = setTimeout(() => this.#abort.abort(), deadline);
    for (const task of this.#tasks.values()) this.#enqueue(task);
    while (!this.#abort.signal.aborted && [...this.#tasks.values()].some((task) => task.queued || task.running)) {
      const aborted = new Promise((resolve) => this.#abort.signal.addEventListener('abort', resolve, { once: true }));
      await Promise.race([this.#changed.promise, aborted]);
    }
    await this.#joiner.join();
    await this.#presence.announce().catch(() => {});
    clearTimeout(late);
    this.#stopped = true;
    this.#abort.abort();
    for (const each of [this.#presence, this.#adopter, this.#joiner, this.#order]) await each.settled();
    while (this.#running > 0) await this.#changed.promise;
    for (const { timer } of this.#tasks.values()) clearTimeout(timer);
  }

  /** Seals what replicas left that have not been heard of for long, by the store's clock. @throws StorageError */
  async adoptLost(): Promise<void> {
    await this.#adopter.adoptLost();
  }

  #task(recording: SpooledRecording): Task {
    let task = this.#tasks.get(recording);
    if (task === undefined) {
      const { storage, retention } = this.#options;
      const shipment = new Shipment(recording, {
        storage,
        retention,
        signal: this.#abort.signal,
        onShipped: (bytes) => {
          this.#succeeded();
          this.#events.shipped?.(bytes);
        },
      });
      task = { shipment, ours: false, timer: undefined, due: 0, restsUntil: 0, queued: false, running: false };
      this.#tasks.set(recording, task);
    }
    return task;
  }

  #enqueue(task: Task): void {
    clearTimeout(task.timer);
    task.timer = undefined;
    if (task.queued || task.running) return;
    task.queued = true;
    this.#queue.push(task);
    this.#pump();
  }

  #pump(): void {
    const wait = this.#pausedUntil - performance.now();
    if (wait > 0 || this.#abort.signal.aborted) return;
    while (this.#running < this.#parallel) {
      const task = this.#queue.shift();
      if (task === undefined) return;
      task.queued = false;
      task.running = true;
      task.restsUntil = performance.now() + REST;
      this.#running += 1;
      void this.#run(task).finally(() => {
        task.running = false;
        this.#running -= 1;
        this.#tell();
        if (this.#tasks.has(task.shipment.recording)) this.grown(task.shipment.recording);
        this.#pump();
      });
    }
  }

  async #run(task: Task): Promise<void> {
    const { recording } = task.shipment;
    const { name } = recording.identity;
    try {
      // Before its first part is there, another replica must be able to know whose it is.
      if (!this.#presence.hasSaid(name)) await this.#presence.announce();
      if (!task.ours && (await readManifest(this.#options.storage, name, this.#abort.signal)) !== undefined) {
        if (recording.end === undefined || recording.segments.length > 0)
          throw new Superseded(`${name} is sealed already`);
      }
      task.ours = true;
      await task.shipment.ship();
      this.#succeeded();
      if (recording.end !== undefined && recording.segments.length === 0) await this.#seal(recording);
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      if (error instanceof Superseded) await this.#superseded(recording, error);
      else this.#failed(error as Error);
    }
  }

  async #seal(recording: SpooledRecording): Promise<void> {
    const { spool, storage, key, replica, retention } = this.#options;
    const { identity } = recording;
    const order = this.#order;
    const { signal } = this.#abort;
    const { manifest, sha256 } = await sealOwn(recording, { storage, order, key, replica, retention, signal });
    this.#tasks.delete(recording);
    const isChain = chainName(identity.name) !== undefined;
    // Before it is let go of here: from then on nobody says any more that it has a chain open.
    if (isChain) this.#joiner.add(recordingOf(identity.name));
    await spool.remove(recording);
    this.#events.sealed?.(manifest, sha256, layout.manifest(identity.name));
    if (isChain) {
      this.#events.left?.(identity.name);
      // Anew: who looked meanwhile still saw it open here.
      this.#joiner.add(recordingOf(identity.name));
      void this.#joiner.join();
    }
  }

  async #superseded(recording: SpooledRecording, reason: Error): Promise<void> {
    const { spool, storage } = this.#options;
    try {
      const kept = await keepRemainder(recording, spool, storage, this.#abort.signal);
      if (kept === undefined) return this.#failed(reason, LOST_TRIED_AGAIN);
      this.#tasks.delete(recording);
      await spool.remove(recording);
      this.#events.superseded?.(kept.manifest, kept.rest?.identity.name);
      if (kept.rest !== undefined) this.grown(kept.rest);
    } catch (error) {
      this.#failed(error as Error);
    }
  }

  #succeeded(): void {
    this.#failingSince = undefined;
    this.#backOff.reset();
    this.#tell();
  }

  /** One store, one pause: a store that is down is not asked by every recording at once. */
  #failed(error: Error, atLeast = 0): void {
    this.#lastError = error;
    this.#failingSince ??= performance.now();
    const wait = Math.max(this.#backOff.next(), atLeast);
    this.#pausedUntil = performance.now() + wait;
    setTimeout(() => {
      this.#pausedUntil = 0;
      this.#pump();
    }, wait).unref();
    this.#events.failed?.(error);
    this.#tell();
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers<void>();
  }
}
