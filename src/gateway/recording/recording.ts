import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RecordingConfiguration } from '../../config/recording.ts';
import type { Caller } from '../../identity/caller.ts';
import type { SecretStore } from '../../identity/session-key.ts';
import type { Logger } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { recordingOf } from '../../recording/segment.ts';
import { Shipper } from '../../recording/shipping/shipper.ts';
import { Siem } from '../../recording/siem/siem.ts';
import { Spool, type SpoolOptions } from '../../recording/spool/spool.ts';
import { SpoolLocked } from '../../recording/spool/spool-lock.ts';
import { checkStorage, openStorage, retentionOf } from '../../recording/storage/open.ts';
import type { Storage } from '../../recording/storage/storage.ts';
import type { Own } from '../../upstream/own.ts';
import type { Recorder } from '../pipeline.ts';
import { IndexWriter } from './index-writer.ts';
import { knownStore } from './known-store.ts';
import { GatewayRecorder } from './recorder.ts';
import { RecordingAccess } from './recording-access.ts';
import { RecordingReader } from './recording-reader.ts';
import { Recordings } from './recordings.ts';
import { replicaOf } from './replica.ts';
import { SealedIndex } from './sealed-index.ts';
import { SigningKeys } from './signing-keys.ts';

export const RECORDING_KEYS_SECRET = 'sallyport-recording-keys';

export interface RecordingOptions {
  readonly configuration: RecordingConfiguration;
  readonly own: Own;
  readonly secrets: SecretStore;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Milliseconds until a request's body must be complete. */
  readonly bodyTimeout: number;
  readonly version: string;
}

/** From the end of the last request to the last word to store and API server, in milliseconds. */
const LAST_WORDS = 10_000;

/** Recording as the gateway runs it: spool, shipping, index, and the recorder that the pipeline asks. */
export class Recording {
  readonly recorder: Recorder;
  readonly #recordings: Recordings;
  readonly #spool: Spool;
  readonly #shipper: Shipper;
  readonly #storage: Storage;
  readonly #index: IndexWriter;
  readonly #sealedIndex: SealedIndex;
  readonly #siem: Siem;
  readonly #keys: SigningKeys;
  readonly #options: RecordingOptions;

  private constructor(parts: {
    options: RecordingOptions;
    recorder: Recorder;
    recordings: Recordings;
    spool: Spool;
    shipper: Shipper;
    storage: Storage;
    index: IndexWriter;
    sealedIndex: SealedIndex;
    siem: Siem;
    keys: SigningKeys;
  }) {
    this.#options = parts.options;
    this.recorder = parts.recorder;
    this.#recordings = parts.recordings;
    this.#spool = parts.spool;
    this.#shipper = parts.shipper;
    this.#storage = parts.storage;
    this.#index = parts.index;
    this.#sealedIndex = parts.sealedIndex;
    this.#siem = parts.siem;
    this.#keys = parts.keys;
  }

