import { randomUUID } from 'node:crypto';
import type { ApprovalRequest } from '../approval/approval-request.generated.ts';
import { BackOff, pause } from '../kubernetes/back-off.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { type Channel, DeliveryError, deliveryError } from './channel.ts';
import { type Message, noticeOf } from './notice.ts';

/** Which request; the object itself is read when there is something to say. */
export interface Waiting {
  readonly uid: string;
  readonly namespace: string;
  readonly name: string;
  /** Requests with the same go into one message when they come together. */
  readonly group: string;
}

/** How far the channels are with a request. */
export interface Progress {
  readonly sent: readonly string[];
  /** Channels that did not take it, and why; they are tried again. */
  readonly failing: readonly { readonly channel: string; readonly error: string }[];
  readonly done: boolean;
}

export interface NotifierOptions {
  readonly channels: readonly Channel[];
  /** The object as it is now; undefined where it is gone, or does not wait any more. */
  readonly read: (waiting: Waiting) => Promise<ApprovalRequest | undefined>;
  /** Told when the progress of a request is another one. */
  readonly onProgress: (waiting: Waiting) => void;
  readonly onSent?: (waiting: Waiting, channel: string) => void;
  readonly log: Logger;
  readonly metrics: Metrics;
  readonly linkURL?: string | undefined;
  /** Milliseconds that requests of one group are gathered. */
  readonly gather: number;
  /** Milliseconds of the first and the longest wait before another try, and for one try. */
  readonly pace?: { readonly first: number; readonly last: number; readonly patience: number };
}

interface Entry {
  readonly waiting: Waiting;
  readonly sent: Set<string>;
  readonly failing: Map<string, string>;
}

const PACE = { first: 1_000, last: 300_000, patience: 20_000 };
/** Messages on their way by one channel at once: a dead one must not hold up the memory, nor a slow one the others. */
const AT_ONCE = 4;

/**
 * Tells people that requests wait for them. Nothing waits for it: a channel that is dead is tried again, each message for
 * itself, later each time, until it takes the message or nobody waits for a decision any more. What it was asked to tell
 * is not kept anywhere but in the ApprovalRequests themselves, whose condition `Notified` says what is done: a replica
 * that takes over asks anew, and rather tells people twice than never.
 */
export class Notifier {
  readonly #options: NotifierOptions;
  readonly #pace: Required<NotifierOptions>['pace'];
  readonly #entries = new Map<string, Entry>();
  readonly #gathering = new Map<string, string[]>();
  readonly #lanes: ReadonlyMap<string, Lane>;
  readonly #stop = new AbortController();
  readonly #running = new Set<Promise<void>>();

  constructor(options: NotifierOptions) {
    this.#options = options;
    this.#pace = options.pace ?? PACE;
    this.#lanes = new Map(options.channels.map(({ name }) => [name, new Lane(AT_ONCE)]));
  }

  get isIdle(): boolean {
    return this.#options.channels.length === 0;
  }

