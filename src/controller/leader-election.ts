import { isStatus } from '../kubernetes/api-error.ts';
import { pause } from '../kubernetes/back-off.ts';
import type { Note } from '../observe/probes.ts';
import type { Own, OwnObject } from '../upstream/own.ts';

export interface ElectionOptions {
  readonly own: Pick<Own, 'get' | 'create' | 'update'>;
  /** Name of the Lease, in the gateway's namespace. */
  readonly lease: string;
  /** Names this replica; two that had the same would both lead. */
  readonly identity: string;
  /** Milliseconds after which others may take over from a leader who is not heard of. */
  readonly leaseDuration: number;
  /**
   * Leads until the signal aborts: because this replica stops, or is not sure any more that it leads. It must resolve
   * once nothing more will be done.
   */
  readonly lead: (signal: AbortSignal) => Promise<void>;
  readonly onChange?: (leads: boolean) => void;
  readonly onError?: (error: Error) => void;
  /** Monotonic milliseconds; for tests. */
  readonly clock?: () => number;
}

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

/**
 * Leader election by a Lease (coordination.k8s.io/v1), as client-go does it. Times written by others are never
 * compared with this machine's clock: a Lease counts as left when it has not *changed* for its whole duration by the
 * own monotonic clock, so clocks that differ, or jump, give nobody the lead. A leader who could not renew for two
 * thirds of the duration, counted from the beginning of the last renewal that succeeded, stops before anyone may take
 * over.
 */
export class LeaderElection {
  readonly #options: ElectionOptions;
  readonly #clock: () => number;
  readonly #stop = new AbortController();
  /** The Lease as it was last seen, and when it was first seen so. */
  #seen: { readonly version: string; readonly at: number } | undefined;
  /** When the API server last answered, and who held the Lease then. */
  #heard: { readonly at: number; readonly holder: string } | undefined;
  readonly #began: number;
  #running: Promise<void> | undefined;
  #leads = false;

  constructor(options: ElectionOptions) {
    this.#options = options;
    this.#clock = options.clock ?? (() => performance.now());
    this.#began = this.#clock();
  }

  /** Whether it can be told who leads; that this replica does not is as it should be. */
  check(): Note | string {
    const { leaseDuration, lease } = this.#options;
    const silent = this.#clock() - (this.#heard?.at ?? this.#began);
    if (silent > leaseDuration)
      return `the API server gave no answer about the Lease ${lease} for ${Math.round(silent / 1_000)} s`;
    if (this.#leads) return { note: 'this replica leads' };
    const holder = this.#heard?.holder ?? '';
    return { note: holder === '' ? 'nobody leads yet' : `${holder} leads` };
  }

  get leads(): boolean {
    return this.#leads;
  }

  start(): void {
    this.#running ??= this.#run();
  }

  /** Ends leading, and then gives the Lease back, so that another may lead at once. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#stop;
    const retry = (): number => this.#options.leaseDuration / 8;
    while (!signal.aborted) {
      const since = await this.#acquire();
      if (since !== undefined && !signal.aborted) await this.#lead(since);
      else if (since !== undefined) await this.#release();
      // Replicas that wait for the same Lease do not all ask at the same instant.
      await pause(retry() * (0.75 + Math.random() / 2), signal);
    }
  }

  /** @returns when what was acquired began to count (the monotonic clock), undefined where it was not. */
  async #acquire(): Promise<number | undefined> {
    const at = this.#clock();
    try {
      const held = await this.#ask();
      if (held === undefined) {
        await this.#options.own.create('Lease', { name: this.#options.lease, content: { spec: this.#spec() } });
        return at;
      }
      const spec = specOf(held);
      if (!this.#isFree(held, spec)) return undefined;
      const isOther = spec.holderIdentity !== this.#options.identity;
      const next = this.#spec(isOther ? {} : spec, (spec.leaseTransitions ?? 0) + (isOther ? 1 : 0));
      await this.#write(held, next);
      return at;
    } catch (error) {
      // 409: another one was faster, which is how it should be.
      if (!isStatus(error, 409)) this.#options.onError?.(error as Error);
      return undefined;
    }
  }

  async #ask(): Promise<OwnObject | undefined> {
    const held = await this.#options.own.get('Lease', { name: this.#options.lease });
    this.#heard = { at: this.#clock(), holder: (held && specOf(held).holderIdentity) ?? '' };
    return held;
  }

