import { randomBytes } from 'node:crypto';
import type { ApprovalRequest } from '../approval/approval-request.generated.ts';
import { cut, timestamp } from '../approval/condition.ts';
import { escapeLine } from '../errors.ts';
import { isStatus } from '../kubernetes/api-error.ts';
import type { Logger } from '../observe/log.ts';
import type { Own } from '../upstream/own.ts';

export type EventReason =
  | 'Requested'
  | 'Approved'
  | 'Denied'
  | 'Revoked'
  | 'Expired'
  | 'OutcomeUnknown'
  | 'DecisionRefused';

/** Events on their way at most; they are told at best effort, as all Events are. */
const MAX_UNDER_WAY = 50;

/** Kubernetes Events on ApprovalRequests. Names only: whoever may read Events of a namespace need not see more. */
export class Events {
  readonly #own: Own;
  readonly #log: Logger;
  #underWay = 0;

  constructor(own: Own, log: Logger) {
    this.#own = own;
    this.#log = log;
  }

  /** Never waits and never throws. @param detail of ours, or a name */
  tell(object: ApprovalRequest, reason: EventReason, detail: string): void {
    if (this.#underWay >= MAX_UNDER_WAY) return;
    this.#underWay += 1;
    const { name, namespace, uid } = object.metadata;
    const isWarning = reason === 'OutcomeUnknown' || reason === 'DecisionRefused';
    const now = timestamp(Date.now());
    this.#own
      .create('Event', {
        // Of its beginning there is one, whoever leads: the second is a conflict.
        name: `${name}.${reason === 'Requested' ? uid : randomBytes(8).toString('hex')}`,
        namespace,
        content: {
          involvedObject: { apiVersion: 'sallyport.dev/v1alpha1', kind: 'ApprovalRequest', namespace, name, uid },
          reason,
          message: cut(escapeLine(detail), 1024),
          type: isWarning ? 'Warning' : 'Normal',
          source: { component: 'sallyport-controller' },
          firstTimestamp: now,
          lastTimestamp: now,
          count: 1,
        },
      })
      .catch(
        (error: unknown) =>
          isStatus(error, 409) ||
          this.#log.debug({ error, approval: `${namespace}/${name}` }, 'an Event was not taken'),
      )
      .finally(() => {
        this.#underWay -= 1;
      });
  }
}
