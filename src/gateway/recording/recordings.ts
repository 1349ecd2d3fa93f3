import { createHash, randomBytes } from 'node:crypto';
import type { Caller } from '../../identity/caller.ts';
import type { EndLine, EventLine, Line, RecordingIdentity, ResumeLine } from '../../recording/line.ts';
import type { Spool } from '../../recording/spool/spool.ts';
import type { SpooledRecording } from '../../recording/spool/spooled-recording.ts';
import { callerFields } from './event-fields.ts';
import { SessionWriter } from './session-writer.ts';

export interface RecordingsOptions {
  readonly spool: Spool;
  readonly replica: string;
  /**
   * The identity of the store: replicas that write into one store write one recording for each session and CI run, each its own chain of
   * it. Undefined while it is not known: then what begins is this replica's alone.
   */
  readonly store?: (() => string | undefined) | undefined;
  /** Milliseconds without a request after which a recording ends. */
  readonly idleTimeout: number;
  /** Milliseconds after which a recording ends, and the session goes on in another one. */
  readonly maxDuration: number;
  /** Recordings that may be open at once; the one that was unused for longest ends first. */
  readonly maxOpen: number;
  readonly onDropped: (lines: number) => void;
  /** Undefined where nobody is to be told. */
  readonly onLines?: ((recording: string, lines: readonly Line[]) => void) | undefined;
  /** A recording has its first line, or was found in the spool again. */
  readonly onOpened: (recording: SpooledRecording) => void;
  /** A recording has its last line: it can be sealed. */
  readonly onEnded: (recording: SpooledRecording) => void;
}

const LOOK_EVERY = 1_000;

/**
 * Which recording a caller's requests go to: one for each agent session, each run of a CI system, else for each caller and
 * stretch of work. Of what is one session's or run's every replica writes a chain of its own, all under one name.
 */
export class Recordings {
  readonly #options: RecordingsOptions;
  readonly #writers = new Map<string, SessionWriter>();
  /** Those whose session goes on in another one already, while requests of theirs are under way. */
  readonly #leaving = new Set<SessionWriter>();
  readonly #byCaller = new WeakMap<Caller, SessionWriter>();
  readonly #timer: NodeJS.Timeout;

