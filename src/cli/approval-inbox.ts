import type { ApprovalRequest, ApprovalRequestStatusDecision } from '../approval/approval-request.generated.ts';
import { type Person, type PersonQuestion, ServerRefusal, type UserInfo } from '../kubernetes/person.ts';
import { ApprovalTable, type InboxRow } from './approval-table.ts';

/** Where to look: one collection, of all namespaces or of one. */
type Scope = readonly (string | undefined)[];

const KIND = { group: 'sallyport.dev', version: 'v1alpha1', resource: 'approvalrequests' } as const;
const PAGE = '500';
const TABLE = 'application/json;as=Table;g=meta.k8s.io;v=v1';
/** Namespaces that are asked one by one at most, and how many of them at once. */
const MAX_NAMESPACES = 2_000;
const AT_ONCE = 8;

/** Approval requests as a person may see and decide them, with their own credentials. */
export class ApprovalInbox {
  readonly #person: Person;
  #scope: Promise<Scope> | undefined;
  #me: Promise<UserInfo> | undefined;

  constructor(person: Person) {
    this.#person = person;
  }

  get defaultNamespace(): string {
    return this.#person.context.namespace ?? 'default';
  }

  /** Who the API server takes this person for. @throws ServerRefusal */
  me(): Promise<UserInfo> {
    this.#me ??= this.#person.whoami();
    return this.#me;
  }

  /** @throws ServerRefusal */
  async get(namespace: string, name: string): Promise<ApprovalRequest> {
    return (await this.#person.ask({ path: { ...KIND, namespace, name } })) as ApprovalRequest;
  }

  /** Writes one person's word into `status.decision`; undefined takes it back. @throws ServerRefusal */
  async decide(object: ApprovalRequest, decision: ApprovalRequestStatusDecision): Promise<void> {
    const { namespace, name, uid } = object.metadata;
    await this.#person.ask({
      method: 'PATCH',
      path: { ...KIND, namespace, name, subresource: 'status' },
      body: { metadata: { uid }, status: { decision: { ...NOTHING, ...decision } } },
    });
  }

  /**
   * Rows of the namespaces that this person may read, newest first.
   * @param namespaces to look in; all that may be read where none is named
   * @param selector of fields, `status.phase=Pending`
   * @throws ServerRefusal where nothing may be read
   */
  async rows(namespaces: readonly string[], selector: string): Promise<InboxRow[]> {
    const scope = await this.#scopeOf(namespaces);
    const rows: InboxRow[] = [];
    const refusals: ServerRefusal[] = [];
    const left = [...scope];
    const one = async (): Promise<void> => {
      while (left.length > 0) {
        const namespace = left.shift();
        try {
          for await (const page of this.#pages(namespace, selector)) rows.push(...page);
        } catch (error) {
          if (!(error instanceof ServerRefusal) || (error.status !== 403 && error.status !== 404)) throw error;
          refusals.push(error);
        }
      }
    };
    await Promise.all(Array.from({ length: Math.min(AT_ONCE, scope.length) }, one));
    if (refusals.length === scope.length && refusals[0] !== undefined) throw refusals[0];
    return rows.sort((a, b) => b.created.localeCompare(a.created) || b.name.localeCompare(a.name));
  }

  /** Objects as they come and change, from now on, until the process ends. @throws ServerRefusal */
  async *changes(
    namespaces: readonly string[],
  ): AsyncGenerator<{ readonly type: string; readonly row: InboxRow }, void> {
    const scope = await this.#scopeOf(namespaces);
    const events: { type: string; row: InboxRow }[] = [];
    let wake = Promise.withResolvers<void>();
    const follow = async (namespace: string | undefined): Promise<void> => {
      for (;;) {
        const from = await this.#revision(namespace);
        const question = {
          path: { ...KIND, namespace },
          accept: TABLE,
          query: { resourceVersion: from, timeoutSeconds: '290' },
        };
        const table = new ApprovalTable();
        for await (const { type, object } of this.#person.watch(question)) {
          if (type === 'ERROR') break;
          for (const row of table.rows(object)) events.push({ type, row });
          wake.resolve();
        }
      }
    };
    const failed = Promise.race(scope.map(follow));
    failed.catch(() => {});
    for (;;) {
      while (events.length > 0) yield events.shift()!;
      await Promise.race([wake.promise, failed]);
      wake = Promise.withResolvers<void>();
    }
  }

  async *#pages(namespace: string | undefined, fieldSelector: string): AsyncGenerator<InboxRow[], void> {
    const table = new ApprovalTable();
    let next = '';
    do {
      const query = { limit: PAGE, ...(fieldSelector && { fieldSelector }), ...(next && { continue: next }) };
      const page = await this.#person.ask({ path: { ...KIND, namespace }, query, accept: TABLE });
      yield table.rows(page);
      next = (page as { metadata?: { continue?: string } } | null)?.metadata?.continue ?? '';
    } while (next !== '');
  }

  async #revision(namespace: string | undefined): Promise<string> {
    const page = await this.#person.ask({ path: { ...KIND, namespace }, query: { limit: '1' }, accept: TABLE });
    return (page as { metadata?: { resourceVersion?: string } } | null)?.metadata?.resourceVersion ?? '';
  }

  #scopeOf(namespaces: readonly string[]): Promise<Scope> {
    if (namespaces.length > 0) return Promise.resolve([...new Set(namespaces)]);
    this.#scope ??= this.#readable();
    return this.#scope;
  }

  /** Everywhere; else every namespace that can be listed; else those that the kubeconfig's contexts name. */
  async #readable(): Promise<Scope> {
    if (await this.#may({ path: KIND, query: { limit: '1' }, accept: TABLE })) return [undefined];
    const names: string[] = [];
    let next = '';
    try {
      do {
        const page = (await this.#person.ask({
          path: { group: '', version: 'v1', resource: 'namespaces' },
          query: { limit: PAGE, ...(next && { continue: next }) },
          accept: 'application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1',
        })) as { items?: { metadata: { name: string } }[] | null; metadata?: { continue?: string } };
        names.push(...(page.items ?? []).map(({ metadata }) => metadata.name));
        next = page.metadata?.continue ?? '';
      } while (next !== '' && names.length < MAX_NAMESPACES);
    } catch (error) {
      if (!(error instanceof ServerRefusal) || error.status !== 403) throw error;
    }
    if (names.length === 0) names.push(...new Set([this.defaultNamespace, ...this.#person.context.namespaces]));
    return names;
  }

  async #may(question: PersonQuestion): Promise<boolean> {
    try {
      await this.#person.ask(question);
      return true;
    } catch (error) {
      if (error instanceof ServerRefusal && error.status === 403) return false;
      throw error;
    }
  }
}

/** A merge patch keeps what it does not name: nothing of an earlier word may stay in this one. */
const NOTHING = { uid: null, reason: null, grantDuration: null, allowTruncated: null, authTime: null };
