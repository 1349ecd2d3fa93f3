import type { ApprovalRequestTarget } from '../../approval/approval-request.generated.ts';
import { hidePatch } from '../../approval/hidden-patch.ts';
import type { UpstreamName } from '../../identity/upstream-name.ts';
import type { Body } from '../../request/body.ts';
import { collectionDigest, resultDigest } from '../../request/digest.ts';
import { forwardableHeaders } from '../../request/headers.ts';
import { type Json, memberAt, parseJson } from '../../request/json.ts';
import { isConnect, type Operation } from '../../request/operation.ts';
import type { Forward } from '../../upstream/forward.ts';
import { acceptJSON, parentPath, withDryRun } from '../evidence.ts';
import type { Exchange } from '../exchange.ts';

export interface TargetsOptions {
  readonly forward: Forward;
  via(name: UpstreamName): string;
  /** Whether kube-apiserver itself serves a group and version; an aggregated server may ignore `dryRun`, and act. */
  servedByAPIServer(group: string, version: string): boolean;
  readonly key: Uint8Array;
}

/** What a request would change, as it is now. */
export interface Found {
  /** What an approval is bound to. */
  readonly target: ApprovalRequestTarget;
  /** The live object in JSON; undefined where there is none, or it was not asked for. */
  readonly before: string | undefined;
  /** What the dry run gave, in JSON; undefined for a deletion, and where there is none. */
  readonly after: string | undefined;
  /** Whether `before` and `after` are the change. */
  readonly comparable: boolean;
  /** What an approver must know of how this was found out, a fact each. */
  readonly notes: readonly string[];
  /** Of a write: the object is there and would change, it would be made, or the API server would refuse. */
  readonly state?: 'There' | 'Absent' | 'Refused';
  /** Of what a POST creates; a name that is drawn ends with `*`. */
  readonly objectName?: string;
  /** Of a deletion of a collection: the resourceVersion at which it was looked at. */
  readonly collectionVersion?: string;
}

/** Objects are bounded by etcd's request size; what is larger is no object. */
const OBJECT_LIMIT = 8 << 20;
/** Objects of a collection that are looked at; more than that nobody reads. */
const COLLECTION_LIMIT = 500;
const NOTHING: Found = { target: {}, before: undefined, after: undefined, comparable: false, notes: [] };
/** Subresources whose parent is what they act on; their own answers say nothing of it. */
const ACTS_ON_PARENT = new Set(['eviction', 'binding', 'token']);
/** Refusals that depend on what is there. Others may be about the dry run itself (a webhook that does not support any). */
const REFUSALS = new Set([403, 404, 409, 422]);

/**
 * Finds out what a request would change: by a dry run and a look at the live object, in the caller's name with the groups
 * that the approval would add. Nothing of what comes back, not even an error, is ever the caller's to see: it could tell
 * right guesses from wrong ones without anyone having approved anything.
 */
export class Targets {
  readonly #options: TargetsOptions;

  constructor(options: TargetsOptions) {
    this.#options = options;
  }

  /**
   * @param identity the caller's, with the groups that the approval would add
   * @param live whether to read the live object too, for a diff
   * @throws SallyportError SP_UPSTREAM_* when the API server cannot be asked
   */
  async find(exchange: Exchange, body: Body | undefined, identity: UpstreamName, live: boolean): Promise<Found> {
    const operation = exchange.operation!;
    const { verb, subresource } = operation;
    if (!operation.isResource) return NOTHING;
    if (isConnect(operation) || ACTS_ON_PARENT.has(subresource)) return this.#parent(exchange, identity);
    if (verb === 'delete') return this.#deletion(exchange, identity);
    if (verb === 'deletecollection') return this.#collection(exchange, identity);
    if (verb !== 'create' && verb !== 'update' && verb !== 'patch') return NOTHING;
    return this.#write(exchange, body, identity, live);
  }