  /**
   * Takes the spool, goes on with what a former process left in it, and starts to ship.
   * @throws Error in one line: a spool that another process has, a key that cannot be read, a folder that cannot be written
   */
  static async start(options: RecordingOptions): Promise<Recording> {
    const { configuration, own, secrets, log, metrics, bodyTimeout, version } = options;
    const { spool: place, durability, storage: where, signingKey, index: indexing } = configuration;
    const storage = openStorage(where, {
      onAttempt: (operation, code) => metrics.recordingStoreRequests.inc(operation, code),
      onShadowed: (key) =>
        log.error(
          { object: key },
          'something was laid over a sealed object in the store: the sealed one is still read',
        ),
    });
    const keys = await SigningKeys.load({
      files: signingKey.files,
      secret: signingKey.secret ?? RECORDING_KEYS_SECRET,
      store: secrets,
      publish: (id, pem) => storage.putMutable(`keys/${id}.pem`, Buffer.from(pem)),
      onChanged: ({ id }) => log.info({ keyID: id }, 'recordings are signed by another key from here on'),
      onError: (error) => log.warn({ error }, 'signing keys cannot be read, or not be published; it is tried again'),
    });
    const unreachable = await checkStorage(storage);
    if (unreachable !== undefined) log.warn({ error: unreachable }, 'the store of recordings does not answer yet');
    const siem = await Siem.start({
      streams: configuration.siem,
      folder: join(place.folder, 'siem'),
      version,
      events: {
        delivered: (stream, events) => metrics.siemEvents.add(events, stream, 'delivered'),
        dropped: (stream, events) => metrics.siemEvents.add(events, stream, 'dropped'),
        refused: (stream, events) => {
          metrics.siemEvents.add(events, stream, 'refused');
          log.error({ stream, events }, 'the receiver of events will never take them: they are passed over');
        },
        failed: (stream, error) => {
          metrics.siemFailures.inc(stream);
          log.warn({ stream, error }, 'the receiver of events did not take a batch; it is tried again');
        },
      },
    });
    const torn = new Map<string, number>();
    let shipper: Shipper | undefined;
    const spool = await openSpool({
      ...place,
      durability,
      events: {
        corrupt: (recording, aside, reason) => {
          metrics.recordingCorrupt.inc();
          log.error(
            { recording, aside, reason },
            'a recording in the spool is not as it was written: it was put aside',
          );
        },
        torn: (recording, bytes) => {
          torn.set(recording, bytes);
          log.warn({ recording, bytes }, 'an unfinished line was cut off');
        },
        failed: (error) => {
          metrics.recordingFailures.inc(error.fault);
          log.error({ error }, 'the spool does not take what is recorded');
        },
        committed: (lines, bytes, milliseconds) => metrics.recordingCommitted(lines, bytes, milliseconds / 1_000),
        grown: (recording) => shipper?.grown(recording),
        lockLost: () => log.error('another process took the spool: nothing is recorded here any more'),
      },
    });
    const replica = await replicaOf(place.folder);
    const index = new IndexWriter({
      own,
      ...indexing,
      stored: () => storeCondition(shipper),
      onError: (error, recording) =>
        log.warn({ error, recording }, 'a SessionRecording could not be written; it is tried again'),
      onFull: (recording) =>
        log.warn(
          { recording },
          'no SessionRecording is made: there are too many that are open. The recording is in the store all the same',
        ),
    });
    const sealedIndex = new SealedIndex(storage, index, log);
    shipper = new Shipper({
      spool,
      storage,
      get key() {
        return keys.current;
      },
      replica,
      retention: retentionOf(where),
      remoteTimeout: configuration.commitTimeout,
      events: {
        shipped: (bytes) => metrics.recordingShippedBytes.add(bytes),
        failed: (error) => log.warn({ error }, 'the store does not take what is recorded; it is tried again'),
        sealed: (manifest, sha256) => {
          metrics.recordingsSealed.inc(manifest.state);
          log.info(
            { recording: manifest.recording.name, lines: manifest.lines, reason: manifest.reason },
            'a recording is sealed',
          );
          sealedIndex.sealed(manifest, sha256);
        },
        adopted: (manifest, sha256) => {
          metrics.recordingsSealed.inc(manifest.state);
          log.warn(
            { recording: manifest.recording.name, replica: manifest.recording.replica },
            'sealed for a replica that is gone',
          );
          sealedIndex.sealed(manifest, sha256);
        },
        joined: (manifest, sha256) => {
          const { recording, chains, lines, reason, state } = manifest;
          const said = { recording: recording.name, chains: chains.length, lines, reason, state };
          log.info(said, 'a recording is sealed: the last of its chains has ended');
          sealedIndex.joined(manifest, sha256);
        },
        left: (chain) => index.left(chain),
        superseded: (manifest, rest) =>
          log.warn(
            { recording: manifest.recording.name, rest },
            'another replica sealed a recording of this one; what it had not is kept',
          ),
        broken: (recording, reason) =>
          log.error({ recording, reason }, 'what the store has of a recording does not chain: left as it is'),
      },
    });
    const store = await knownStore(storage, place.folder, log);
    const recordings = new Recordings({
      spool,
      replica,
      store,
      idleTimeout: configuration.idleTimeout,
      maxDuration: configuration.maxDuration,
      maxOpen: configuration.maxOpen,
      onDropped: (lines) => metrics.recordingDropped.add(lines),
      onLines: siem.sends ? (recording, lines) => siem.take(recordingOf(recording), lines) : undefined,
      onOpened: (recording) => index.opened(recording),
      onEnded: (recording) => shipper.grown(recording),
    });
    await recordings.resume(torn);
    await shipper.start();
    index.start();
    keys.start();
    metrics.beforeScrape(() => {
      const { used, waiting, max } = spool.usage;
      metrics.recordingSpoolBytes.set(used + waiting);
      metrics.recordingSpoolLimit.set(max);
      metrics.recordingsOpen.set(recordings.open);
      const { unshippedBytes, failingFor } = shipper.status;
      metrics.recordingUnshippedBytes.set(unshippedBytes);
      metrics.recordingStoreFailing.set(failingFor / 1_000);
      for (const { name, bytes, behind } of siem.status) {
        metrics.siemQueueBytes.set(bytes, name);
        metrics.siemBehind.set(behind / 1_000, name);
      }
    });
    const recorder = new GatewayRecorder({
      recordings,
      refusal: () => spool.refusal(),
      maxBodyBytes: configuration.maxBodyBytes,
      commitTimeout: configuration.commitTimeout,
      bodyTimeout,
      onRefused: () => metrics.recordingRefused.inc(),
    });
    log.info({ store: storage.locator, durability, keyID: keys.current.id }, 'recording');
    return new Recording({ options, recorder, recordings, spool, shipper, storage, index, sealedIndex, siem, keys });
  }

