import { isStatus } from '../../kubernetes/api-error.ts';
import { NO_COUNTS, sumCounts } from '../../recording/counts.ts';
import type { RecordingCounts, RecordingIdentity } from '../../recording/line.ts';
import { chainName, recordingOf } from '../../recording/segment.ts';
import type { SessionRecordingSpec, SessionRecordingStatus } from '../../recording/session-recording.generated.ts';
import type { Own, OwnObject } from '../../upstream/own.ts';

export interface IndexWriterOptions {
  readonly own: Pick<Own, 'create' | 'get' | 'patchStatus' | 'list' | 'delete'>;
  /** Milliseconds; a tenth more or less, so that replicas and recordings do not write at once. */
  readonly statusInterval: number;
  readonly maxObjects: number;
  /** Milliseconds. */
  readonly maxAge: number;
  /** Whether the store takes what is kept for it, and if not why. */
  readonly stored: () => { readonly ok: boolean; readonly message: string };
  readonly onError: (error: Error, recording: string) => void;
  /** An object was not made because there are too many, none of which may go. */
  readonly onFull: (recording: string) => void;
}

/** What of a recording is shown; read when it is written. */
export interface IndexedRecording {
  readonly identity: RecordingIdentity;
  readonly counts: RecordingCounts;
  readonly seq: number;
  readonly hash: string;
}

interface Entry {
  readonly recording: IndexedRecording;
  state: 'ToCreate' | 'Created';
  /** As last written. */
  written: string;
  writtenAt: number;
  dueAt: number;
  final: SessionRecordingStatus | undefined;
  /** This replica's chain has ended, and another one's has not: what is said of it once more is the last word from here. */
  leaving: boolean;
  /** What the object says of the chains of a recording, this replica's and others'. */
  seen: NonNullable<SessionRecordingStatus['chains']>;
  failures: number;
}

/** Chains that an object names: a session has one for each replica and stretch of work. */
export const MOST_CHAINS_SHOWN = 64;

const LOOK_EVERY = 1_000;
const CLEAN_EVERY = 60_000;
/** Milliseconds within which a condition that turned is shown, where few recordings are open; for each one this much, where many are. */
const TURN_SHOWN_WITHIN = 5_000;
const TURNS_APART = 20;
/** Writes under way at once. */
const PARALLEL = 4;
const MOST_ENTRIES = 20_000;

/**
 * The SessionRecording objects: made when a recording begins, changed at most once in an interval, when the store goes or comes back,
 * and when it is sealed, and taken away by age and number, so that they never fill etcd. They say where recordings are; nothing
 * depends on them.
 */
export class IndexWriter {
  readonly #options: IndexWriterOptions;
  readonly #entries = new Map<string, Entry>();
  #timers: NodeJS.Timeout[] = [];
  #writing = 0;
  #storedSince = new Date().toISOString();
  #storedOk = true;
  /** Objects there are, about: those last listed and those made since. */
  #objects = 0;
  #cleaning: Promise<void> | undefined;
  #stopped = false;

  constructor(options: IndexWriterOptions) {
    this.#options = options;
  }

  start(): void {
    this.#timers = [
      setInterval(() => this.#look(), LOOK_EVERY).unref(),
      setInterval(() => void this.clean(), jittered(CLEAN_EVERY)).unref(),
    ];
    void this.clean();
  }

