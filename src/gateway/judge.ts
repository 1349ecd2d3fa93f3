import { SallyportError } from '../errors.ts';
import type { Decision } from '../policy/decision.ts';
import type { Needs } from '../policy/needs.ts';
import type { Question } from '../policy/question.ts';
import { withGroups } from './approval/identity.ts';
import type { Evidence } from './evidence.ts';
import type { Exchange, Findings } from './exchange.ts';
import type { Policies } from './policies.ts';
import { UpstreamRefusal } from './upstream-refusal.ts';

interface Judged {
  readonly decision: Decision;
  readonly findings: Findings;
}

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
    const { decision, findings } = await this.#judge(exchange);
    exchange.decisionDuration = performance.now() - started;
    exchange.findings = findings;
    return decision;
  }

  async #judge(exchange: Exchange): Promise<Judged> {
    let set = this.#policies.current();
    const needs = set.needs(exchange.caller!, exchange.operation!);
    let findings: Findings = {};
    if (needs.any) {
      // What the body looks like is asked first; a policy that would refuse whatever the object is needs no dry run.
      try {
        findings = await this.#evidence.gather(exchange, needs);
      } catch (error) {
        const lent =
          error instanceof UpstreamRefusal && error.status === 403 && (await this.#withLent(exchange, needs));
        if (lent) return lent;
        throw error;
      }
      // Policies may have changed meanwhile: the newest decide.
      set = this.#policies.current();
    }
    const decision = set.decide(question(exchange, findings));
    if (decision.code === 'SP_OBJECT_UNREADABLE')
      return (await this.#withLent(exchange, needs)) ?? { decision, findings };
    return { decision, findings };
  }

  /**
   * The decision by what can be seen with the groups that an approval would add: where a person is asked for more than the
   * caller may, the caller's own rights do not show what is asked. Of what was seen so, a caller learns only that a person
   * must be asked.
   * @returns undefined where that is not the decision
   */
  async #withLent(exchange: Exchange, needs: Needs): Promise<Judged | undefined> {
    if (needs.groups === undefined) return undefined;
    try {
      const identity = withGroups(exchange.identity!, needs.groups);
      const findings = await this.#evidence.gather(exchange, needs, identity);
      const decision = this.#policies.current().decide(question(exchange, findings));
      return decision.action === 'RequireApproval' ? { decision, findings } : undefined;
    } catch (error) {
      if (error instanceof UpstreamRefusal) return undefined;
      throw error;
    }
  }

  /** Whether this is denied whatever its object is, by the policies of this moment: then nothing need be read for it. */
  deniesAnyway(exchange: Exchange): boolean {
    const set = this.#policies.current();
    if (set.needs(exchange.caller!, exchange.operation!).any) return false;
    return set.decide(question(exchange, {})).action === 'Deny';
  }

  /** Immediately before a connect. @throws SallyportError when its target has been replaced since it was judged */
  confirmTarget(exchange: Exchange): Promise<void> {
    return this.#evidence.confirmTarget(exchange);
  }

  /**
   * Judges one port of a port-forward by the policies of this moment.
   * @returns where a person must be asked about it: the decision
   * @throws SallyportError
   */
  judgePort(exchange: Exchange, port: number): Decision | undefined {
    const set = this.#policies.current();
    const decision = set.decide({ ...question(exchange, exchange.findings ?? {}), ports: [port] });
    if (decision.action === 'Allow' || isPermitted(exchange, decision)) return undefined;
    if (decision.action === 'RequireApproval') return decision;
    throw new SallyportError(decision.code ?? 'SP_POLICY_DENIED', `port ${port}: ${decision.reason}`);
  }
}

/**
 * Where a rule names no ports, a person is asked about the whole port-forward, whose ports are not known yet: what they let
 * through is the rule that asked, as it stood.
 */
function isPermitted({ permit }: Exchange, decision: Decision): boolean {
  if (permit === undefined || decision.action !== 'RequireApproval') return false;
  const { policyRef, ruleName } = permit.request.spec;
  return (
    policyRef.uid === decision.policyUID &&
    policyRef.generation === decision.policyGeneration &&
    ruleName === decision.rule
  );
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
