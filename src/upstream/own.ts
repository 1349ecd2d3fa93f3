import { ApiUnreachableError, asked, isStatus } from '../kubernetes/api-error.ts';
import { isStored } from '../kubernetes/object.ts';
import { listAll, type Stored } from '../kubernetes/pages.ts';
import { pathOf, type ResourcePath } from '../kubernetes/resource-path.ts';
import {
  readAccessReview,
  readTokenReview,
  type SubjectAccessReviewSpec,
  type SubjectAccessReviewStatus,
  type TokenReviewStatus,
} from '../kubernetes/review.ts';
import type { Question, Transport } from '../kubernetes/transport.ts';
import { OWN_KINDS, type OwnKind, type OwnKindName } from './own-kinds.ts';

/** An object read in the gateway's own name; its owner reads `spec`, `status` and `data` with its own reader. */
export type OwnObject = Stored & Readonly<Record<string, unknown>>;

export interface Ref {
  /** For kinds of any namespace only; the others have one place. */
  readonly namespace?: string | undefined;
  readonly name: string;
}

/** What is written: metadata's bookkeeping is the API server's. */
export interface Draft {
  readonly name: string;
  readonly namespace?: string | undefined;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  /** `spec`, or `data` and `type` of a Secret. */
  readonly content: Readonly<Record<string, unknown>>;
}

export interface Selection {
  readonly namespace?: string | undefined;
  readonly labelSelector?: string;
  readonly fieldSelector?: string;
  readonly signal?: AbortSignal;
}

const MAX_BODY = 1 << 20;
const MAX_LISTED = 20_000;

/**
 * The API server in the gateway's own name. It cannot take a caller's bytes: every method asks one fixed question about
 * one of the gateway's own kinds, with typed, checked parts. Requests of callers go through `Forward`, which cannot send
 * without a caller.
 *
 * Every method throws ApiError (the API server said no; the message says which verb on what) or ApiUnreachableError.
 */
export class Own {
  readonly #transport: Transport;
  /** The gateway's namespace. */
  readonly namespace: string;

  constructor(transport: Transport, namespace: string) {
    this.#transport = transport;
    this.namespace = namespace;
  }

