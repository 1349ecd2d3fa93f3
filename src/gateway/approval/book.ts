import type { ApprovalRequest } from '../../approval/approval-request.generated.ts';
import { isLive } from '../../approval/asking.ts';
import { conditionOf } from '../../approval/condition.ts';
import { SallyportError } from '../../errors.ts';
import type { Caller } from '../../identity/caller.ts';
import { boundsFor, Informer } from '../../kubernetes/informer.ts';
import type { KubernetesObject } from '../../kubernetes/object.ts';
import type { Transport } from '../../kubernetes/transport.ts';

export interface BookOptions {
  readonly transport: Transport;
  /** Milliseconds without a sign of life from the watch, after which nothing that it says is believed. */
  readonly staleAfter: number;
  readonly maxRequests: number;
  /** Told of every failure of the watch; it is begun anew whatever happens. */
  readonly onFailure: (error: Error, failures: number) => void;
}

/** Of an approval request, all but what only people read: a diff may have 64 KiB, and there may be thousands. */
export type Kept = ApprovalRequest;

/** @param object undefined when it is gone */
export type BookListener = (key: string, object: Kept | undefined) => void;

/**
 * All ApprovalRequests, as the watch has them and as this gateway has just written them, whichever is newer; found by
 * what the gateway asks: the same request, how many of a caller wait, the grants of a session.
 */
export class ApprovalBook {
  readonly informer: Informer<Kept>;
  readonly #staleAfter: number;
  readonly #objects = new Map<string, Kept>();
  /** Keys by namespace and the part of the name that comes from the digest. */
  readonly #byPrefix = new Map<string, Set<string>>();
  readonly #byCaller = new Map<string, Set<string>>();
  /** Keys of what has not ended as far as its conditions say. */
  readonly #openByCaller = new Map<string, Set<string>>();
  readonly #grantsBySession = new Map<string, Set<string>>();
  readonly #listeners = new Set<BookListener>();

  constructor({ transport, staleAfter, maxRequests, onFailure }: BookOptions) {
    this.#staleAfter = staleAfter;
    this.informer = new Informer<Kept>(transport, {
      name: 'ApprovalRequest',
      path: { group: 'sallyport.dev', version: 'v1alpha1', resource: 'approvalrequests' },
      // Other gateways, and what was there before the limit was lowered, must not blind this one.
      bounds: { ...boundsFor(staleAfter), maxObjects: Math.max(50_000, maxRequests + 5_000), pageSize: 100 },
      accept: readRequest,
      handlers: {
        add: (object) => this.note(object),
        update: (object) => this.note(object),
        delete: (object) => this.#forget(object),
      },
      onFailure,
    });
  }

  async start(): Promise<void> {
    this.informer.start();
    await this.informer.whenSynced();
  }

  async stop(): Promise<void> {
    await this.informer.stop();
  }

  /** For readiness. */
  check(): true | string {
    if (!this.informer.synced) return 'ApprovalRequest: not loaded yet';
    return this.informer.age() <= this.#staleAfter || 'ApprovalRequest: the watch is stale';
  }

  /** @throws SallyportError SP_APPROVAL_UNAVAILABLE where what is known may be outdated */
  mustBeFresh(): void {
    const problem = this.check();
    if (problem === true) return;
    throw new SallyportError('SP_APPROVAL_UNAVAILABLE', `approvals cannot be known (${problem}): try again`, {
      retryAfter: 2,
    });
  }

  get size(): number {
    return this.#objects.size;
  }

  get(key: string): Kept | undefined {
    return this.#objects.get(key);
  }

  /** @param prefix from `namePrefix`: those of the same digest, and others that do no harm */
  named(namespace: string, prefix: string): Kept[] {
    return this.#all(this.#byPrefix.get(`${namespace}/${prefix}`));
  }

  grantsOf(session: string): Kept[] {
    return this.#all(this.#grantsBySession.get(session));
  }

  /** How many objects a caller has brought about, ended ones among them. */
  countOf(caller: Pick<Caller, 'issuer' | 'username' | 'agent'>): number {
    return this.#byCaller.get(callerKey(caller))?.size ?? 0;
  }

  /** How many requests of a caller wait for a person. @param now Unix milliseconds */
  pendingOf(caller: Pick<Caller, 'issuer' | 'username' | 'agent'>, now: number): number {
    let count = 0;
    for (const object of this.#all(this.#openByCaller.get(callerKey(caller)))) {
      if (conditionOf(object, 'Approved') === undefined && isLive(object, now)) count += 1;
    }
    return count;
  }