  async #parent(exchange: Exchange, identity: UpstreamName): Promise<Found> {
    const operation = exchange.operation!;
    const { status, tree } = await this.#read(exchange, parentPath(operation), identity);
    const uid = memberAt(tree, 'metadata', 'uid');
    if (typeof uid === 'string') return { ...NOTHING, target: { uid } };
    const what = operation.resource.replace(/s$/, '');
    return {
      ...NOTHING,
      notes: [`the ${what} could not be looked at (HTTP ${status}); which one is met is not bound`],
    };
  }

  async #deletion(exchange: Exchange, identity: UpstreamName): Promise<Found> {
    const operation = exchange.operation!;
    const { status, tree, object } = await this.#read(exchange, operation.path, identity);
    const uid = memberAt(tree, 'metadata', 'uid');
    if (tree === undefined || typeof uid !== 'string') {
      const notes = [`the object could not be looked at (HTTP ${status})`];
      return { ...NOTHING, target: { resultDigest: resultDigest(this.#options.key, operation, { status }) }, notes };
    }
    const digest = resultDigest(this.#options.key, operation, { object: tree });
    return { target: { uid, resultDigest: digest }, before: object, after: undefined, comparable: true, notes: [] };
  }

  /** A deletion of a collection meets whatever is there: bound are the very objects that it would meet now. */
  async #collection(exchange: Exchange, identity: UpstreamName): Promise<Found> {
    const operation = exchange.operation!;
    const selectors = operation.query.split('&').filter((pair) => /^(?:label|field)Selector=/.test(pair));
    const path = `${operation.path}?${[...selectors, `limit=${COLLECTION_LIMIT}`].join('&')}`;
    const { status, tree } = await this.#read(exchange, path, identity);
    const items = memberAt(tree, 'items');
    if (!Array.isArray(items)) {
      return {
        ...NOTHING,
        notes: [`the collection could not be looked at (HTTP ${status}); what is met is not bound`],
      };
    }
    if ((memberAt(tree, 'metadata', 'continue') ?? '') !== '') {
      return { ...NOTHING, notes: [`MORE THAN ${COLLECTION_LIMIT} OBJECTS would be deleted; which is not bound`] };
    }
    const member = (item: Json, name: string): string => String(memberAt(item, 'metadata', name) ?? '');
    const uids = items.map((item) => member(item, 'uid'));
    const version = memberAt(tree, 'metadata', 'resourceVersion');
    const names = items.map((item) => [member(item, 'namespace'), member(item, 'name')].filter(Boolean).join('/'));
    return {
      target: { resultDigest: collectionDigest(this.#options.key, uids) },
      before: JSON.stringify({ [operation.resource]: names.sort((a, b) => (a < b ? -1 : 1)) }),
      after: undefined,
      comparable: true,
      notes: [`${items.length} objects would be deleted`],
      ...(typeof version === 'string' && version !== '' ? { collectionVersion: version } : {}),
    };
  }

  async #write(exchange: Exchange, body: Body | undefined, identity: UpstreamName, live: boolean): Promise<Found> {
    const operation = exchange.operation!;
    const isNew = operation.verb === 'create' && operation.subresource === '';
    const before = live && !isNew ? await this.#read(exchange, operation.path, identity) : undefined;
    const unseen =
      before !== undefined && before.object === undefined && before.status !== 404
        ? [`the live object could not be read (HTTP ${before.status}); the diff is against nothing`]
        : [];
    if (!this.#options.servedByAPIServer(operation.apiGroup, operation.apiVersion)) {
      return this.#withoutDryRun(exchange, body, identity, before?.object, isNew);
    }
    const { status, tree, object } = await this.#ask(
      exchange,
      {
        method: operation.method,
        target: `${operation.path}?${withDryRun(operation.query)}`,
        headers: acceptJSON(
          forwardableHeaders(
            exchange.request.rawHeaders,
            body?.contentType === undefined ? {} : { contentType: body.contentType },
          ),
        ),
        body: body === undefined || body.encoding === 'empty' ? null : Buffer.from(body.bytes),
      },
      identity,
    );
    if (status >= 400 || tree === undefined) {
      const note = `the API server would refuse this as things are: HTTP ${status}${reasonOf(tree)}`;
      return {
        target: { resultDigest: resultDigest(this.#options.key, operation, { status }) },
        ...bodyAlone(operation, body),
        notes: [...unseen, note],
        ...(REFUSALS.has(status) ? { state: 'Refused' } : {}),
      };
    }
    const uid = memberAt(tree, 'metadata', 'uid');
    const version = memberAt(tree, 'metadata', 'resourceVersion');
    // 201: it creates, by PUT or apply too, and the uid of a dry run is drawn anew each time.
    const existing = status === 201 ? {} : bookkeeping(uid, version);
    const digest = resultDigest(this.#options.key, operation, { object: tree });
    return {
      target: { ...existing, resultDigest: digest },
      before: before?.object,
      after: object,
      comparable: true,
      notes: unseen,
      state: status === 201 ? 'Absent' : 'There',
      objectName: objectName(tree),
    };
  }

  /** Bound are the object's uid and, where the caller's body is the whole object, nothing more: the digest holds that. */
  async #withoutDryRun(
    exchange: Exchange,
    body: Body | undefined,
    identity: UpstreamName,
    before: string | undefined,
    isNew: boolean,
  ): Promise<Found> {
    const operation = exchange.operation!;
    const { status, tree } = isNew ? NO_ANSWER : await this.#read(exchange, operation.path, identity);
    const note = `no dry run: ${operation.apiGroup} is served by an aggregated server, which may not honour one`;
    return {
      target: bookkeeping(memberAt(tree, 'metadata', 'uid'), memberAt(tree, 'metadata', 'resourceVersion')),
      ...bodyAlone(operation, body),
      ...(body?.kind === 'object' ? { before } : {}),
      notes: [note],
      ...(status === 404 ? { state: 'Absent' } : {}),
    };
  }

  #read(exchange: Exchange, target: string, identity: UpstreamName): Promise<Answer> {
    return this.#ask(
      exchange,
      { method: 'GET', target, headers: ['accept', 'application/json'], body: null },
      identity,
    );
  }

  async #ask(
    exchange: Exchange,
    question: { method: string; target: string; headers: string[]; body: Buffer | null },
    identity: UpstreamName,
  ): Promise<Answer> {
    const { forward, via } = this.#options;
    const { status, body } = await forward.collect(
      { ...question, identity, via: via(identity), requestID: exchange.id },
      OBJECT_LIMIT,
      // Not ended with the client: who leaves while a person is being asked has asked all the same.
    );
    const text = body.toString('utf8');
    try {
      const tree = parseJson(text);
      return { status, tree, object: status >= 400 ? undefined : text };
    } catch {
      return { status, tree: undefined, object: undefined };
    }
  }
}