  /** @param token a caller's credential: it goes into the body of the review, nowhere else, and into no error. */
  async tokenReview(token: string, audiences: readonly string[], signal?: AbortSignal): Promise<TokenReviewStatus> {
    // An empty token would be reviewed as "no credential", which some authenticators answer (CVE-2023-48312).
    if (!/^[\x21-\x7e]{1,65536}$/.test(token)) throw new RangeError('not a bearer token');
    if (audiences.length === 0) throw new RangeError('a review for no audience would take the API server’s own');
    const review = { apiVersion: 'authentication.k8s.io/v1', kind: 'TokenReview', spec: { token, audiences } };
    return readTokenReview(await this.#review('authentication.k8s.io', 'tokenreviews', review, signal));
  }

  /** The public keys of ServiceAccount tokens (RFC 7517), as the API server publishes them. */
  async serviceAccountKeys(signal?: AbortSignal): Promise<Record<string, unknown>> {
    // It serves the one type that RFC 7517 names, and answers 406 to who asks for another.
    const accept = 'application/jwk-set+json';
    const answer = await this.#ask({ verb: 'get', path: '/openid/v1/jwks', accept, ...(signal && { signal }) });
    return (answer ?? {}) as Record<string, unknown>;
  }

  /** Whether a subject could do something, by the cluster's own authorizers. */
  async subjectAccessReview(spec: SubjectAccessReviewSpec, signal?: AbortSignal): Promise<SubjectAccessReviewStatus> {
    if (spec.user === '' && (spec.groups ?? []).length === 0) throw new RangeError('a review of nobody');
    const review = { apiVersion: 'authorization.k8s.io/v1', kind: 'SubjectAccessReview', spec };
    return readAccessReview(await this.#review('authorization.k8s.io', 'subjectaccessreviews', review, signal));
  }

  /** @returns undefined only when the API server says that there is none. */
  async get(kind: OwnKindName, ref: Ref, signal?: AbortSignal): Promise<OwnObject | undefined> {
    const path = this.#object(kind, ref);
    try {
      return stored(await this.#ask({ verb: 'get', path, ...(signal && { signal }) }), path);
    } catch (error) {
      if (isStatus(error, 404) && error.reason === 'NotFound') return undefined;
      throw error;
    }
  }

  /** A consistent read of a whole collection; for kinds of any namespace, of all namespaces where none is given. */
  async list(kind: OwnKindName, selection: Selection = {}): Promise<readonly OwnObject[]> {
    const { labelSelector, fieldSelector, signal } = selection;
    const listed = await listAll(this.#transport, this.#collection(kind, selection.namespace), {
      query: { ...(labelSelector && { labelSelector }), ...(fieldSelector && { fieldSelector }) },
      pageSize: 500,
      maxObjects: MAX_LISTED,
      maxBytes: 32 << 20,
      timeout: 15_000,
      ...(signal && { signal }),
    });
    return listed.items as readonly OwnObject[];
  }

  /** @throws ApiError 409 when there is one of that name. */
  async create(kind: OwnKindName, draft: Draft): Promise<OwnObject> {
    // A name has to be one before it is in a body, too.
    pathOf(this.#object(kind, draft));
    const path = this.#collection(kind, draft.namespace, draft.name);
    return stored(await this.#ask({ verb: 'create', path, body: this.#body(kind, draft, {}) }), path);
  }

  /** Replaces it if it is still at `resourceVersion`. @throws ApiError 409 when it is not. */
  async update(kind: OwnKindName, draft: Draft, resourceVersion: string): Promise<OwnObject> {
    if (resourceVersion === '') throw new RangeError('an update without resourceVersion would overwrite blindly');
    const path = this.#object(kind, draft);
    return stored(await this.#ask({ verb: 'update', path, body: this.#body(kind, draft, { resourceVersion }) }), path);
  }

  /** Merges into the status subresource; nothing else of the object can be touched by it. */
  async patchStatus(
    kind: OwnKindName,
    ref: Ref,
    status: Readonly<Record<string, unknown>>,
    precondition: { readonly resourceVersion?: string; readonly uid?: string } = {},
  ): Promise<OwnObject> {
    const path = { ...this.#object(kind, ref), subresource: 'status' };
    const metadata = Object.keys(precondition).length === 0 ? {} : { metadata: precondition };
    const body = bounded({ ...metadata, status });
    return stored(await this.#ask({ verb: 'patch', path, body, patchType: 'application/merge-patch+json' }), path);
  }

  /** Deletes exactly the object of that uid. @returns false when it was gone already. */
  async delete(kind: OwnKindName, ref: Ref, uid: string): Promise<boolean> {
    if (uid === '') throw new RangeError('a deletion without uid could meet a successor of the same name');
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', preconditions: { uid } };
    try {
      await this.#ask({ verb: 'delete', path: this.#object(kind, ref), body });
      return true;
    } catch (error) {
      // 409: one of the same name and another uid is there, so this one is not.
      if (isStatus(error, 404) || isStatus(error, 409)) return false;
      throw error;
    }
  }

  /** `{major: "1", minor: "36", gitVersion: "v1.36.3"}` */
  async serverVersion(signal?: AbortSignal): Promise<{ major: string; minor: string; gitVersion: string }> {
    const answer = (await this.#ask({ verb: 'get', path: '/version', ...(signal && { signal }) })) as Record<
      string,
      unknown
    >;
    const part = (name: string) => (typeof answer?.[name] === 'string' ? answer[name] : '');
    return { major: part('major'), minor: part('minor'), gitVersion: part('gitVersion') };
  }

  async #review(group: string, resource: string, body: object, signal: AbortSignal | undefined): Promise<unknown> {
    const path = { group, version: 'v1', resource };
    return await this.#ask({ verb: 'create', path, body, repeatable: true, ...(signal && { signal }) });
  }

  async #ask(question: Question): Promise<unknown> {
    return await this.#transport.ask({ maxBytes: 4 << 20, ...question });
  }

  #object(kind: OwnKindName, ref: Ref): ResourcePath {
    return { ...this.#collection(kind, ref.namespace, ref.name), name: ref.name };
  }

  #collection(kind: OwnKindName, namespace: string | undefined, name?: string): ResourcePath {
    const { group, version, resource, placement, names }: OwnKind = OWN_KINDS[kind];
    if (placement === 'AnyNamespace') return { group, version, resource, namespace };
    if (namespace !== undefined && namespace !== this.namespace) throw new RangeError(`${kind} has no other namespace`);
    if (names !== undefined && (name === undefined || !names.test(name))) {
      throw new RangeError(`not one of the gateway's own ${resource}`);
    }
    return { group, version, resource, ...(placement === 'Cluster' ? {} : { namespace: this.namespace }) };
  }

  #body(kind: OwnKindName, draft: Draft, bookkeeping: { resourceVersion?: string }): object {
    const { group, version, placement }: OwnKind = OWN_KINDS[kind];
    const { name, labels, annotations } = draft;
    const namespace = placement === 'AnyNamespace' ? draft.namespace : this.namespace;
    return bounded({
      ...draft.content,
      apiVersion: group === '' ? version : `${group}/${version}`,
      kind,
      metadata: {
        name,
        ...(placement === 'Cluster' ? {} : { namespace }),
        ...(labels && { labels }),
        ...(annotations && { annotations }),
        ...bookkeeping,
      },
    });
  }
}

function bounded<T extends object>(body: T): T {
  const { length } = JSON.stringify(body);
  if (length > MAX_BODY) throw new RangeError(`an object of ${length} characters is over the bound of ${MAX_BODY}`);
  return body;
}

function stored(answer: unknown, path: ResourcePath): OwnObject {
  if (!isStored(answer)) throw new ApiUnreachableError(asked('get', path), 'malformed', 'the answer is not an object');
  return answer as OwnObject;
}
