import type { ApprovalRequest } from '../../approval/approval-request.generated.ts';
import type { Logger } from '../../observe/log.ts';
import type { Metrics } from '../../observe/metrics.ts';
import type { Exchange } from '../exchange.ts';

/** What the gateway does in the life of an approval; the controller tells of the rest (notified, decided, expired). */
export type Step =
  /** A person is asked. */
  | 'requested'
  /** The same request waits already, or was approved. */
  | 'joined'
  /** The connection is held. */
  | 'held'
  /** A use was taken: the request goes upstream. */
  | 'used'
  /** A grant to the agent session let it through. */
  | 'granted'
  /** What came of a use was written down. */
  | 'outcome'
  /** Voided, since what it would change is not what it was. */
  | 'voided'
  /** Refused without asking anyone: too many wait. */
  | 'limited'
  /** A live stream was ended with its approval, or at its limit. */
  | 'ended';

/** One line for every step, and a count. */
export class Audit {
  readonly #log: Logger;
  readonly #metrics: Metrics;

  constructor(log: Logger, metrics: Metrics) {
    this.#log = log;
    this.#metrics = metrics;
  }

  tell(step: Step, exchange: Exchange, request: ApprovalRequest | undefined, more: object = {}): void {
    const { caller, operation } = exchange;
    this.step(step, request, {
      requestID: exchange.id,
      requester: { username: caller!.username, agent: caller!.agent, session: caller!.session },
      operation: { verb: operation!.verb, resource: operation!.resource, subresource: operation!.subresource },
      ...more,
    });
  }

  /** Where the exchange is over, or was another gateway's. */
  step(step: Step, request: ApprovalRequest | undefined, more: object = {}): void {
    this.#metrics.approvals.inc(step);
    this.#log.info(
      {
        approval: step,
        ...(request === undefined
          ? {}
          : {
              name: `${request.metadata.namespace}/${request.metadata.name}`,
              policy: request.spec.policyRef.name,
              rule: request.spec.ruleName,
            }),
        ...more,
      },
      'approval',
    );
  }
}