  #isFree({ metadata }: OwnObject, spec: LeaseSpec): boolean {
    const now = this.#clock();
    if (this.#seen?.version !== metadata.resourceVersion) this.#seen = { version: metadata.resourceVersion, at: now };
    if ((spec.holderIdentity ?? '') === '') return true;
    // Its own, from before a restart under the same name, is waited for too: that process may still be ending.
    const duration = Math.max((spec.leaseDurationSeconds ?? 0) * 1000, this.#options.leaseDuration);
    return now - this.#seen.at > duration;
  }

  async #lead(since: number): Promise<void> {
    const { leaseDuration, lead, onChange, onError } = this.#options;
    const ended = new AbortController();
    this.#leads = true;
    onChange?.(true);
    const work = lead(AbortSignal.any([ended.signal, this.#stop.signal])).catch((error: unknown) =>
      onError?.(error as Error),
    );
    const over = work.then(() => ended.abort());
    let renewed = since;
    const patience = (leaseDuration * 2) / 3;
    while (!ended.signal.aborted && !this.#stop.signal.aborted) {
      const left = renewed + patience - this.#clock();
      if (left <= 0) break;
      const at = this.#clock();
      const outcome = await Promise.race([this.#renew(), after(left)]);
      if (outcome === 'Lost') break;
      if (outcome === 'Renewed') renewed = at;
      const wait = Math.min(leaseDuration / 8, Math.max(0, renewed + patience - this.#clock()));
      await pause(wait, AbortSignal.any([ended.signal, this.#stop.signal]));
    }
    ended.abort();
    this.#leads = false;
    await over;
    // Only when nothing more is done is the Lease given back.
    await this.#release();
    onChange?.(false);
  }

  async #renew(): Promise<'Renewed' | 'Failed' | 'Lost'> {
    try {
      const held = await this.#ask();
      if (held === undefined) return 'Lost';
      const spec = specOf(held);
      if (spec.holderIdentity !== this.#options.identity) return 'Lost';
      await this.#write(held, this.#spec(spec, spec.leaseTransitions ?? 0));
      return 'Renewed';
    } catch (error) {
      if (!isStatus(error, 409)) this.#options.onError?.(error as Error);
      return 'Failed';
    }
  }

  async #release(): Promise<void> {
    try {
      const held = await this.#options.own.get('Lease', { name: this.#options.lease });
      const spec = held && specOf(held);
      if (held === undefined || spec?.holderIdentity !== this.#options.identity) return;
      await this.#write(held, { ...this.#spec(spec, spec.leaseTransitions ?? 0), holderIdentity: '' });
    } catch (error) {
      // It ends by itself, later.
      if (!isStatus(error, 409)) this.#options.onError?.(error as Error);
    }
  }

  async #write({ metadata }: OwnObject, spec: LeaseSpec): Promise<void> {
    const draft = { name: this.#options.lease, content: { spec } };
    await this.#options.own.update('Lease', draft, metadata.resourceVersion);
  }

  #spec(before: LeaseSpec = {}, leaseTransitions = 0): LeaseSpec {
    // MicroTime
    const now = new Date().toISOString().replace('Z', '000Z');
    return {
      holderIdentity: this.#options.identity,
      leaseDurationSeconds: Math.max(1, Math.ceil(this.#options.leaseDuration / 1000)),
      acquireTime: before.acquireTime ?? now,
      renewTime: now,
      leaseTransitions,
    };
  }
}

function specOf(lease: OwnObject): LeaseSpec {
  return (lease['spec'] ?? {}) as LeaseSpec;
}

function after(milliseconds: number): Promise<'Failed'> {
  return new Promise((resolve) => {
    setTimeout(resolve, milliseconds, 'Failed').unref();
  });
}
