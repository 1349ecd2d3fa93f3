import { conditionOf, isOver } from '../../approval/condition.ts';
import { grantCovers } from '../../approval/session-grant.ts';
import type { Approved } from '../../identity/approved.ts';
import type { Metrics } from '../../observe/metrics.ts';
import { intentDigest } from '../../request/digest.ts';
import type { Own } from '../../upstream/own.ts';
import type { Evidence } from '../evidence.ts';
import type { Exchange } from '../exchange.ts';
import type { Asker } from './asker.ts';
import type { Audit } from './audit.ts';
import { type ApprovalBook, type Kept, keyOf, readRequest } from './book.ts';
import type { Holds } from './holds.ts';
import { approvedName } from './identity.ts';
import type { LiveStreams } from './live-streams.ts';
import type { OutcomeOfUse, Outcomes } from './outcomes.ts';
import { type Guarded, Permit } from './permit.ts';
import { refusal, required } from './refusals.ts';
import { SecondTries } from './second-tries.ts';
import type { Taker } from './taker.ts';
import { unavailable } from './unavailable.ts';

export interface GateOptions {
  readonly book: ApprovalBook;
  readonly asker: Asker;
  readonly taker: Taker;
  readonly holds: Holds;
  readonly outcomes: Outcomes;
  readonly streams: LiveStreams;
  /** @throws SallyportError SP_APPROVAL_UNAVAILABLE where nobody could say who wrote what an approval says */
  mustStand(): Promise<void>;
  /**
   * Judges anew, by the policies of this moment, into `exchange.decision`.
   * @throws SallyportError where it is denied now
   */
  decide(exchange: Exchange): Promise<void>;
  readonly evidence: Evidence;
  readonly own: Own;
  readonly approved: Approved;
  readonly audit: Audit;
  readonly metrics: Metrics;
  readonly key: Uint8Array;
}

/** Approvals that are used up, void or replaced while this request looks at them; more is no accident. */
const ROUNDS = 8;
/** Milliseconds after which the controller has taken a decision in, if there is one at work. */
const TAKEN_IN_AFTER = 2_000;

/** Holds requests that need a person's word: asks, waits, and takes the use of what was approved. */
export class ApprovalGate {
  readonly #options: GateOptions;
  readonly #secondTries = new SecondTries();

  constructor(options: GateOptions) {
    this.#options = options;
  }

  /**
   * Resolves when the exact request of this exchange is approved and its use taken (`exchange.permit` then says by what),
   * or when the policies of this moment ask for nobody any more.
   * @param patience milliseconds for which it may be held at most, whatever the rule says
   * @throws SallyportError SP_APPROVAL_REQUIRED and its kin; SP_POLICY_DENIED and its kin where policies changed meanwhile
   */
  async hold(exchange: Exchange, patience = Number.POSITIVE_INFINITY): Promise<void> {
    const { evidence, key, asker, taker } = this.#options;
    let body = await evidence.body(exchange);
    // Of the placeholders, not of what they stand for: the same command has the same digest when a value has changed.
    const asked = exchange.restoration?.asked ?? body;
    const digest = intentDigest(key, { caller: exchange.caller!, operation: exchange.operation!, body: asked });
    let waited = this.#secondTries.take(exchange, digest) ? Number.POSITIVE_INFINITY : 0;
    for (let round = 1; round <= ROUNDS; round++) {
      const grant = await this.#grant(exchange);
      if (grant !== undefined) return this.#pass(exchange, 'Grant', grant, undefined);
      const request = await asker.ask(exchange, digest, body);
      if (conditionOf(request, 'Approved') !== undefined) {
        // What was put back may have changed while a person was thinking.
        await exchange.restoration?.refresh();
        body = await evidence.body(exchange);
        const taken = await taker.take(exchange, request, digest, body);
        if (taken !== undefined) return this.#pass(exchange, 'Use', taken.request, taken.guarded);
        continue;
      }
      const started = performance.now();
      const most = Math.min(patience, exchange.decision!.approval!.waitTimeout * 1_000);
      const isOver = await this.#wait(exchange, request, most - waited);
      if (isOver) {
        this.#secondTries.expect(exchange, digest);
        throw required(exchange, this.#options.book.get(keyOf(request)) ?? request);
      }
      waited += performance.now() - started;
      // A Deny that came meanwhile wins, and so does a policy that asks nobody any more.
      await this.#options.decide(exchange);
      if (exchange.decision!.action === 'Allow') return;
      // Waiting is not a round: it ends by the clock.
      round -= 1;
    }
    throw unavailable('this approval changes all the time', undefined);
  }

  /**
   * After a conflict: the policies of this moment, and what the request would change now. The use that was taken is good
   * for one forward, and nothing was forwarded with effect.
   * @throws SallyportError SP_APPROVAL_VOID where it is not what the person saw
   */
  async again(exchange: Exchange): Promise<void> {
    const { decide, taker } = this.#options;
    await decide(exchange);
    const decision = exchange.decision!;
    const { policyRef, ruleName } = exchange.permit!.request.spec;
    if (
      decision.action === 'RequireApproval' &&
      !(policyRef.uid === decision.policyUID && ruleName === decision.rule)
    ) {
      const message = `${decision.reason}; this needs another approval now: run the same command again to have it asked`;
      throw refusal('SP_APPROVAL_VOID', message, exchange.permit!.request, undefined);
    }
    await taker.lookAgain(exchange, exchange.parsedBody);
  }

  /** From here on the request goes upstream with what the approval adds. */
  #pass(exchange: Exchange, kind: Permit['kind'], request: Kept, guarded: Guarded | undefined): void {
    const { approved, outcomes, streams } = this.#options;
    const { id } = exchange;
    exchange.permit = new Permit({
      kind,
      request,
      guarded,
      settle: (status, wasSent) => {
        if (kind === 'Use') outcomes.record(request, id, outcomeOf(status, wasSent), status);
      },
      stream: () => streams.add(exchange),
    });
    const groups = request.spec.impersonateGroups ?? [];
    const operation = exchange.operation!;
    exchange.identity = approvedName(exchange.identity!, groups, approved, keyOf(request), operation, Date.now());
  }

