import type { ApprovalRequestSpec } from '../../approval/approval-request.generated.ts';
import { type Asking, ask } from '../../approval/asking.ts';
import { conditionOf, cut } from '../../approval/condition.ts';
import { newRequest } from '../../approval/new-request.ts';
import { MAX_INLINE_DIFF } from '../../approval/object-diff.ts';
import { MAX_WORD } from '../../approval/operation-record.ts';
import { namePrefix } from '../../approval/request-name.ts';
import { MAX_SUMMARY } from '../../approval/summary.ts';
import { SallyportError } from '../../errors.ts';
import type { Caller } from '../../identity/caller.ts';
import { isStatus } from '../../kubernetes/api-error.ts';
import type { Body } from '../../request/body.ts';
import type { Operation } from '../../request/operation.ts';
import type { Own } from '../../upstream/own.ts';
import type { Exchange } from '../exchange.ts';
import type { Masking } from '../masking/masking.ts';
import type { Audit } from './audit.ts';
import { type ApprovalBook, type Kept, readRequest } from './book.ts';
import type { DiffStore } from './diff-store.ts';
import type { Differ } from './differ.ts';
import { withGroups } from './identity.ts';
import { mustBeGuardable } from './precondition.ts';
import { refusal } from './refusals.ts';
import type { Targets } from './target.ts';
import { unavailable } from './unavailable.ts';

export interface AskerOptions {
  readonly own: Own;
  readonly book: ApprovalBook;
  readonly targets: Targets;
  readonly audit: Audit;
  readonly differ: Differ;
  readonly diffs: DiffStore | undefined;
  readonly masking: Pick<Masking, 'shown' | 'line'>;
  readonly pendingPerCaller: number;
  readonly requestsPerCaller: number;
  readonly maxRequests: number;
  /** Seconds. */
  readonly retryAfter: number;
}

/** Names that may be taken by others, or by the same request asked through another gateway, before this gives up. */
const TRIES = 5;

/** Finds the ApprovalRequest of one exact request, or makes it. */
export class Asker {
  readonly #options: AskerOptions;
  /** The same request is asked about once at a time: of 40 parallel copies one dry run is made, not 40. */
  readonly #underWay = new Map<string, Promise<unknown>>();
  /** Being written just now, of each caller. */
  readonly #making = new Map<string, Set<string>>();

  constructor(options: AskerOptions) {
    this.#options = options;
  }

  /**
   * @returns one that waits or is approved
   * @throws SallyportError SP_APPROVAL_DENIED, SP_APPROVAL_EXPIRED (too early to ask again), SP_APPROVAL_LIMIT, SP_APPROVAL_UNAVAILABLE
   */
  async ask(exchange: Exchange, digest: string, body: Body | undefined): Promise<Kept> {
    for (;;) {
      const before = this.#underWay.get(digest);
      if (before === undefined) break;
      await before.catch(() => {});
      exchange.signal.throwIfAborted();
    }
    const asking = this.#ask(exchange, digest, body);
    this.#underWay.set(digest, asking);
    try {
      return await asking;
    } finally {
      this.#underWay.delete(digest);
    }
  }

