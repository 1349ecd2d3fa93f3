import { SallyportError } from '../errors.ts';
import type { Decision } from '../policy/decision.ts';
import { type Exchange, portOf } from './exchange.ts';
import type { Judge } from './judge.ts';
import type { Approver } from './pipeline.ts';

/** Milliseconds for which a stream may wait for a person: client-go gives one up that is not answered in 30 s. */
const PATIENCE = 20_000;

interface Asked {
  readonly decision: Decision;
  readonly port: Exchange;
  readonly permitted: Promise<void>;
}

/**
 * Judges the ports of one port-forward as they are opened, by the policies of that moment; where a rule wants a person's
 * word for a port, it is asked for that port of that Pod, once for all of its connections.
 */
export class PortJudge {
  readonly #exchange: Exchange;
  readonly #judge: Judge;
  readonly #approver: Approver;
  readonly #asked = new Map<number, Asked>();

  constructor(exchange: Exchange, judge: Judge, approver: Approver) {
    this.#exchange = exchange;
    this.#judge = judge;
    this.#approver = approver;
  }

  /** @throws SallyportError to refuse this port */
  async judge(port: number): Promise<void> {
    const decision = this.#judge.judgePort(this.#exchange, port);
    if (decision === undefined) return;
    let asked = this.#asked.get(port);
    // What was approved was this rule as it stood.
    if (asked === undefined || !isSameRule(asked.decision, decision)) {
      asked = this.#ask(port, decision);
      this.#asked.set(port, asked);
    }
    try {
      await asked.permitted;
    } catch (error) {
      if (this.#asked.get(port) === asked) this.#asked.delete(port);
      throw error;
    }
  }

  /** The port-forward is over. */
  end(): void {
    for (const { port } of this.#asked.values()) {
      port.permit?.end();
      // A use is not taken for a port that nobody waits for any more.
      port.end(new SallyportError('SP_STREAM_ENDED', 'the port-forward is over'));
    }
  }

  #ask(number: number, decision: Decision): Asked {
    const port = portOf(this.#exchange, number);
    port.decision = decision;
    const permitted = this.#approver.hold(port, PATIENCE).then(() => {
      port.permit?.sent();
      port.permit?.answered(101);
      port.permit?.opened();
    });
    return { decision, port, permitted };
  }
}

function isSameRule(a: Decision, b: Decision): boolean {
  return a.policyUID === b.policyUID && a.policyGeneration === b.policyGeneration && a.rule === b.rule;
}