  /** A recording has begun, or goes on after a restart. */
  opened(recording: IndexedRecording): void {
    if (this.#entries.size >= MOST_ENTRIES) return;
    this.#entries.set(recordingOf(recording.identity.name), {
      recording,
      state: 'ToCreate',
      written: '',
      writtenAt: Number.NEGATIVE_INFINITY,
      dueAt: 0,
      final: undefined,
      leaving: false,
      seen: {},
      failures: 0,
    });
  }

  /** A recording is sealed: its last status, after which the object does not change. */
  sealed(recording: IndexedRecording, status: SessionRecordingStatus): void {
    const { name } = recording.identity;
    let entry = this.#entries.get(name);
    if (entry === undefined) {
      this.opened(recording);
      entry = this.#entries.get(name);
      if (entry === undefined) return;
    }
    // Whatever it said while it was open: the store has it.
    const since = this.#storedOk ? this.#storedSince : new Date().toISOString();
    entry.final = { ...status, conditions: [condition('True', 'Sealed', '', since)] };
    entry.dueAt = 0;
  }

  /** A chain has ended whose recording may go on at another replica. */
  left(chain: string): void {
    const entry = this.#entries.get(recordingOf(chain));
    if (entry === undefined || entry.recording.identity.name !== chain) return;
    entry.leaving = true;
    entry.dueAt = 0;
  }

  /** Writes what is due, for so long. @param deadline milliseconds */
  async stop(deadline: number): Promise<void> {
    for (const timer of this.#timers) clearInterval(timer);
    const end = performance.now() + deadline;
    const left = (): boolean =>
      [...this.#entries.values()].some((entry) => (entry.final !== undefined || entry.leaving) && entry.failures === 0);
    while ((left() || this.#writing > 0) && performance.now() < end) {
      this.#look();
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
    this.#stopped = true;
  }

  /** Takes away sealed objects that are too old, and the oldest of those that are too many. Never throws. */
  clean(): Promise<void> {
    this.#cleaning ??= this.#clean()
      .catch((error: unknown) => this.#options.onError(error as Error, ''))
      .finally(() => {
        this.#cleaning = undefined;
      });
    return this.#cleaning;
  }

  #look(): void {
    const { ok } = this.#options.stored();
    const now = performance.now();
    if (ok !== this.#storedOk) {
      this.#storedOk = ok;
      this.#storedSince = new Date().toISOString();
      this.#showTurn(now);
    }
    for (const [name, entry] of this.#entries) {
      if (this.#writing >= PARALLEL || this.#stopped) return;
      if (entry.dueAt > now) continue;
      const status = entry.final ?? this.#status(entry);
      const text = JSON.stringify(status);
      if (entry.state === 'Created' && text === entry.written) {
        if (entry.leaving) this.#entries.delete(name);
        continue;
      }
      entry.writtenAt = now;
      entry.dueAt = now + jittered(this.#options.statusInterval);
      this.#writing += 1;
      void this.#write(name, entry, status, text).finally(() => {
        this.#writing -= 1;
        this.#look();
      });
    }
  }

  /**
   * The store has gone, or is back: every open recording says so, sooner than it would. Not all at once, and none more often because of a
   * store that comes and goes: the API server has other things to do in an outage.
   */
  #showTurn(now: number): void {
    const { statusInterval } = this.#options;
    const spread = Math.min(statusInterval, Math.max(TURN_SHOWN_WITHIN, this.#entries.size * TURNS_APART));
    for (const entry of this.#entries.values()) {
      if (entry.state === 'ToCreate' || entry.final !== undefined || entry.leaving || entry.failures > 0) continue;
      const shownAt = Math.max(now, entry.writtenAt + spread) + Math.random() * spread;
      // Those of which nothing has changed for long have been due ever since.
      entry.dueAt = entry.dueAt <= now ? shownAt : Math.min(entry.dueAt, shownAt);
    }
  }

  async #write(name: string, entry: Entry, status: SessionRecordingStatus, text: string): Promise<void> {
    const { own, maxObjects, onError, onFull } = this.#options;
    try {
      if (entry.state === 'ToCreate') {
        if (this.#objects >= maxObjects) await this.clean();
        if (this.#objects >= maxObjects) {
          onFull(name);
          if (entry.final !== undefined) this.#entries.delete(name);
          return;
        }
        await this.#create(name, entry);
        entry.state = 'Created';
      }
      entry.seen = chainsOf(await own.patchStatus('SessionRecording', { name }, { ...status }));
      entry.written = text;
      entry.failures = 0;
      // It may have been sealed while this was on its way.
      if (entry.final === status) this.#entries.delete(name);
      else if (entry.leaving && entry.final === undefined) entry.dueAt = 0;
    } catch (error) {
      // Deleted by someone, or sealed by another replica: there is nothing to say any more.
      if (isStatus(error, 404) || isStatus(error, 422)) {
        this.#entries.delete(name);
        return;
      }
      entry.failures += 1;
      entry.dueAt = performance.now() + Math.min(60_000, 1_000 * 2 ** entry.failures);
      onError(error as Error, name);
    }
  }

  async #create(name: string, entry: Entry): Promise<void> {
    const { own } = this.#options;
    const { user, caller, replica, startTime } = entry.recording.identity;
    const { uid, username } = user;
    const known = caller as SessionRecordingSpec['caller'];
    const spec: SessionRecordingSpec = {
      user: { username, ...(uid !== '' && { uid }) },
      caller: known,
      replica,
      startTime,
    };
    try {
      await own.create('SessionRecording', { name, content: { spec } });
      this.#objects += 1;
    } catch (error) {
      if (!isStatus(error, 409)) throw error;
      // Another replica was first: what it says of its own chain counts in what is said of all.
      if (entry.recording.identity.name !== name) entry.seen = chainsOf(await own.get('SessionRecording', { name }));
    }
  }

  #status({ recording, seen }: Entry): SessionRecordingStatus {
    const { identity, counts, seq, hash } = recording;
    const { message } = this.#options.stored();
    const conditions = [
      this.#storedOk
        ? condition('True', 'Storing', message, this.#storedSince)
        : condition('False', 'StoreUnavailable', message, this.#storedSince),
    ];
    const { chain } = chainName(identity.name) ?? {};
    if (chain === undefined) return { phase: 'Open', counts, lines: seq, chainHead: hash, conditions };
    const others = Object.entries(seen)
      .filter(([name]) => name !== chain)
      .map(([, each]) => each);
    const own = { replica: identity.replica, lines: seq, chainHead: hash, counts };
    return {
      phase: 'Open',
      counts: others.map((each) => ({ ...NO_COUNTS, ...each.counts })).reduce(sumCounts, counts),
      lines: others.reduce((sum, { lines = 0 }) => sum + lines, seq),
      ...(others.length < MOST_CHAINS_SHOWN && { chains: { [chain]: own } }),
      conditions,
    };
  }

  async #clean(): Promise<void> {
    const { own, maxAge, maxObjects } = this.#options;
    const objects = await own.list('SessionRecording');
    this.#objects = objects.length;
    const now = Date.now();
    const sealed = objects
      .map((object) => ({ object, endedAt: endOf(object) }))
      .filter((each): each is { object: OwnObject; endedAt: number } => each.endedAt !== undefined)
      .sort((a, b) => a.endedAt - b.endedAt);
    // A tenth of room, or every recording that begins would have to ask for it.
    let tooMany = objects.length > maxObjects * 0.95 ? objects.length - Math.floor(maxObjects * 0.9) : 0;
    for (const { object, endedAt } of sealed) {
      if (tooMany <= 0 && now - endedAt <= maxAge) break;
      if (await own.delete('SessionRecording', { name: object.metadata.name }, object.metadata.uid)) this.#objects -= 1;
      tooMany -= 1;
    }
  }
}

function condition(
  status: 'True' | 'False',
  reason: string,
  message: string,
  lastTransitionTime: string,
): NonNullable<SessionRecordingStatus['conditions']>[number] {
  return { type: 'Stored', status, reason, message: message.slice(0, 1_024), lastTransitionTime };
}

function chainsOf(object: OwnObject | undefined): Entry['seen'] {
  return (object?.['status'] as SessionRecordingStatus | undefined)?.chains ?? {};
}

function endOf(object: OwnObject): number | undefined {
  const status = object['status'] as SessionRecordingStatus | undefined;
  if (status?.phase === undefined || status.phase === 'Open') return undefined;
  const at = Date.parse(status.endTime ?? '');
  return Number.isNaN(at) ? 0 : at;
}

function jittered(milliseconds: number): number {
  return milliseconds * (0.9 + Math.random() * 0.2);
}