  /** Reads it back, for people. @param governs whether an AgentPolicy speaks of a caller @param stallTimeout milliseconds */
  reader(governs: (caller: Caller) => boolean, stallTimeout: number): RecordingReader {
    const { own, log } = this.#options;
    const access = new RecordingAccess({
      review: (spec, signal) => own.subjectAccessReview(spec, signal),
      namespace: own.namespace,
      governs,
    });
    return new RecordingReader({ storage: this.#storage, access, log, stallTimeout });
  }

  /** An agent session has ended: so does its recording, once nothing of it is under way. */
  endSession(session: string): void {
    this.#recordings.endSession(session);
  }

  /** Ends and seals what is open, within bounds; what the store did not take stays in the spool. */
  async stop(): Promise<void> {
    await this.#recordings.stop();
    await Promise.all([this.#shipper.stop(LAST_WORDS), this.#siem.stop(LAST_WORDS / 4)]);
    await Promise.race([this.#sealedIndex.settle(), sleep(LAST_WORDS / 4, undefined, { ref: false })]);
    await Promise.all([this.#index.stop(LAST_WORDS / 4), this.#keys.stop()]);
    await this.#spool.close();
    await this.#storage.close();
  }
}

async function openSpool(options: SpoolOptions): Promise<Spool> {
  try {
    return await Spool.open(options);
  } catch (error) {
    if (error instanceof SpoolLocked) throw error;
    const hint = 'name a folder that the gateway may write to, or turn recording off (recording.enabled: false)';
    throw new Error(`recording.spool.folder: ${(error as Error).message}; ${hint}`, { cause: error });
  }
}

function storeCondition(shipper: Shipper | undefined): { ok: boolean; message: string } {
  if (shipper === undefined) return { ok: true, message: '' };
  const { failingFor, lastError } = shipper.status;
  // One failure is no outage.
  if (failingFor < 15_000) return { ok: true, message: '' };
  // No word of for how long: each object would be written again because time passes, and it says since when.
  return { ok: false, message: `the store does not take what is recorded: ${lastError?.message ?? ''}` };
}