interface Answer {
  readonly status: number;
  readonly tree: Json | undefined;
  /** The same as it came; undefined for a refusal. */
  readonly object: string | undefined;
}

const NO_ANSWER: Answer = { status: 0, tree: undefined, object: undefined };

/** Where there is no result to show: the object that was sent, or the patch as it stands. */
function bodyAlone(
  operation: Operation,
  body: Body | undefined,
): Pick<Found, 'before' | 'after' | 'comparable' | 'objectName'> {
  if (body?.json === undefined) return { before: undefined, after: undefined, comparable: false };
  const isPatch = body.kind === 'patch';
  const after = isPatch
    ? JSON.stringify({ patch: hidePatch(operation.resource, JSON.parse(body.json) as unknown) })
    : body.json;
  return { before: undefined, after, comparable: true, objectName: objectName(body.tree) };
}

function objectName(tree: Json | undefined): string {
  const drawn = memberAt(tree, 'metadata', 'generateName');
  if (typeof drawn === 'string' && drawn !== '') return `${drawn}*`;
  const name = memberAt(tree, 'metadata', 'name');
  return typeof name === 'string' ? name : '';
}

function bookkeeping(uid: Json | undefined, version: Json | undefined): ApprovalRequestTarget {
  return {
    ...(typeof uid === 'string' && uid !== '' ? { uid } : {}),
    ...(typeof version === 'string' && version !== '' ? { resourceVersion: version } : {}),
  };
}

/** The word alone: the message of a refused patch can hold the values of a Secret. */
function reasonOf(tree: Json | undefined): string {
  const reason = memberAt(tree, 'reason');
  return typeof reason === 'string' && /^[A-Za-z]{1,40}$/.test(reason) ? ` ${reason}` : '';
}
