import { SallyportError } from '../errors.ts';
import type { Approved } from '../identity/approved.ts';
import { EXTRA_APPROVED } from '../identity/approved.ts';
import type { Via } from '../identity/upstream-name.ts';
import type { CelValue } from '../policy/cel/engine.ts';
import type { Decision } from '../policy/decision.ts';
import type { PolicySet } from '../policy/policy-set.ts';
import type { Question } from '../policy/question.ts';
import { isConnect, type Operation } from '../request/operation.ts';
import { type AdmissionResponse, admissionResponse } from './admission-answer.ts';
import { type AdmissionCaller, admissionCaller } from './admission-caller.ts';
import { admissionOperation } from './admission-operation.ts';
import { type AdmissionRequest, readAdmissionReview } from './admission-review.ts';
import type { Reviewed } from './reviewed-object.ts';
import { probeAnswer } from './webhook-probe.ts';

export interface ReviewerOptions {
  readonly policies: {
    /** @throws SallyportError SP_POLICY_NOT_LOADED */
    current(): PolicySet;
    /** The Namespace as the watch has it. */
    namespace(name: string): CelValue | undefined;
  };
  readonly via: Via;
  readonly approved: Approved;
  /** Takes the use of what a person has approved, or asks one. @throws SallyportError SP_APPROVAL_REQUIRED and its kin */
  readonly ask: (review: Reviewed) => Promise<void>;
}

/** What became of one review, for the log and the metrics. */
export interface ReviewOutcome {
  readonly response: AdmissionResponse;
  readonly request: AdmissionRequest;
  readonly operation: Operation | undefined;
  readonly caller: AdmissionCaller | undefined;
  readonly decision: Decision | undefined;
  readonly refusal: SallyportError | undefined;
}

const NOTHING = { operation: undefined, caller: undefined, decision: undefined, refusal: undefined };

/**
 * The second leg: asks the policy room about the final object of a write, or the options of a connect, of whoever is governed.
 * Nothing is kept between two reviews; the same review has the same answer on every replica.
 */
export class Reviewer {
  readonly #options: ReviewerOptions;

  constructor(options: ReviewerOptions) {
    this.#options = options;
  }

  /**
   * @param text the posted AdmissionReview
   * @param now Unix milliseconds
   * @throws SallyportError SP_BAD_REQUEST where no answer could name the review
   */
  async review(text: string, now: number): Promise<ReviewOutcome> {
    const request = readAdmissionReview(text);
    const probed = probeAnswer(request);
    if (probed !== undefined)
      return { ...NOTHING, request, response: { uid: request.uid, allowed: true, warnings: [probed] } };
    let operation: Operation | undefined;
    let caller: AdmissionCaller | undefined;
    let decision: Decision | undefined;
    let refusal: SallyportError | undefined;
    try {
      const set = this.#options.policies.current();
      caller = admissionCaller(request.userInfo, this.#options.via, now);
      operation = admissionOperation(request);
      if (caller.way === 'Gate' || set.governs(caller.caller)) {
        decision = set.decide(this.#question(request, operation, caller, now));
        await this.#heed({ text, request, operation, caller, decision }, now);
      }
    } catch (error) {
      if (!(error instanceof SallyportError)) throw error;
      refusal = error;
    }
    const response = admissionResponse(request.uid, decision, refusal);
    return { response, request, operation, caller, decision, refusal };
  }

  #question(request: AdmissionRequest, operation: Operation, { caller }: AdmissionCaller, now: number): Question {
    const connects = isConnect(operation);
    const { namespace } = operation;
    const known = namespace === '' ? undefined : this.#options.policies.namespace(namespace);
    return {
      caller,
      operation,
      leg: 'Admission',
      sourceIP: undefined,
      now,
      requestID: request.uid,
      // The options of a connect are in the operation; they are no object that is stored.
      ...(connects ? {} : { object: request.object, oldObject: request.oldObject }),
      ...(known === undefined ? {} : { namespaceObject: known }),
      unknown: {
        ...(operation.subresource === '' ? {} : { target: 'a webhook is not told the object that this belongs to' }),
        ...(namespace === '' || known !== undefined
          ? {}
          : { namespaceObject: `the namespace ${namespace} is not known` }),
      },
    };
  }

  /** @throws SallyportError where the decision stops this request */
  async #heed(reviewed: Reviewed, now: number): Promise<void> {
    const { decision, caller, operation, request } = reviewed;
    if (decision.action === 'Allow') return;
    const isGate = caller.way === 'Gate';
    if (decision.action === 'RequireApproval') {
      // The gateway tries out what it is about to ask a person: a dry run changes nothing.
      if (isGate && (request.dryRun || this.#isApproved(reviewed, now))) return;
      if (request.dryRun)
        throw new SallyportError('SP_APPROVAL_REQUIRED', `${decision.reason} (a dry run asks nobody)`);
      return await this.#options.ask(reviewed);
    }
    // The gateway has read the target of a connect and judged it by these very rules.
    if (isGate && decision.code === 'SP_OBJECT_UNREADABLE' && operation.subresource !== '') return;
    throw new SallyportError(decision.code ?? 'SP_POLICY_DENIED', decision.reason);
  }

  /** One approval counts for every review that its request causes. */
  #isApproved({ request, operation }: Reviewed, now: number): boolean {
    const values = request.userInfo.extra[EXTRA_APPROVED];
    if (values?.length !== 1) return false;
    const { username, uid } = request.userInfo;
    const { apiGroup, resource, subresource, namespace } = operation;
    const asked = { username, uid, apiGroup, resource, subresource, namespace };
    const { approved } = this.#options;
    // A create by POST and a deletecollection name nothing at the gateway; their objects have names here.
    return [...new Set([operation.name, ''])].some(
      (name) => approved.verify(values[0]!, { ...asked, name }, now) !== undefined,
    );
  }
}
