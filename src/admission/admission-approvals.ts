import { type Asking, ask } from '../approval/asking.ts';
import { conditionOf, cut } from '../approval/condition.ts';
import { newRequest } from '../approval/new-request.ts';
import type { ObjectDiff } from '../approval/object-diff.ts';
import { namePrefix } from '../approval/request-name.ts';
import { MAX_SUMMARY } from '../approval/summary.ts';
import { SallyportError } from '../errors.ts';
import type { Audit } from '../gateway/approval/audit.ts';
import { type ApprovalBook, type Kept, readRequest } from '../gateway/approval/book.ts';
import type { Differ } from '../gateway/approval/differ.ts';
import { refusal, requiredOf } from '../gateway/approval/refusals.ts';
import { unavailable } from '../gateway/approval/unavailable.ts';
import type { Masking } from '../gateway/masking/masking.ts';
import { type Shown, shownTo } from '../gateway/masking/shown-to.ts';
import { isStatus } from '../kubernetes/api-error.ts';
import type { Decision } from '../policy/decision.ts';
import { isConnect } from '../request/operation.ts';
import type { Own } from '../upstream/own.ts';
import { type AdmittedUse, takeAdmissionUse } from './admission-use.ts';
import { type Reviewed, type ReviewedObject, reviewedObject } from './reviewed-object.ts';

export interface AdmissionApprovalsOptions {
  readonly own: Pick<Own, 'create' | 'get' | 'patchStatus' | 'namespace'>;
  readonly book: ApprovalBook;
  readonly audit: Audit;
  /** The installation's. */
  readonly key: Uint8Array;
  readonly differ: Pick<Differ, 'diff'>;
  readonly masking: Pick<Masking, 'planFor'>;
  /** @throws SallyportError while nothing in the API server proves who wrote a decision */
  mustStand(): Promise<void>;
  readonly pendingPerCaller: number;
  readonly requestsPerCaller: number;
  readonly maxRequests: number;
  /** Seconds. */
  readonly retryAfter: number;
}

const TRIES = 5;

/**
 * Approvals of what comes straight to the API server: asked like the gateway's, of the leg Admission, and never taken for
 * one of those. Nothing is held (an API server gives a webhook seconds): whoever asks is refused, and the same again after
 * the approval passes, once.
 */
export class AdmissionApprovals {
  readonly #options: AdmissionApprovalsOptions;

  constructor(options: AdmissionApprovalsOptions) {
    this.#options = options;
  }

