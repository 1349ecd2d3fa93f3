import type { AgentPolicyStatus } from '../policy/agent-policy.ts';
import type { CompiledPolicy } from '../policy/compiled-policy.ts';
import { isStatus } from './api-error.ts';
import { BackOff, pause } from './back-off.ts';
import { hasLagging, LAGGING, nextStatus, RENEWAL, type RuleFaults } from './policy-status.ts';
import type { Transport } from './transport.ts';

export interface PolicyStatusWriterOptions {
  readonly transport: Transport;
  /** Names this replica in the status: the pod's, or the host's name. */
  readonly replica: string;
  /** Whether a policy is in force only once the API server calls the webhook for it. */
  readonly admission?: boolean;
  readonly onError: (error: Error, policy: string) => void;
  readonly pace?: Partial<Pace>;
}

export interface Pace {
  /** Milliseconds between two writes of one policy. */
  readonly perPolicy: number;
  /** Milliseconds between two writes of any. */
  readonly overall: number;
  /** Milliseconds that faults are gathered before they are written. */
  readonly faults: number;
}

const PACE: Pace = { perPolicy: 2_000, overall: 50, faults: 60_000 };

interface Work {
  policy: CompiledPolicy;
  /** The object of the last report that was written, or found to be written already. */
  told: CompiledPolicy | undefined;
  /** Milliseconds of performance.now(). */
  dueAt: number;
  writtenAt: number;
  faults: Map<string, { count: number; lastTime: number; lastMessage: string }>;
}

/**
 * Writes into each policy's status what this replica made of it: slowly, only what changed, and never over another
 * replica's words: a write is bound to the revision it was made from, and a conflict reads anew. What cannot be written
 * stays due; deciding never waits for it.
 */
export class PolicyStatusWriter {
  readonly #options: PolicyStatusWriterOptions;
  readonly #pace: Pace;
  readonly #work = new Map<string, Work>();
  readonly #stop = new AbortController();
  readonly #backOff = new BackOff(500, 60_000);
  #wake: (() => void) | undefined;
  #running: Promise<void> | undefined;

  constructor(options: PolicyStatusWriterOptions) {
    this.#options = options;
    this.#pace = { ...PACE, ...options.pace };
  }

  start(): void {
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    this.#wake?.();
    await this.#running;
  }