  /** All that wait. @param now Unix milliseconds */
  pending(now: number): number {
    let count = 0;
    for (const keys of this.#openByCaller.values()) {
      for (const object of this.#all(keys)) {
        if (conditionOf(object, 'Approved') === undefined && isLive(object, now)) count += 1;
      }
    }
    return count;
  }

  /** Takes in what was just read or written; older news than what is known is dropped. */
  note(object: Kept): void {
    const key = keyOf(object);
    const known = this.#objects.get(key);
    if (known !== undefined && known.metadata.uid === object.metadata.uid && !isNewer(object, known)) return;
    if (known !== undefined) this.#unfile(key, known);
    this.#objects.set(key, object);
    this.#file(key, object);
    for (const listener of [...this.#listeners]) listener(key, object);
  }

  /** @returns ends it */
  onChange(listener: BookListener): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Of the one with this uid, where that is still the one under its name. */
  gone(object: Kept): void {
    this.#forget(object);
  }

  #forget(object: Kept): void {
    const key = keyOf(object);
    const known = this.#objects.get(key);
    if (known === undefined || known.metadata.uid !== object.metadata.uid) return;
    this.#objects.delete(key);
    this.#unfile(key, known);
    for (const listener of [...this.#listeners]) listener(key, undefined);
  }

  #file(key: string, object: Kept): void {
    file(this.#byPrefix, prefixOf(object), key);
    file(this.#byCaller, callerKey(object.spec.requester), key);
    if (!hasEnded(object)) file(this.#openByCaller, callerKey(object.spec.requester), key);
    const { session } = object.spec.requester;
    if (session !== undefined && object.status?.grantDuration !== undefined) file(this.#grantsBySession, session, key);
  }

  #unfile(key: string, object: Kept): void {
    unfile(this.#byPrefix, prefixOf(object), key);
    unfile(this.#byCaller, callerKey(object.spec.requester), key);
    unfile(this.#openByCaller, callerKey(object.spec.requester), key);
    const { session } = object.spec.requester;
    if (session !== undefined) unfile(this.#grantsBySession, session, key);
  }

  #all(keys: Iterable<string> = []): Kept[] {
    const objects: Kept[] = [];
    for (const key of keys) {
      const object = this.#objects.get(key);
      if (object !== undefined) objects.push(object);
    }
    return objects;
  }
}

export function keyOf({ metadata }: Pick<ApprovalRequest, 'metadata'>): string {
  return `${metadata.namespace ?? ''}/${metadata.name}`;
}

/** @throws Error where it is none: the watch then counts as failed, and nothing is believed. */
export function readRequest(object: KubernetesObject | Readonly<Record<string, unknown>>): Kept {
  const { spec, metadata, ...rest } = object as unknown as ApprovalRequest;
  if (typeof spec?.digest !== 'string' || typeof spec.requester?.username !== 'string') {
    throw new Error('an ApprovalRequest that does not fit its schema');
  }
  const { diff: _, ...kept } = spec;
  const { managedFields: __, ...meta } = metadata as ApprovalRequest['metadata'] & { managedFields?: unknown };
  return { ...rest, metadata: meta, spec: { ...kept, summary: '' } };
}

/** The person, the tool; not the token, not the session. */
function callerKey({ issuer, username, agent }: Pick<Caller, 'issuer' | 'username'> & { agent?: string | undefined }) {
  return JSON.stringify([issuer, username, agent ?? null]);
}

function prefixOf({ metadata }: Kept): string {
  return `${metadata.namespace ?? ''}/${metadata.name.slice(0, metadata.name.lastIndexOf('-') + 1)}`;
}

function hasEnded(object: Kept): boolean {
  return (object.status?.conditions ?? []).some(({ type, status }) => status === 'True' && type !== 'Approved');
}

/** KEP-5504: resource versions of one kind compare as integers. What cannot be compared counts as newer. */
function isNewer(a: Kept, b: Kept): boolean {
  const [x, y] = [a.metadata.resourceVersion ?? '', b.metadata.resourceVersion ?? ''];
  if (!/^\d{1,30}$/.test(x) || !/^\d{1,30}$/.test(y)) return x !== y;
  return x.length === y.length ? x > y : x.length > y.length;
}

function file(index: Map<string, Set<string>>, name: string, key: string): void {
  const keys = index.get(name);
  if (keys === undefined) index.set(name, new Set([key]));
  else keys.add(key);
}

function unfile(index: Map<string, Set<string>>, name: string, key: string): void {
  const keys = index.get(name);
  if (keys?.delete(key) === true && keys.size === 0) index.delete(name);
}
