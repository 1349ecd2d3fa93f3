import type { ApprovalRequest, ApprovalRequestStatus } from '../approval/approval-request.generated.ts';
import { conditionOf, endOf } from '../approval/condition.ts';
import { takeDecision } from '../approval/deciding.ts';
import { expire, voidRequest } from '../approval/expiry.ts';
import { isNotified, withNotified } from '../approval/notified.ts';
import { grantIsOutdated } from '../approval/session-grant.ts';
import { giveUpUses } from '../approval/use.ts';
import type { NotificationsConfiguration } from '../config/notifications.ts';
import { isStatus } from '../kubernetes/api-error.ts';
import { Informer } from '../kubernetes/informer.ts';
import { keyOf } from '../kubernetes/object.ts';
import type { Stored } from '../kubernetes/pages.ts';
import type { Transport } from '../kubernetes/transport.ts';
import { createChannels } from '../notify/channels.ts';
import { Events } from '../notify/events.ts';
import { Notifier, type Waiting } from '../notify/notifier.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { Guard } from '../upstream/guard.ts';
import type { Own } from '../upstream/own.ts';
import { OWN_KINDS } from '../upstream/own-kinds.ts';
import { ApprovalAudit } from './approval-audit.ts';
import { slim, writeStatus } from './approval-store.ts';
import { WorkQueue } from './work-queue.ts';

export interface ApprovalsOptions {
  readonly transport: Transport;
  readonly own: Own;
  readonly log: Logger;
  readonly metrics: Metrics;
  /** Milliseconds, from the configuration. */
  readonly maxSignInAge: number;
  readonly outcomePatience: number;
  readonly approvalRetention: number;
  readonly notifications: NotificationsConfiguration;
}

/** A status to write, and what is told once it is written. */
interface Step {
  readonly status: ApprovalRequestStatus;
  readonly audit: () => void;
}

/** Milliseconds that a look at the guard is good for, and until the next where it did not stand. */
const GUARD_WAIT = 2_000;

/** Milliseconds until a grant is looked at again whose session or policy a watch does not show as it stands. */
const WATCH_LAG = 2_000;

interface Policy {
  readonly name: string;
  readonly uid: string;
  readonly generation: number;
}

interface Session {
  readonly name: string;
  readonly revoked: boolean;
}

const policyOf = ({ metadata: { name, uid, generation = 0 } }: Stored): Policy => ({ name, uid, generation });

const sessionOf = (object: Stored): Session => ({
  name: object.metadata.name,
  revoked: (object as { status?: { revoked?: unknown } }).status?.revoked === true,
});

const stands = (session: Session | undefined): boolean => session !== undefined && !session.revoked;

/**
 * Brings every ApprovalRequest to where it should be: takes decisions in, ends what is over, gives up the uses of
 * gateways that are gone, voids session grants whose policy or session is another, removes what ended long ago. Every
 * write is bound to the revision it was made from, so that even two controllers at once could do no harm.
 */
export class Approvals {
  readonly #options: ApprovalsOptions;
  readonly #requests: Informer<ApprovalRequest>;
  readonly #policies: Informer<Policy>;
  readonly #sessions: Informer<Session>;
  readonly #queue: WorkQueue;
  readonly #audit: ApprovalAudit;
  readonly #notifier: Notifier;
  readonly #guard: Guard;