  /** The policies now in force; those that are gone are forgotten. Cheap where nothing changed. */
  report(policies: readonly CompiledPolicy[]): void {
    const present = new Set<string>();
    for (const policy of policies) {
      present.add(policy.name);
      const work = this.#work.get(policy.name);
      if (work === undefined) this.#work.set(policy.name, this.#newWork(policy));
      else if (work.policy !== policy) {
        if (work.policy.uid !== policy.uid) work.faults.clear();
        work.policy = policy;
        work.dueAt = Math.min(work.dueAt, this.#soon(work));
      }
    }
    for (const name of this.#work.keys()) if (!present.has(name)) this.#work.delete(name);
    this.#wake?.();
  }

  /** An expression of this rule had no answer. */
  fault(policy: string, rule: string, message: string): void {
    const work = this.#work.get(policy);
    // Only of rules that are there: the map is bounded by the policy.
    if (work === undefined || !work.policy.rules.some(({ name }) => name === rule)) return;
    const faults = work.faults.get(rule) ?? { count: 0, lastTime: 0, lastMessage: '' };
    work.faults.set(rule, { count: faults.count + 1, lastTime: Date.now(), lastMessage: message });
    const dueAt = performance.now() + this.#pace.faults;
    if (dueAt < work.dueAt) {
      work.dueAt = dueAt;
      this.#wake?.();
    }
  }

  #newWork(policy: CompiledPolicy): Work {
    // Replicas that start, or see a change, together do not all write at the same instant.
    const dueAt = performance.now() + Math.random() * this.#pace.perPolicy;
    return { policy, told: undefined, dueAt, writtenAt: Number.NEGATIVE_INFINITY, faults: new Map() };
  }

  #soon(work: Work): number {
    return Math.max(work.writtenAt + this.#pace.perPolicy, performance.now()) + Math.random() * 250;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      const [name, work] = this.#next() ?? [];
      const wait = work === undefined ? 60_000 : work.dueAt - performance.now();
      if (name === undefined || work === undefined || wait > 0) {
        await this.#sleep(wait);
        continue;
      }
      try {
        await this.#write(name, work);
        this.#backOff.reset();
        await pause(this.#pace.overall, signal);
      } catch (error) {
        if (signal.aborted) return;
        if (isStatus(error, 409)) {
          work.dueAt = performance.now() + 50 + Math.random() * 500;
        } else {
          this.#options.onError(error as Error, name);
          await pause(this.#backOff.next(), signal);
        }
      }
    }
  }

  #next(): [string, Work] | undefined {
    let first: [string, Work] | undefined;
    for (const entry of this.#work) if (first === undefined || entry[1].dueAt < first[1].dueAt) first = entry;
    return first;
  }

  async #sleep(milliseconds: number): Promise<void> {
    const woken = new AbortController();
    this.#wake = () => woken.abort();
    await pause(Math.min(milliseconds, 60_000), AbortSignal.any([woken.signal, this.#stop.signal]));
    this.#wake = undefined;
  }

  async #write(name: string, work: Work): Promise<void> {
    const { policy, faults } = work;
    const path = { group: 'sallyport.dev', version: 'v1alpha1', resource: 'agentpolicies', name } as const;
    const { signal } = this.#stop;
    const taken: ReadonlyMap<string, RuleFaults> = faults;
    work.faults = new Map();
    work.dueAt = Number.POSITIVE_INFINITY;
    try {
      const object = (await this.#options.transport.ask({ verb: 'get', path, signal })) as Stored;
      const { uid, resourceVersion, generation } = object.metadata;
      if (uid !== policy.uid || generation !== policy.generation) {
        // The watch will bring the newer one; what this replica made of the older one is of no interest.
        work.told = policy;
        this.#rest(work);
        return;
      }
      const status = nextStatus(object.status ?? {}, {
        replica: this.#options.replica,
        now: Date.now(),
        policy,
        faults: taken,
        admission: this.#options.admission === true,
      });
      if (status !== undefined) {
        await this.#options.transport.ask({
          verb: 'patch',
          path: { ...path, subresource: 'status' },
          patchType: 'application/merge-patch+json',
          body: { metadata: { uid, resourceVersion }, status },
          signal,
        });
      }
      work.told = policy;
      work.writtenAt = performance.now();
      this.#rest(work, hasLagging(status ?? object.status ?? {}) ? 1.5 * LAGGING : RENEWAL);
    } catch (error) {
      this.#giveBack(work, taken);
      // Others first: one policy that cannot be written must not stand before all of them.
      work.dueAt = performance.now() + 10_000 + Math.random() * 10_000;
      if (!isStatus(error, 404)) throw error;
    }
  }

  /** After a write: due again when this replica's entry is to be renewed, or sooner if something came meanwhile. */
  #rest(work: Work, period: number = RENEWAL): void {
    const now = performance.now();
    if (work.policy !== work.told) work.dueAt = this.#soon(work);
    else if (work.faults.size > 0) work.dueAt = now + this.#pace.faults;
    else work.dueAt = now + period * (0.8 + Math.random() / 2);
  }

  #giveBack(work: Work, taken: ReadonlyMap<string, RuleFaults>): void {
    for (const [rule, { count, lastTime, lastMessage }] of taken) {
      const since = work.faults.get(rule);
      work.faults.set(rule, {
        count: count + (since?.count ?? 0),
        lastTime: since?.lastTime ?? lastTime,
        lastMessage: since?.lastMessage ?? lastMessage,
      });
    }
  }
}

interface Stored {
  readonly metadata: { readonly uid: string; readonly resourceVersion: string; readonly generation: number };
  readonly status?: AgentPolicyStatus;
}
