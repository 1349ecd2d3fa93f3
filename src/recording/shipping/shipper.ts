import { createHash } from 'node:crypto';
import { BackOff } from '../../kubernetes/back-off.ts';
import type { JointManifest } from '../joint-manifest.ts';
import { FORMAT } from '../line.ts';
import { type Manifest, sealManifest } from '../manifest.ts';
import { chainName, layout, recordingOf } from '../segment.ts';
import type { SigningKey } from '../signing-key.ts';
import type { Spool } from '../spool/spool.ts';
import { SpoolError } from '../spool/spool-error.ts';
import type { SpooledRecording } from '../spool/spooled-recording.ts';
import { type Storage, StorageError } from '../storage/storage.ts';
import { readManifest } from '../stored-recording.ts';
import { adopt } from './adoption.ts';
import { type FoundAnnouncement, readAnnouncement, readAnnouncements, writeAnnouncement } from './announcement.ts';
import { sealJoint } from './joining.ts';
import { keepRemainder } from './remainder.ts';
import { PART_BYTES, Shipment, Superseded, sealRecording } from './shipment.ts';

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
  queued: boolean;
  running: boolean;
}

const LOST_TRIED_AGAIN = 30_000;

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
  readonly #broken = new Set<string>();
  #announced: ReadonlySet<string> = new Set();
  #heard = performance.now();
  #announcing: Promise<void> = Promise.resolve();
  #sealing: Promise<unknown> = Promise.resolve();
  #adopting: Promise<void> | undefined;
  /** Recordings of which a chain ended here; whether it was the last is to be seen. The mark tells a chain that ended meanwhile. */
  readonly #joining = new Map<string, symbol>();
  #joinRun: Promise<void> | undefined;
  #last: Manifest['predecessor'];
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
    this.#events = options.events ?? {};
    options.spool.onStored((recording) => this.flush(recording));
  }

  /** Goes on where a former process stopped. Resolves at once where the store is down: that is waited for in the background. */
  async start(): Promise<void> {
    const { storage, replica } = this.#options;
    try {
      const own = await readAnnouncement(storage, layout.announcement(replica), this.#abort.signal);
      this.#last = own?.lastSealed;
      for (const name of own?.joining ?? []) this.#joining.set(name, Symbol());
    } catch (error) {
      this.#failed(error as Error);
    }
    this.#started = true;
    for (const recording of this.#options.spool.recordings) this.grown(recording);
    this.#timers = [
      setInterval(
        () =>
          void this.#announce()
            .then(() => this.#join())
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
    const urgent = recording.segments[0]?.closed === true || task.shipment.unshipped >= PART_BYTES;
    if (urgent || recording.end !== undefined) this.#enqueue(task);
    else task.timer ??= setTimeout(() => this.#enqueue(task), this.#partInterval).unref();
  }

  /** Resolves when the store has all that is written of a recording now. @throws SpoolError `Slow` when it does not take it in time */
  async flush(recording: SpooledRecording): Promise<void> {
    const task = this.#task(recording);
    const { seq } = recording;
    const late = AbortSignal.timeout(this.#options.remoteTimeout ?? 10_000);
    const ended = new Promise<void>((resolve) => {
      late.addEventListener('abort', () => resolve(), { once: true });
    });
    while (task.shipment.shippedSeq < seq && this.#tasks.get(recording) === task) {
      if (late.aborted || this.#stopped) {
        throw new SpoolError('Slow', 'the store does not take what is recorded', { cause: this.#lastError });
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
    await this.#join();
    await this.#announce().catch(() => {});
    clearTimeout(late);
    this.#stopped = true;
    this.#abort.abort();
    await Promise.allSettled([this.#announcing, this.#adopting, this.#joinRun, this.#sealing]);
    while (this.#running > 0) await this.#changed.promise;
    for (const { timer } of this.#tasks.values()) clearTimeout(timer);
  }

  /** Seals what replicas left that have not been heard of for long, by the store's clock. @throws StorageError */
  async adoptLost(): Promise<void> {
    this.#adopting ??= this.#adoptLost().finally(() => {
      this.#adopting = undefined;
    });
    await this.#adopting;
  }

  async #adoptLost(): Promise<void> {
    const { storage, replica, key, retention } = this.#options;
    const { signal } = this.#abort;
    await this.#announce();
    const all = await readAnnouncements(storage, signal);
    const own = all.find((each) => each.replica === replica);
    if (own === undefined) return;
    for (const lost of all) {
      if (lost === own || own.modifiedAt - lost.modifiedAt < this.#adoptAfter) continue;
      let left = false;
      for (const name of lost.recordings) {
        if (this.#broken.has(name)) {
          left = true;
          continue;
        }
        const adoption = await this.#inTurn(async () => {
          const done = await adopt(name, { storage, key, replica, retention, predecessor: this.#last, signal });
          if (done.outcome === 'Sealed') this.#last = { name, sha256: done.sha256 };
          return done;
        });
        if (adoption.outcome === 'Sealed') {
          this.#events.adopted?.(adoption.manifest, adoption.sha256, layout.manifest(name));
        } else if (adoption.outcome === 'Broken') {
          left = true;
          this.#broken.add(name);
          this.#events.broken?.(name, adoption.reason);
        }
      }
      await this.#letGo(lost, left);
    }
    await this.#join();
  }

  /**
   * What a replica that is gone had open is sealed: its word that it has it open goes, and whether it was the last of its recording is
   * for this replica to see. What could not be sealed stays said.
   */
  async #letGo(lost: FoundAnnouncement, left: boolean): Promise<void> {
    const { storage } = this.#options;
    const { signal } = this.#abort;
    const stays = lost.recordings.filter((name) => this.#broken.has(name));
    if (left && stays.length === lost.recordings.length && (lost.joining ?? []).length === 0) return;
    for (const name of lost.recordings) {
      const chain = chainName(name);
      if (chain !== undefined && !this.#broken.has(name)) this.#joining.set(chain.recording, Symbol());
    }
    for (const name of lost.joining ?? [])
      if (chainName(`${name}.x`)?.recording === name) this.#joining.set(name, Symbol());
    await this.#announce();
    // It may have come back meanwhile.
    const [again] = (await readAnnouncements(storage, signal)).filter((each) => each.key === lost.key);
    if (again?.modifiedAt !== lost.modifiedAt) return;
    if (left) {
      if (layout.announcement(lost.replica) !== lost.key) return;
      await writeAnnouncement(
        storage,
        { replica: lost.replica, recordings: stays, lastSealed: lost.lastSealed },
        signal,
      );
      return;
    }
    await storage.remove(lost.key, signal).catch((error: unknown) => {
      // Another one, who adopted the same, was first.
      if (!(error instanceof StorageError && error.fault === 'NotFound')) throw error;
    });
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
      task = { shipment, ours: false, timer: undefined, queued: false, running: false };
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
      if (!this.#announced.has(name)) await this.#announce();
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

  /** One manifest after another: each names the one before. */
  async #seal(recording: SpooledRecording): Promise<void> {
    const { storage, spool, key, replica, retention } = this.#options;
    const { identity, sealed, seq, hash, counts, end } = recording;
    const { manifest, sha256 } = await this.#inTurn(async () => {
      const made: Manifest = {
        format: FORMAT,
        recording: identity,
        state: 'Complete',
        reason: end!.reason,
        endTime: end!.time,
        lines: seq,
        hash,
        counts,
        segments: sealed,
        sealedBy: replica,
        predecessor: this.#last,
      };
      const file = sealManifest(made, key);
      try {
        await sealRecording(storage, made, file, retention, this.#abort.signal);
      } catch (error) {
        if (!(error instanceof StorageError && error.fault === 'Exists')) throw error;
        // Sealed by this replica before it was restarted: its answer, or what the announcement said since, was lost.
        const there = await readManifest(storage, identity.name, this.#abort.signal);
        if (there === undefined || there.manifest.sealedBy !== replica || there.manifest.hash !== hash) {
          throw new Superseded(error.message, { cause: error });
        }
        this.#last = { name: identity.name, sha256: there.sha256 };
        return there;
      }
      const digest = createHash('sha256').update(file).digest('hex');
      this.#last = { name: identity.name, sha256: digest };
      return { manifest: made, sha256: digest };
    });
    this.#tasks.delete(recording);
    const isChain = chainName(identity.name) !== undefined;
    // Before it is let go of here: from then on nobody says any more that it has a chain open.
    if (isChain) this.#joining.set(recordingOf(identity.name), Symbol());
    await spool.remove(recording);
    this.#events.sealed?.(manifest, sha256, layout.manifest(identity.name));
    if (isChain) {
      this.#events.left?.(identity.name);
      // Anew: who looked meanwhile still saw it open here.
      this.#joining.set(recordingOf(identity.name), Symbol());
      void this.#join();
    }
  }

  /**
   * Seals each recording whose last chain has ended. First this replica says that it has none of it open any more, then it looks who
   * has: so of two that end at once the second one at least sees that nobody has. Never throws: what fails is tried again.
   */
  async #join(): Promise<void> {
    while (this.#joinRun !== undefined) await this.#joinRun;
    if (this.#joining.size === 0) return;
    this.#joinRun = this.#joinAll()
      .catch((error: unknown) => {
        if (!this.#abort.signal.aborted) this.#events.failed?.(error as Error);
      })
      .finally(() => {
        this.#joinRun = undefined;
      });
    await this.#joinRun;
  }

  async #joinAll(): Promise<void> {
    const { storage } = this.#options;
    const due = [...this.#joining];
    await this.#announce();
    const all = await readAnnouncements(storage, this.#abort.signal);
    for (const [recording, mark] of due) {
      await this.#joinOne(recording, all);
      if (this.#joining.get(recording) === mark) this.#joining.delete(recording);
    }
  }

  async #joinOne(recording: string, announced: readonly FoundAnnouncement[]): Promise<void> {
    const open = announced.some(({ recordings }) => recordings.some((name) => isChainOf(name, recording)));
    // Whoever has one open looks for itself when it has ended, or whoever seals for it.
    if (open || [...this.#options.spool.recordings].some(({ identity }) => isChainOf(identity.name, recording))) return;
    const { storage, key, replica, retention } = this.#options;
    const { signal } = this.#abort;
    const sealed = await this.#inTurn(async () => {
      const done = await sealJoint(recording, { storage, key, replica, retention, predecessor: this.#last, signal });
      if (done !== undefined) this.#last = { name: recording, sha256: done.sha256 };
      return done;
    });
    if (sealed !== undefined) this.#events.joined?.(sealed.manifest, sealed.sha256);
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

  /** Writes what is open now; those who ask while one is under way wait for the next. */
  #announce(): Promise<void> {
    const { storage, replica, spool } = this.#options;
    const next = this.#announcing
      .catch(() => {})
      .then(async () => {
        const recordings = [...spool.recordings].map(({ identity }) => identity.name);
        const joining = [...this.#joining.keys()];
        const said = { replica, recordings, ...(joining.length > 0 && { joining }), lastSealed: this.#last };
        await writeAnnouncement(storage, said, this.#abort.signal);
        this.#announced = new Set(recordings);
        // Silent for so long, this replica may have been taken for gone.
        if (performance.now() - this.#heard > this.#adoptAfter / 2)
          for (const task of this.#tasks.values()) task.ours = false;
        this.#heard = performance.now();
      });
    this.#announcing = next;
    return next;
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const next = this.#sealing.catch(() => {}).then(work);
    this.#sealing = next;
    return next;
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

function isChainOf(name: string, recording: string): boolean {
  return name.startsWith(`${recording}.`);
}