  constructor(options: ApprovalsOptions) {
    this.#options = options;
    const { linkURL, gather, events } = options.notifications;
    this.#audit = new ApprovalAudit(
      options.log,
      options.metrics,
      events ? new Events(options.own, options.log) : undefined,
    );
    this.#notifier = new Notifier({
      ...{ linkURL, gather, log: options.log, metrics: options.metrics },
      channels: createChannels(options.notifications),
      read: (waiting) => this.#stillWaiting(waiting),
      onProgress: ({ namespace, name }) => this.#queue.add(`${namespace}/${name}`),
      onSent: (waiting, channel) => {
        const object = this.#requests.get(`${waiting.namespace}/${waiting.name}`);
        if (object !== undefined) this.#audit.notified(object, channel);
      },
    });
    this.#guard = new Guard(options.own, options.log, options.metrics);
    this.#queue = new WorkQueue({
      work: (key) => this.#reconcile(key),
      workers: 8,
      onError: (error, key) => {
        // The watch brings the newer one.
        if (isStatus(error, 409)) return;
        options.log.warn({ error, approval: key }, 'an approval request could not be brought on; it is tried again');
      },
    });
    const changed = (object: ApprovalRequest): void => this.#queue.add(keyOf(object));
    this.#requests = this.#watch('ApprovalRequest', {
      accept: (object) => slim(object as unknown as ApprovalRequest),
      handlers: { add: (object) => this.#appeared(object), update: changed, delete: (object) => this.#forget(object) },
    });
    this.#policies = this.#watch('AgentPolicy', {
      metadataOnly: true,
      accept: policyOf,
      handlers: {
        update: (policy) => this.#grantsOf((request) => request.spec.policyRef.name === policy.name),
        delete: (policy) => this.#grantsOf((request) => request.spec.policyRef.name === policy.name),
      },
    });
    this.#sessions = this.#watch('AgentSession', {
      accept: sessionOf,
      handlers: {
        update: (session) => this.#grantsOf((request) => request.spec.requester.session === session.name),
        delete: (session) => this.#grantsOf((request) => request.spec.requester.session === session.name),
      },
    });
  }

  get informers(): readonly Informer<unknown>[] {
    return [this.#requests, this.#policies, this.#sessions] as readonly Informer<unknown>[];
  }

  /** Works until the signal aborts; resolves when nothing more will be written. */
  async run(signal: AbortSignal): Promise<void> {
    const aborted = new Promise<void>((resolve) => {
      if (signal.aborted) resolve();
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
    await this.#guard.watch(signal);
    for (const informer of this.informers) informer.start();
    await Promise.race([aborted, Promise.all(this.informers.map((informer) => informer.whenSynced()))]);
    // Until now it could not be said of a grant whether it is outdated.
    this.#grantsOf(() => true);
    await aborted;
    await Promise.all([
      this.#notifier.stop(),
      this.#queue.stop(),
      ...this.informers.map((informer) => informer.stop()),
    ]);
  }

  async #reconcile(key: string): Promise<void> {
    const object = this.#requests.get(key);
    if (object === undefined) return;
    if (object.status?.decision !== undefined) await this.#guard.fresh(GUARD_WAIT);
    const now = Date.now();
    const next = this.#next(object, now) ?? (await this.#voided(object, now));
    if (next !== undefined) {
      await this.#write(object, next.status);
      next.audit();
      return;
    }
    if (await this.#clean(object, now)) return;
    const due = this.#due(object, now);
    if (due !== undefined) this.#queue.addAfter(key, due - now);
  }

  /** One step; the watch brings the object back for the one after it. */
  #next(object: ApprovalRequest, now: number): Step | undefined {
    if (object.status?.decision !== undefined && !this.#guard.stands) {
      // Nobody has checked who wrote it. It waits, and so does the look at the guard.
      this.#queue.addAfter(keyOf(object), GUARD_WAIT);
      return this.#ended(object, now);
    }
    const deciding = takeDecision(object, now, { maxSignInAge: this.#options.maxSignInAge / 1000 });
    if (deciding !== undefined) {
      return { status: deciding.status, audit: () => this.#audit.decided(object, deciding, now) };
    }
    const given = giveUpUses(object, now, this.#options.outcomePatience);
    if (given !== undefined) return { status: given, audit: () => this.#audit.ended(object, given) };
    const over = this.#ended(object, now);
    if (over !== undefined) return over;
    const told = this.#notify(object, now);
    return told && { status: told, audit: () => {} };
  }

  #ended(object: ApprovalRequest, now: number): Step | undefined {
    return this.#over(object, expire(object, now));
  }

  #over(object: ApprovalRequest, status: ApprovalRequestStatus | undefined): Step | undefined {
    return status && { status, audit: () => this.#audit.ended(object, status) };
  }

  /** People are told of what waits, once; whether they were is written down, and nothing waits for it. */
  #notify(object: ApprovalRequest, now: number): ApprovalRequestStatus | undefined {
    const { uid = '' } = object.metadata;
    if (!waits(object) || isNotified(object)) {
      this.#notifier.withdraw(uid);
      return undefined;
    }
    this.#notifier.offer(waitingOf(object));
    const told = this.#notifier.progress(uid);
    return told && withNotified(object, told, now);
  }

  /** Read anew: what an approver is told of is not kept in memory. */
  async #stillWaiting({ namespace, name, uid }: Waiting): Promise<ApprovalRequest | undefined> {
    const object = (await this.#options.own.get('ApprovalRequest', { namespace, name })) as ApprovalRequest | undefined;
    return object?.metadata.uid === uid && waits(object) ? object : undefined;
  }

  #appeared(object: ApprovalRequest): void {
    if (waits(object)) this.#audit.requested(object);
    this.#queue.add(keyOf(object));
  }

  #forget(object: ApprovalRequest): void {
    this.#queue.forget(keyOf(object));
    this.#notifier.withdraw(object.metadata.uid ?? '');
  }

  /**
   * Ends a session grant whose policy or session is not what it was. The watches only raise the suspicion: each lags
   * behind the others, and what was made a moment ago may be missing from one. A person's word is not undone for that.
   */
  async #voided(object: ApprovalRequest, now: number): Promise<Step | undefined> {
    const { spec, status } = object;
    if (status?.grantDuration === undefined || endOf(object) !== undefined) return undefined;
    if (!this.#policies.synced || !this.#sessions.synced) return undefined;
    const { own } = this.#options;
    const { policyRef, requester } = spec;
    const { session: name = '' } = requester;
    const shown = this.#sessions.get(`${own.namespace}/${name}`);
    if (!grantIsOutdated(object, this.#policies.get(policyRef.name)) && stands(shown)) return undefined;
    const [policy, session] = await Promise.all([
      own.get('AgentPolicy', { name: policyRef.name }),
      name === '' ? undefined : own.get('AgentSession', { name }),
    ]);
    if (grantIsOutdated(object, policy && policyOf(policy))) {
      return this.#over(object, voidRequest(object, 'PolicyChanged', 'the policy is another one now', now));
    }
    if (!stands(session && sessionOf(session))) {
      return this.#over(object, voidRequest(object, 'SessionEnded', 'the agent session has ended', now));
    }
    this.#queue.addAfter(keyOf(object), WATCH_LAG);
    return undefined;
  }

  #grantsOf(fits: (request: ApprovalRequest) => boolean): void {
    for (const request of this.#requests.values()) {
      if (request.status?.grantDuration !== undefined && endOf(request) === undefined && fits(request)) {
        this.#queue.add(keyOf(request));
      }
    }
  }

  async #write(object: ApprovalRequest, status: ApprovalRequestStatus): Promise<void> {
    await writeStatus(this.#options.own, object, status);
  }

  async #clean(object: ApprovalRequest, now: number): Promise<boolean> {
    const end = endOf(object);
    if (end === undefined || now < Date.parse(end.lastTransitionTime) + this.#options.approvalRetention) return false;
    const { name, namespace, uid = '' } = object.metadata;
    if (await this.#options.own.delete('ApprovalRequest', { name, namespace }, uid)) this.#audit.removed(object);
    return true;
  }

  /** When there is something to do again, Unix milliseconds, if nothing happens before. */
  #due(object: ApprovalRequest, now: number): number | undefined {
    const { outcomePatience, approvalRetention } = this.#options;
    const { status, spec } = object;
    const times: number[] = [];
    for (const use of status?.uses ?? []) {
      if (use.outcome === undefined) times.push(Date.parse(use.time) + outcomePatience);
    }
    const end = endOf(object);
    if (end !== undefined) times.push(Date.parse(end.lastTransitionTime) + approvalRetention);
    else if (conditionOf(object, 'Approved') === undefined) times.push(Date.parse(spec.expirationTime));
    else times.push(Date.parse(status?.grantExpirationTime ?? ''));
    const next = Math.min(...times.filter((time) => time >= now));
    return Number.isFinite(next) ? next + 1 : undefined;
  }

  #watch<T>(
    kind: 'ApprovalRequest' | 'AgentPolicy' | 'AgentSession',
    rest: Pick<ConstructorParameters<typeof Informer<T>>[1], 'accept' | 'handlers' | 'metadataOnly'>,
  ): Informer<T> {
    const { transport, own, log, metrics } = this.#options;
    const { group, version, resource, placement } = OWN_KINDS[kind];
    const name = `controller/${kind}`;
    return new Informer<T>(transport, {
      name,
      path: { group, version, resource, ...(placement === 'GatewayNamespace' ? { namespace: own.namespace } : {}) },
      ...rest,
      onFailure: (error, failures) => {
        metrics.watchFailures.inc(name);
        log.warn({ error, failures, informer: name }, 'a watch failed and is begun anew');
      },
    });
  }
}

function waits(object: ApprovalRequest): boolean {
  return endOf(object) === undefined && conditionOf(object, 'Approved') === undefined;
}

/** Of one agent session, or of one caller without a session, one message tells. */
function waitingOf({ metadata, spec }: ApprovalRequest): Waiting {
  const { issuer, username, agent, onBehalfOf, session } = spec.requester;
  const { uid = '', namespace = '', name } = metadata;
  return { uid, namespace, name, group: JSON.stringify(session ?? [issuer, username, agent, onBehalfOf]) };
}