  constructor(options: RecordingsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), LOOK_EVERY).unref();
  }

  /**
   * Goes on with what a former process left: each gets a line that says so, and its requests without an end one that says
   * that their outcome is unknown.
   */
  async resume(torn: ReadonlyMap<string, number>): Promise<void> {
    for (const recording of this.#options.spool.recordings) {
      if (recording.ending) {
        this.#options.onOpened(recording);
        this.#options.onEnded(recording);
        continue;
      }
      const { identity } = recording;
      const time = new Date().toISOString();
      const resumed: ResumeLine = { kind: 'Resume', time, truncatedBytes: torn.get(identity.name) ?? 0 };
      const unknown = [...recording.open].map((id) => unknownOutcome(id, identity, time));
      await recording.append([resumed, ...unknown], 1_000 * (1 + unknown.length));
      this.#options.onLines?.(identity.name, unknown);
      const key = keyOf(identity.user.username, identity.user.uid, identity.caller);
      // Two of one caller: the older one was about to end.
      const before = this.#writers.get(key);
      if (before !== undefined) await this.#end(before, 'Stopped');
      this.#writers.set(key, new SessionWriter(recording, this.#options.onDropped, this.#options.onLines));
      this.#options.onOpened(recording);
    }
  }

  /** The recording of a caller's requests, begun where there is none. */
  of(caller: Caller): SessionWriter {
    const known = this.#byCaller.get(caller);
    if (known !== undefined && isOpen(known)) return known;
    const key = keyOf(caller.username, caller.uid, callerFields(caller));
    let writer = this.#writers.get(key);
    if (writer === undefined || !isOpen(writer)) {
      if (writer !== undefined && !writer.recording.ending) this.#leaving.add(writer);
      writer = this.#begin(caller);
      this.#writers.set(key, writer);
    }
    this.#byCaller.set(caller, writer);
    return writer;
  }

  /** Ends what an agent session has recorded, once nothing of it is under way. */
  endSession(session: string): void {
    for (const writer of this.#writers.values()) {
      if (writer.recording.identity.caller.agentSession === session) writer.endReason ??= 'SessionEnded';
    }
  }

  get open(): number {
    return this.#writers.size + this.#leaving.size;
  }

  /** The process stops: every recording gets its last line. */
  async stop(): Promise<void> {
    clearInterval(this.#timer);
    const all = [...this.#writers.values(), ...this.#leaving];
    await Promise.all(all.map((writer) => this.#end(writer, 'Stopped')));
    this.#writers.clear();
    this.#leaving.clear();
  }

  #begin(caller: Caller): SessionWriter {
    const { spool, replica, store, maxOpen, onDropped, onLines, onOpened } = this.#options;
    if (this.#writers.size >= maxOpen) this.#endLongestUnused();
    const shared = caller.session !== undefined || caller.run !== undefined ? store?.() : undefined;
    const identity: RecordingIdentity = {
      name: shared === undefined ? nameFor(caller) : chainNameFor(caller, shared, replica),
      replica,
      user: { username: caller.username, uid: caller.uid },
      caller: callerFields(caller),
      startTime: new Date().toISOString(),
    };
    const writer = new SessionWriter(spool.create(identity), onDropped, onLines);
    onOpened(writer.recording);
    return writer;
  }

  #look(): void {
    const now = performance.now();
    const { idleTimeout, maxDuration } = this.#options;
    for (const [key, writer] of this.#writers) {
      if (now - writer.startedAt > maxDuration) writer.endReason ??= 'Full';
      else if (writer.active === 0 && now - writer.usedAt > idleTimeout) writer.endReason ??= 'Idle';
      // The session goes on in another recording while this one waits for its last requests.
      if (writer.endReason === undefined || writer.active > 0) continue;
      this.#writers.delete(key);
      void this.#end(writer, writer.endReason);
    }
    for (const writer of this.#leaving) {
      if (writer.active > 0) continue;
      this.#leaving.delete(writer);
      void this.#end(writer, writer.endReason ?? 'Idle');
    }
  }

  #endLongestUnused(): void {
    let oldest: [string, SessionWriter] | undefined;
    for (const entry of this.#writers) {
      if (entry[1].active === 0 && (oldest === undefined || entry[1].usedAt < oldest[1].usedAt)) oldest = entry;
    }
    if (oldest === undefined) return;
    this.#writers.delete(oldest[0]);
    void this.#end(oldest[1], 'Cap');
  }

  async #end(writer: SessionWriter, reason: EndLine['reason']): Promise<void> {
    const { recording } = writer;
    try {
      await recording.finish(reason, new Date().toISOString());
      this.#options.onEnded(recording);
    } catch {
      // The disk takes no more: the recording stays as it is, and is ended when it does, or by the next start.
      const key = keyOf(recording.identity.user.username, recording.identity.user.uid, recording.identity.caller);
      if (this.#writers.has(key)) this.#leaving.add(writer);
      else this.#writers.set(key, writer);
    }
  }
}

function isOpen(writer: SessionWriter): boolean {
  return writer.endReason === undefined && !writer.recording.ending;
}

function keyOf(username: string, uid: string, caller: RecordingIdentity['caller']): string {
  const { issuer, agent, onBehalfOf, agentSession, run } = caller;
  if (agentSession !== undefined) return `session ${agentSession}`;
  return JSON.stringify([issuer, username, uid, agent ?? '', onBehalfOf ?? '', run ?? '']);
}

/** Readable, an object's name, and never the same twice. */
function nameFor(caller: Caller): string {
  const slug = slugOf(caller.session ?? caller.agent ?? caller.username, 60);
  return slug === '' ? random() : `${slug}-${random()}`;
}

/**
 * What every replica calls a session's or run's recording without asking another, and behind the point a chain that nobody else has:
 * the replica's name is for people, what is drawn tells its chains apart.
 */
function chainNameFor(caller: Caller, store: string, replica: string): string {
  const key = keyOf(caller.username, caller.uid, callerFields(caller));
  const digest = createHash('sha256').update(`${store}\n${key}`).digest('hex').slice(0, 12);
  const slug = slugOf(caller.session ?? caller.agent ?? caller.username, 60);
  const chain = slugOf(replica, 48);
  return `${slug === '' ? '' : `${slug}-`}${base36(digest)}.${chain === '' ? '' : `${chain}-`}${random()}`;
}

function slugOf(text: string, most: number): string {
  return text
    .toLowerCase()
    .replace(/[^a-z0-9]+/g, '-')
    .replace(/^-+|-+$/g, '')
    .slice(0, most)
    .replace(/-+$/, '');
}

function random(): string {
  return base36(randomBytes(6).toString('hex'));
}

function base36(hex: string): string {
  return BigInt(`0x${hex}`).toString(36).padStart(10, '0');
}

/** What is known of a request whose end nobody saw: its first event has the rest. */
function unknownOutcome(auditID: string, { user, caller }: RecordingIdentity, time: string): EventLine {
  return {
    kind: 'Event',
    level: 'Metadata',
    auditID,
    stage: 'ResponseComplete',
    requestReceivedTimestamp: time,
    stageTimestamp: time,
    requestURI: '',
    verb: '',
    user: { username: user.username, groups: [] },
    caller,
    sourceIPs: [],
    outcome: 'Unknown',
  };
}