  /** A request waits for a person. Said again it does nothing. */
  offer(waiting: Waiting): void {
    if (this.isIdle || this.#stop.signal.aborted || this.#entries.has(waiting.uid)) return;
    this.#entries.set(waiting.uid, { waiting, sent: new Set(), failing: new Map() });
    const group = this.#gathering.get(waiting.group);
    if (group !== undefined) {
      group.push(waiting.uid);
      return;
    }
    this.#gathering.set(waiting.group, [waiting.uid]);
    this.#run(async () => {
      await pause(this.#options.gather, this.#stop.signal);
      const uids = this.#gathering.get(waiting.group) ?? [];
      this.#gathering.delete(waiting.group);
      const id = `msg_${randomUUID()}`;
      await Promise.all(this.#options.channels.map((channel) => this.#deliver(channel, uids, id)));
    });
  }

  /** Nobody has to be told of it any more. */
  withdraw(uid: string): void {
    this.#entries.delete(uid);
  }

  progress(uid: string): Progress | undefined {
    const entry = this.#entries.get(uid);
    if (entry === undefined) return undefined;
    return {
      sent: [...entry.sent],
      failing: [...entry.failing].map(([channel, error]) => ({ channel, error })),
      done: entry.sent.size === this.#options.channels.length,
    };
  }

  /** Tries that are under way are broken off; what was not taken is asked anew by the next leader. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await Promise.all(this.#running);
    await Promise.all(this.#options.channels.map((channel) => channel.close()));
  }

  #run(work: () => Promise<void>): void {
    const run = work()
      .catch((error: unknown) => this.#options.log.error({ error }, 'a notification could not even be tried'))
      .finally(() => this.#running.delete(run));
    this.#running.add(run);
  }

  async #deliver(channel: Channel, uids: readonly string[], id: string): Promise<void> {
    const { metrics } = this.#options;
    const { signal } = this.#stop;
    const backOff = new BackOff(this.#pace.first, this.#pace.last);
    metrics.notificationsWaiting.add(1, channel.name);
    try {
      for (let attempt = 1; !signal.aborted; attempt++) {
        const live = uids.map((uid) => this.#entries.get(uid)).filter((entry) => entry !== undefined);
        if (live.length === 0) return;
        let atLeast = 0;
        try {
          await this.#lanes.get(channel.name)!.within(signal, () => this.#try(channel, live, id));
          metrics.notifications.inc(channel.name, 'sent');
          return;
        } catch (error) {
          if (signal.aborted) return;
          const failure = deliveryError(error);
          atLeast = failure.retryAfter ?? 0;
          this.#failed(channel, live, failure, attempt);
        }
        await pause(backOff.next(atLeast), signal);
      }
    } finally {
      metrics.notificationsWaiting.add(-1, channel.name);
    }
  }

  async #try(channel: Channel, live: readonly Entry[], id: string): Promise<void> {
    const objects = await Promise.all(live.map(async (entry) => ({ entry, object: await this.#read(entry) })));
    const there = objects.filter(({ object }) => object !== undefined);
    for (const { entry, object } of objects) if (object === undefined) this.#entries.delete(entry.waiting.uid);
    if (there.length === 0) return;
    const notices = there.map(({ object }) => noticeOf(object!, this.#options.linkURL));
    const message: Message = { id, time: new Date(), notices };
    const limit = AbortSignal.any([this.#stop.signal, AbortSignal.timeout(this.#pace.patience)]);
    await orAborted(channel.send(message, limit), limit);
    for (const { entry } of there) {
      entry.sent.add(channel.name);
      entry.failing.delete(channel.name);
      this.#options.onSent?.(entry.waiting, channel.name);
      this.#options.onProgress(entry.waiting);
    }
  }

  async #read({ waiting }: Entry): Promise<ApprovalRequest | undefined> {
    try {
      return await this.#options.read(waiting);
    } catch {
      throw new DeliveryError('the API server could not be asked');
    }
  }

  #failed(channel: Channel, live: readonly Entry[], failure: DeliveryError, attempt: number): void {
    const { metrics, log, onProgress } = this.#options;
    metrics.notifications.inc(channel.name, 'failed');
    const approvals = live.slice(0, 10).map(({ waiting }) => `${waiting.namespace}/${waiting.name}`);
    // The first few, then each doubling: a receiver that is dead for a day is no news every minute.
    if (attempt <= 3 || (attempt & (attempt - 1)) === 0) {
      log.warn(
        { channel: channel.name, attempt, reason: failure.message, approvals },
        'a notification was not taken; it is tried again',
      );
    }
    for (const entry of live) {
      if (entry.failing.get(channel.name) === failure.message) continue;
      entry.failing.set(channel.name, failure.message);
      onProgress(entry.waiting);
    }
  }
}

/** So many at once; the others wait for their turn. */
class Lane {
  readonly #width: number;
  #inside = 0;
  readonly #queue: (() => void)[] = [];

  constructor(width: number) {
    this.#width = width;
  }

  async within(signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    if (this.#inside >= this.#width) await new Promise<void>((resolve) => this.#queue.push(resolve));
    this.#inside += 1;
    try {
      if (!signal.aborted) await work();
    } finally {
      this.#inside -= 1;
      this.#queue.shift()?.();
    }
  }
}

/** A library that does not mind its signal holds nobody up. */
function orAborted(promise: Promise<void>, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new DeliveryError('no answer in time'));
    if (signal.aborted) abort();
    signal.addEventListener('abort', abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort));
  });
}
