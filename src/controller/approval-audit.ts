import type { ApprovalRequest, ApprovalRequestStatus } from '../approval/approval-request.generated.ts';
import { endOf } from '../approval/condition.ts';
import type { Deciding } from '../approval/deciding.ts';
import { escapeLine } from '../errors.ts';
import type { Events } from '../notify/events.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';

/**
 * One line of the log for each step of an approval that the controller makes, and its count. (That it was asked, used,
 * and what came of it, the gateways say, which do that.) The log escapes and redacts whatever stands in it.
 */
export class ApprovalAudit {
  readonly #log: Logger;
  readonly #metrics: Metrics;

  readonly #events: Events | undefined;

  constructor(log: Logger, metrics: Metrics, events?: Events) {
    this.#events = events;
    this.#log = log;
    this.#metrics = metrics;
  }

  decided(object: ApprovalRequest, deciding: Deciding, now: number): void {
    const decision = object.status?.decision;
    const fields = { approval: approvalFields(object), type: decision?.type, by: decision?.username };
    if ('refused' in deciding) {
      this.#metrics.approvalDecisions.inc('Refused');
      this.#log.warn({ ...fields, ...deciding.refused }, 'approval decision not taken in');
      this.#events?.tell(object, 'DecisionRefused', deciding.refused.message);
    } else {
      const { type, reason, grantDuration, onBehalfOf } = deciding.accepted;
      this.#metrics.approvalDecisions.inc(type);
      const waited = Math.max(0, now - Date.parse(object.metadata.creationTimestamp ?? ''));
      if (Number.isFinite(waited)) this.#metrics.approvalDecisionTime.observe(waited / 1000);
      this.#log.info(
        { ...fields, reason, grantDuration, onBehalfOf, phase: deciding.status.phase },
        'approval decided',
      );
      const isRevoked = type === 'Denied' && deciding.status.phase !== 'Denied';
      this.#events?.tell(object, isRevoked ? 'Revoked' : type, `by ${escapeLine(deciding.accepted.username)}`);
    }
    if ('refused' in deciding) this.ended(object, deciding.status);
  }

  /** By time, by a change, or with a gateway; says nothing where nothing ended. */
  ended(object: ApprovalRequest, status: ApprovalRequestStatus): void {
    const end = endOf({ ...object, status });
    if (end === undefined || endOf(object)?.type === end.type) return;
    this.#metrics.approvalsEnded.inc(end.reason);
    const fields = { approval: approvalFields(object), condition: end.type, reason: end.reason, detail: end.message };
    this.#events?.tell(object, end.type === 'OutcomeUnknown' ? 'OutcomeUnknown' : 'Expired', end.reason);
    if (end.type === 'OutcomeUnknown') this.#log.error(fields, 'approval outcome unknown');
    else this.#log.info(fields, 'approval expired');
  }

  /** A request is new: whoever watches the Events of its namespace hears of it. */
  requested(object: ApprovalRequest): void {
    const { name, namespace } = object.metadata;
    const { policyRef, ruleName } = object.spec;
    this.#events?.tell(
      object,
      'Requested',
      `waits for a decision (${policyRef.name}/${ruleName}): kubectl approve -n ${namespace} ${name}`,
    );
  }

  notified(object: ApprovalRequest, channel: string): void {
    this.#log.info({ approval: approvalFields(object), channel }, 'approval notified');
  }

  removed(object: ApprovalRequest): void {
    this.#log.debug({ approval: approvalFields(object) }, 'approval removed after its retention');
  }
}

/** Names and who asked; nothing of what was asked. */
export function approvalFields({ metadata, spec }: ApprovalRequest) {
  const { requester, policyRef, ruleName } = spec;
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    requester: requester.username,
    agent: requester.agent,
    onBehalfOf: requester.onBehalfOf,
    session: requester.session,
    policy: policyRef.name,
    rule: ruleName,
  };
}