  async #ask(exchange: Exchange, digest: string, body: Body | undefined): Promise<Kept> {
    const { book, own, audit, retryAfter } = this.#options;
    const decision = exchange.decision!;
    const prefix = namePrefix(digest);
    const asking: Asking = {
      digest,
      leg: 'Gateway',
      policyUID: decision.policyUID,
      rule: decision.rule,
      terms: decision.approval!,
    };
    let found: Awaited<ReturnType<Asker['describe']>> | undefined;
    let namespace = exchange.operation!.namespace || own.namespace;
    let isRead = false;
    for (let attempt = 1; attempt <= TRIES; attempt++) {
      book.mustBeFresh();
      const asked = ask(book.named(namespace, prefix), asking, Date.now(), retryAfter);
      if (asked.kind === 'Refuse') {
        const message = `${decision.policy}/${decision.rule}: ${asked.message}`;
        throw refusal(asked.code, message, asked.request, asked.retryAfter);
      }
      if (asked.kind === 'Join') {
        if (!isRead && conditionOf(asked.request, 'Approved') === undefined) {
          // The watch may be a moment behind a person who says "it is approved, run it again".
          isRead = true;
          await this.#read(namespace, asked.request.metadata.name);
          continue;
        }
        audit.tell('joined', exchange, asked.request);
        return asked.request;
      }
      mustBeGuardable(exchange.operation!, body);
      const giveBack = this.#admit(exchange, `${namespace}/${asked.name}`);
      try {
        found ??= await this.describe(exchange, body);
        const { name, previous } = asked;
        const { caller, operation } = exchange as { caller: Caller; operation: Operation };
        const wanted = {
          ...found,
          name,
          namespace,
          caller,
          operation,
          decision,
          digest,
          leg: 'Gateway',
          previous,
        } as const;
        const spec = this.#masked(exchange, newRequest(wanted, Date.now()).spec);
        const made = readRequest(await own.create('ApprovalRequest', { name, namespace, content: { spec } }));
        book.note(made);
        audit.tell('requested', exchange, made, { expires: made.spec.expirationTime });
        return made;
      } catch (error) {
        if (isStatus(error, 409)) {
          // The same request through another gateway, or a mere name.
          await this.#read(namespace, asked.name);
        } else if (isStatus(error, 404) && namespace !== own.namespace) {
          // The operation's namespace is not there (yet): whatever comes of the request, someone can be asked.
          namespace = own.namespace;
        } else throw error instanceof SallyportError ? error : unavailable('nobody could be asked', error);
      } finally {
        giveBack();
      }
    }
    throw unavailable('nobody could be asked: every name was taken meanwhile', undefined);
  }

  async #read(namespace: string, name: string): Promise<void> {
    const { own, book } = this.#options;
    try {
      const read = await own.get('ApprovalRequest', { namespace, name });
      if (read !== undefined) return book.note(readRequest(read));
    } catch (error) {
      throw unavailable('what was asked could not be read', error);
    }
    const known = book.get(`${namespace}/${name}`);
    if (known !== undefined) book.gone(known);
  }

  /** What the caller may not see, its approver is not shown either: credentials that are recognised in what was typed. */
  #masked(exchange: Exchange, spec: ApprovalRequestSpec): ApprovalRequestSpec {
    const { masking } = this.#options;
    const line = (text: string, most: number): string => cut(masking.line(exchange, text), most);
    const { command, path, display } = spec.operation;
    const operation = {
      ...spec.operation,
      display: line(display, 256),
      path: line(path, MAX_WORD),
      ...(command === undefined ? {} : { command: command.map((word) => line(word, MAX_WORD)) }),
    };
    return { ...spec, summary: line(spec.summary, MAX_SUMMARY), operation };
  }

  /** What a person is shown of the change, and what an approval is bound to. */
  async describe(exchange: Exchange, body: Body | undefined) {
    const { targets, differ, diffs, masking } = this.#options;
    const groups = exchange.decision!.approval!.impersonateGroups;
    const found = await targets.find(exchange, body, withGroups(exchange.identity!, groups), true);
    const { target, notes, objectName, before, after } = found;
    if (!found.comparable) return { target, notes, objectName };
    const shown = (text: string | undefined) => (text === undefined ? undefined : masking.shown(exchange, text));
    const masked = exchange.masking === undefined ? undefined : { before: shown(before), after: shown(after) };
    const diff = await differ.diff({ before, after, masked });
    const isLong = diff.sizeBytes > MAX_INLINE_DIFF;
    const diffLocator = isLong ? await diffs?.put(diff.digest, diff.text) : undefined;
    return { target, notes, objectName, diff, ...(diffLocator === undefined ? {} : { diffLocator }) };
  }

  /**
   * @param name of the object that is about to be made
   * @returns to be called when it is made, or not
   * @throws SallyportError SP_APPROVAL_LIMIT
   */
  #admit(exchange: Exchange, name: string): () => void {
    const { book, audit, pendingPerCaller, requestsPerCaller, maxRequests } = this.#options;
    const { issuer, username, agent } = exchange.caller!;
    const caller = JSON.stringify([issuer, username, agent ?? null]);
    const making = this.#making.get(caller) ?? new Set();
    // The watch may have brought one before the answer to its writing did.
    const unseen = [...making].filter((key) => book.get(key) === undefined).length;
    const waiting = book.pendingOf(exchange.caller!, Date.now()) + unseen;
    const count = book.countOf(exchange.caller!) + unseen;
    const why =
      waiting >= pendingPerCaller
        ? `${waiting} requests of this caller wait for a person already; have those decided first`
        : count >= requestsPerCaller
          ? `this caller has ${count} approval requests, ended ones among them; they are removed in time`
          : book.size + unseen >= maxRequests
            ? `there are ${book.size} approval requests in the cluster; ask a platform engineer to remove ended ones`
            : undefined;
    if (why !== undefined) {
      audit.tell('limited', exchange, undefined, { why });
      const message = `${exchange.decision!.reason}; this needs a person's approval, and nobody was asked: ${why}`;
      throw new SallyportError('SP_APPROVAL_LIMIT', message, { retryAfter: 60 });
    }
    this.#making.set(caller, making.add(name));
    return () => {
      making.delete(name);
      if (making.size === 0) this.#making.delete(caller);
    };
  }
}