  /**
   * Resolves when this very operation is approved and its use taken.
   * @throws SallyportError SP_APPROVAL_REQUIRED and its kin
   */
  async heed(reviewed: Reviewed): Promise<void> {
    const { own, book, retryAfter } = this.#options;
    const { operation } = reviewed;
    const decision = onThisLeg(reviewed.decision);
    const object = reviewedObject(this.#options.key, reviewed);
    const { digest } = object;
    const asking: Asking = {
      digest,
      leg: 'Admission',
      policyUID: decision.policyUID,
      rule: decision.rule,
      terms: decision.approval!,
    };
    let namespace = operation.namespace || own.namespace;
    let isRead = false;
    for (let attempt = 1; attempt <= TRIES; attempt++) {
      book.mustBeFresh();
      const asked = ask(book.named(namespace, namePrefix(digest)), asking, Date.now(), retryAfter);
      if (asked.kind === 'Refuse') {
        const message = `${decision.policy}/${decision.rule}: ${asked.message}`;
        throw refusal(asked.code, message, asked.request, asked.retryAfter);
      }
      if (asked.kind === 'Join') {
        if (conditionOf(asked.request, 'Approved') !== undefined) {
          if (await this.#use(reviewed, asked.request, { digest, target: object.target })) return;
          continue;
        }
        if (isRead) {
          this.#tell('joined', reviewed, asked.request);
          throw required(decision, asked.request);
        }
        // The watch may be a moment behind a person who says "it is approved, run it again".
        isRead = true;
        await this.#read(namespace, asked.request.metadata.name);
        continue;
      }
      this.#admit(reviewed, decision);
      try {
        const shown = shownTo(this.#options.masking, reviewed.caller.caller, operation);
        const diff = isConnect(operation) ? undefined : await this.#diff(shown, object);
        const wanted = {
          ...reviewed,
          decision,
          caller: reviewed.caller.caller,
          name: asked.name,
          namespace,
          digest,
          leg: 'Admission',
          target: object.target,
          notes: notesOf(reviewed),
          previous: asked.previous,
          ...(diff === undefined ? {} : { diff }),
        } as const;
        const { spec } = newRequest(wanted, Date.now());
        const summary = cut(shown.line(spec.summary), MAX_SUMMARY);
        const content = { spec: { ...spec, summary } };
        const made = readRequest(await own.create('ApprovalRequest', { name: asked.name, namespace, content }));
        book.note(made);
        this.#tell('requested', reviewed, made);
        throw required(decision, made);
      } catch (error) {
        if (isStatus(error, 409)) await this.#read(namespace, asked.name);
        else if (isStatus(error, 404) && namespace !== own.namespace) namespace = own.namespace;
        else throw error instanceof SallyportError ? error : unavailable('nobody could be asked', error);
      }
    }
    throw unavailable('nobody could be asked: what stands there changes all the time', undefined);
  }

  /** @returns false where this approval is not to be had any more */
  async #use(reviewed: Reviewed, request: Kept, use: Pick<AdmittedUse, 'digest' | 'target'>): Promise<boolean> {
    const { own, book, mustStand } = this.#options;
    await mustStand();
    const taken = await takeAdmissionUse({ own, book }, request, { ...use, requestID: reviewed.request.uid });
    if (taken.kind === 'Taken') {
      this.#tell('used', reviewed, taken.request);
      return true;
    }
    if (taken.kind === 'Gone') return false;
    const line = `${request.spec.policyRef.name}/${request.spec.ruleName}: ${taken.message}`;
    if (taken.code === 'SP_APPROVAL_VOID') {
      this.#tell('voided', reviewed, request);
      throw refusal(taken.code, `${line}; run the same command again to have it asked anew`, request, undefined);
    }
    throw refusal(taken.code, line, request, undefined);
  }

  async #diff(shown: Shown, { before, after }: ReviewedObject): Promise<ObjectDiff> {
    const masked = shown.isMasked ? { before: shown.object(before), after: shown.object(after) } : undefined;
    return await this.#options.differ.diff({ before, after, masked });
  }

  async #read(namespace: string, name: string): Promise<void> {
    const { own, book } = this.#options;
    const known = book.get(`${namespace}/${name}`);
    try {
      const read = await own.get('ApprovalRequest', { namespace, name });
      if (read !== undefined) book.note(readRequest(read));
      else if (known !== undefined) book.gone(known);
    } catch (error) {
      throw unavailable('what was asked could not be read', error);
    }
  }

  /** @throws SallyportError SP_APPROVAL_LIMIT */
  #admit(reviewed: Reviewed, decision: Decision): void {
    const { book, pendingPerCaller, requestsPerCaller, maxRequests } = this.#options;
    const { caller } = reviewed.caller;
    const waiting = book.pendingOf(caller, Date.now());
    const why =
      waiting >= pendingPerCaller
        ? `${waiting} requests of this caller wait for a person already; have those decided first`
        : book.countOf(caller) >= requestsPerCaller
          ? `this caller has ${book.countOf(caller)} approval requests, ended ones among them; they are removed in time`
          : book.size >= maxRequests
            ? `there are ${book.size} approval requests in the cluster; ask a platform engineer to remove ended ones`
            : undefined;
    if (why === undefined) return;
    this.#tell('limited', reviewed, undefined);
    const message = `${decision.reason}; this needs a person's approval, and nobody was asked: ${why}`;
    throw new SallyportError('SP_APPROVAL_LIMIT', message, { retryAfter: 60 });
  }

  #tell(step: Parameters<Audit['step']>[0], { request, caller, operation }: Reviewed, made: Kept | undefined): void {
    const { username, agent, session } = caller.caller;
    const { verb, resource, subresource } = operation;
    this.#options.audit.step(step, made, {
      leg: 'Admission',
      requestID: request.uid,
      requester: { username, agent, session },
      operation: { verb, resource, subresource },
    });
  }
}

/** No groups can be added to a credential of the API server's own, and a session's grants are of the gateway's leg. */
function onThisLeg(decision: Decision): Decision {
  return { ...decision, approval: { ...decision.approval!, impersonateGroups: [], maxGrantDuration: 0 } };
}

function required(decision: Decision, request: Kept): SallyportError {
  return requiredOf(decision.reason, request, 'then run the same command again');
}

function notesOf({ caller, operation, request }: Reviewed): string[] {
  const notes = [
    caller.way === 'Direct'
      ? 'asked of the API server itself, not through the gateway: it is not recorded, and its answer is not masked'
      : 'asked by the second leg: the final object needs it, as other webhooks left it',
  ];
  if (isConnect(operation)) {
    notes.push('which object is met is not bound, and what is opened does not end when the approval is taken back');
  }
  if (request.operation === 'UPDATE') notes.push('shown is the final object, after other webhooks');
  return notes;
}
