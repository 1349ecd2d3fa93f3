import { SallyportError } from '../errors.ts';
import type { Decision } from '../policy/decision.ts';
import type { Question } from '../policy/question.ts';
import type { Evidence } from './evidence.ts';
import type { Exchange, Findings } from './exchange.ts';
import type { Policies } from './policies.ts';

/** Asks the policy room about one request, with what its policies want to know. */
export class Judge {
  readonly #policies: Policies;
  readonly #evidence: Evidence;

  constructor(policies: Policies, evidence: Evidence) {
    this.#policies = policies;
    this.#evidence = evidence;
  }

  /** @throws SallyportError when nothing can be decided; UpstreamRefusal when the API server has refused it already. */
  async decide(exchange: Exchange): Promise<Decision> {
    const started = performance.now();
    await this.#evidence.settle(exchange);
    let set = this.#policies.current();
    const needs = set.needs(exchange.caller!, exchange.operation!);
    let findings: Findings = {};
    if (needs.any) {
      // What the body looks like is asked first; a policy that would refuse whatever the object is needs no dry run.
      findings = await this.#evidence.gather(exchange, needs);
      // Policies may have changed meanwhile: the newest decide.
      set = this.#policies.current();
    }
    const decision = set.decide(question(exchange, findings));
    exchange.decisionDuration = performance.now() - started;
    exchange.findings = findings;
    return decision;
  }

  /** Immediately before a connect. @throws SallyportError when its target has been replaced since it was judged */
  confirmTarget(exchange: Exchange): Promise<void> {
    return this.#evidence.confirmTarget(exchange);
  }

  /**
   * Judges one port of a port-forward by the policies of this moment.
   * @throws SallyportError
   */
  judgePort(exchange: Exchange, port: number): void {
    const set = this.#policies.current();
    const decision = set.decide({ ...question(exchange, exchange.findings ?? {}), ports: [port] });
    if (decision.action === 'Allow' || isPermitted(exchange, decision)) return;
    throw new SallyportError(decision.code ?? 'SP_POLICY_DENIED', `port ${port}: ${decision.reason}`);
  }
}

/** Ports are not known when a person is asked about a port-forward: what they let through is the rule that asked. */
function isPermitted({ permit }: Exchange, decision: Decision): boolean {
  if (permit === undefined || decision.action !== 'RequireApproval') return false;
  const { policyRef, ruleName } = permit.request.spec;
  return policyRef.uid === decision.policyUID && ruleName === decision.rule;
}

function question(exchange: Exchange, findings: Findings): Question {
  return {
    caller: exchange.caller!,
    operation: exchange.operation!,
    leg: 'Gateway',
    sourceIP: exchange.sourceIP,
    now: Date.now(),
    requestID: exchange.id,
    metadataOnly: offersMetadataOnly(exchange.request.headers.accept),
    ...findings,
  };
}

/** Whether whatever the API server picks can only be PartialObjectMetadata. */
function offersMetadataOnly(accept: string | undefined): boolean {
  if (accept === undefined || !accept.includes('PartialObjectMetadata')) return false;
  return accept.split(',').every((range) => /;\s*as=PartialObjectMetadata(List)?\s*(;|$)/.test(range));
}