  /** A grant of this rule to the caller's agent session, read from the API server: taking it back acts at once. */
  async #grant(exchange: Exchange): Promise<Kept | undefined> {
    const { book, own, audit, mustStand } = this.#options;
    const { caller, decision, operation } = exchange;
    const { session } = caller!;
    if (session === undefined) return undefined;
    const question = {
      caller: caller!,
      policy: { uid: decision!.policyUID, generation: decision!.policyGeneration },
      rule: decision!.rule,
      namespace: operation!.namespace,
      leg: 'Gateway',
    } as const;
    for (const known of book.grantsOf(session)) {
      if (!grantCovers(known, question, Date.now())) continue;
      const { namespace, name } = known.metadata;
      const [read] = await Promise.all([
        own.get('ApprovalRequest', { namespace, name }).catch((error: unknown) => {
          throw unavailable('the grant could not be read', error);
        }),
        mustStand(),
      ]);
      if (read === undefined) continue;
      const request = readRequest(read);
      book.note(request);
      if (!grantCovers(request, question, Date.now())) continue;
      audit.tell('granted', exchange, request);
      return request;
    }
    return undefined;
  }

  /**
   * Waits until the request was decided, has ended, or the session was granted the rule.
   * @param patience milliseconds
   * @returns whether nobody decided in time
   * @throws SallyportError SP_APPROVAL_REQUIRED where there is no waiting; what ended the exchange, where that was it
   */
  async #wait(exchange: Exchange, request: Kept, patience: number): Promise<boolean> {
    const { book, holds, audit, metrics } = this.#options;
    const inTime = Math.min(patience, Date.parse(request.spec.expirationTime) - Date.now() + 50);
    // Someone has spoken, and the controller is about to take it in.
    const left = request.status?.decision === undefined ? inTime : Math.max(inTime, TAKEN_IN_AFTER);
    if (!(left > 0)) throw required(exchange, request);
    const release = holds.take(exchange);
    if (release === undefined) throw required(exchange, request);
    const key = keyOf(request);
    const { session } = exchange.caller!;
    const isWoken = (): boolean => {
      const now = book.get(key);
      if (now === undefined || now.metadata.uid !== request.metadata.uid) return true;
      if ((now.status?.conditions ?? []).length > 0 || isOver(now, Date.now())) return true;
      return session !== undefined && book.grantsOf(session).length > grants;
    };
    const grants = session === undefined ? 0 : book.grantsOf(session).length;
    audit.tell('held', exchange, request, { seconds: Math.round(left / 1_000) });
    const started = performance.now();
    try {
      const woken = isWoken() || (await until(isWoken, book, exchange.signal, left));
      metrics.approvalWait.observe((performance.now() - started) / 1_000);
      return !woken;
    } finally {
      release();
    }
  }
}

/** @returns whether it came true in time. @throws what aborted the signal */
function until(isTrue: () => boolean, book: ApprovalBook, signal: AbortSignal, patience: number): Promise<boolean> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason as Error);
    const end = (): void => {
      clearTimeout(timer);
      stopListening();
      signal.removeEventListener('abort', onAbort);
    };
    const onAbort = (): void => {
      end();
      reject(signal.reason as Error);
    };
    const timer = setTimeout(() => {
      end();
      resolve(isTrue());
    }, patience);
    const stopListening = book.onChange(() => {
      if (!isTrue()) return;
      end();
      resolve(true);
    });
    signal.addEventListener('abort', onAbort, { once: true });
  });
}

function outcomeOf(status: number | undefined, wasSent: boolean): OutcomeOfUse {
  if (status === undefined) return wasSent ? 'Unknown' : 'NotForwarded';
  return status < 400 ? 'Succeeded' : 'Failed';
}
