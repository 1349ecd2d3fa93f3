import { SallyportError } from '../../errors.ts';
import { findMarkers } from '../../masking/marker.ts';
import type { MaskPlan } from '../../masking/mask-plan.ts';
import { viewOf } from '../../masking/write-back/original.ts';
import {
  holdsPlaceholder,
  lineHoldsPlaceholder,
  treeHoldsPlaceholder,
} from '../../masking/write-back/placeholder-search.ts';
import { refuseProbes } from '../../masking/write-back/selector-probe.ts';
import { Tracer } from '../../masking/write-back/tracer.ts';
import {
  needsCurrent,
  type Sources,
  type Written,
  type WrittenBack,
  writeBack,
} from '../../masking/write-back/write-back.ts';
import type { Body } from '../../request/body.ts';
import { type Json, memberAt, parseJson, writeJson } from '../../request/json.ts';
import type { Operation } from '../../request/operation.ts';
import { readProtobufObject } from '../../request/protobuf-object.ts';
import { Query } from '../../request/query.ts';
import type { Evidence } from '../evidence.ts';
import type { Exchange } from '../exchange.ts';
import { callerKey } from '../limits.ts';
import type { HelmSources } from './helm-sources.ts';
import type { LiteralLimit } from './literal-limit.ts';
import type { ObjectReader } from './object-reader.ts';
import { resourceKind } from './resource-kind.ts';
import { Restoration } from './restoration.ts';

export interface WriteBackOptions {
  readonly evidence: Evidence;
  readonly reader: ObjectReader;
  readonly helm: HelmSources;
  readonly limit: LiteralLimit;
}

/** Puts the values back that placeholders in a write stand for, and refuses what would find values out. */
export class WriteBack {
  readonly #options: WriteBackOptions;

  constructor(options: WriteBackOptions) {
    this.#options = options;
  }

  /** Whether there is anything to look at: the request line alone tells. */
  concerns({ masking, operation }: Exchange): boolean {
    if (masking === undefined) return false;
    const { isCollection, method, query, path } = operation!;
    const reads = method === 'GET' || method === 'HEAD';
    return isCollection || !reads || lineHoldsPlaceholder(query) || lineHoldsPlaceholder(path);
  }

  /**
   * Before anything is decided: policies judge the restored body, and it is what is forwarded. The object is read only where a
   * placeholder, or a new value over a masked one, is found.
   * @throws SallyportError SP_MASKING_PLACEHOLDER and its kin, SP_MASKING_PROBE, SP_MASKING_LITERAL_*
   */
  async restore(exchange: Exchange): Promise<void> {
    const operation = exchange.operation!;
    const { plan } = exchange.masking!;
    refuseInRequestLine(operation);
    if (operation.isCollection) {
      const query = Query.parse(operation.query);
      const selectors = { label: query.getAll('labelSelector'), field: query.getAll('fieldSelector') };
      refuseProbes(plan, resourceKind(operation), selectors);
    }
    if (operation.method === 'GET' || operation.method === 'HEAD' || operation.proxyPath !== undefined) return;
    const body = operation.isResource && operation.exec === undefined ? await this.#body(exchange) : undefined;
    if (body === undefined || body.encoding === 'empty' || body.encoding === 'opaque') return;
    const own = planOfObject(plan, operation, body.tree);
    if (own === undefined) return;
    if (body.tree === undefined) return await this.#unreadable(exchange, own, body);
    const written: Written = {
      plan: own,
      kind: resourceKind(operation),
      verb: operation.verb,
      patchType: operation.patchType,
      tree: body.tree,
    };
    if (!needsCurrent(written)) return;
    const restoration = new Restoration({
      asked: body,
      refresh: () => this.#restore(exchange, restoration, written),
      takeLiteral: () => this.#options.limit.take(limitKey(exchange)),
    });
    await this.#restore(exchange, restoration, written);
    exchange.restoration = restoration;
  }

  /** In JSON, where it can be: what typed Go clients write as protobuf is forwarded as the JSON that it was read as. */
  async #body(exchange: Exchange): Promise<Body | undefined> {
    const body = await this.#options.evidence.body(exchange);
    if (body?.encoding !== 'protobuf' || body.kind !== 'object') return body;
    const tree = readProtobufObject(body.bytes);
    if (tree === undefined) return body;
    const json = writeJson(tree);
    const read: Body = {
      kind: 'object',
      encoding: 'json',
      bytes: Buffer.from(json),
      contentType: 'application/json',
      json,
      tree,
    };
    exchange.parsedBody = read;
    exchange.body = Buffer.from(json);
    exchange.bodyType = read.contentType;
    return read;
  }

  async #restore(exchange: Exchange, restoration: Restoration, written: Written): Promise<void> {
    const current = await this.#current(exchange, written);
    const result = await this.#writtenBack(exchange, written, current);
    if (result.literals.length > 0 && !restoration.isCounted) this.#mayOverwrite(exchange, result.literals);
    restoration.found(result);
    if (result.restored === 0) return;
    const json = writeJson(result.tree);
    const bytes = Buffer.from(json);
    exchange.parsedBody = { ...restoration.asked, bytes, json, tree: result.tree };
    exchange.body = bytes;
    exchange.sentBody = Buffer.from(restoration.asked.bytes);
  }

  async #writtenBack(exchange: Exchange, written: Written, current: Buffer | undefined): Promise<WrittenBack> {
    try {
      return this.#counted(exchange, written, current);
    } catch (error) {
      if (!(error instanceof SallyportError) || error.code !== 'SP_MASKING_PLACEHOLDER') throw error;
      const there = current === undefined ? undefined : parseJson(current.toString());
      const sources = await this.#options.helm.of(exchange, written.tree, there);
      if (sources === undefined) throw error;
      return this.#counted(exchange, written, current, sources);
    }
  }

  /** Whether a value is recognised in other company tells what it looks like: such a try counts as a guess. */
  #counted(exchange: Exchange, written: Written, current: Buffer | undefined, sources?: Sources): WrittenBack {
    try {
      return writeBack(written, current, sources);
    } catch (error) {
      const isShown = error instanceof SallyportError && error.code === 'SP_MASKING_SHOWN';
      if (isShown) this.#options.limit.take(limitKey(exchange));
      throw error;
    }
  }

  /** The object as it is; undefined where there is none. */
  async #current(exchange: Exchange, { verb, tree }: Written): Promise<Buffer | undefined> {
    if (verb !== 'update' && verb !== 'patch') return undefined;
    const { path } = exchange.operation!;
    const { status, body } = await this.#options.reader.read(exchange, path);
    if (status === 200) return body;
    if (status === 404) return undefined;
    if (status !== 403)
      throw new SallyportError('SP_UPSTREAM_UNREACHABLE', `${path} could not be read (HTTP ${status}): try again`);
    if (treeHoldsPlaceholder(tree) || Array.isArray(tree)) {
      const message = `${path} may not be read by this caller (RBAC: get), so nothing masked in it can be written back`;
      throw new SallyportError('SP_MASKING_PLACEHOLDER', message);
    }
    // Whether a value is there is not known: it is taken for one that is.
    this.#mayOverwrite(exchange, ['something masked']);
    this.#options.limit.take(limitKey(exchange));
    return undefined;
  }

  /** A new value over a masked one. */
  #mayOverwrite(exchange: Exchange, paths: readonly string[]): void {
    if (exchange.operation!.dryRun) {
      const shown = `${paths.slice(0, 3).join(', ')}${paths.length > 3 ? ` and ${paths.length - 3} more` : ''}`;
      const message = `${shown}: a dry run of a new value over a masked one would tell whether it is the same. Leave the placeholder there, or write without a dry run`;
      throw new SallyportError('SP_MASKING_LITERAL_DRY_RUN', message);
    }
    this.#options.limit.check(limitKey(exchange));
  }

  /** Protobuf and CBOR: of what is masked nothing is written in them, neither placeholders nor guesses. */
  async #unreadable(exchange: Exchange, plan: MaskPlan, body: Body): Promise<void> {
    const { verb, path } = exchange.operation!;
    if (findMarkers(body.bytes).length > 0 || Buffer.from(body.bytes).includes('helm.sh/release.v1'))
      throw sendJSON(body);
    if (verb !== 'update' && verb !== 'patch') return;
    if (plan.fields.length > 0) throw sendJSON(body);
    const { status, body: current } = await this.#options.reader.read(exchange, path);
    if (status === 404) return;
    if (status !== 200) throw sendJSON(body);
    const view = viewOf(plan, new Tracer(), current, resourceKind(exchange.operation!));
    if (view.shown !== view.real) throw sendJSON(body);
  }
}

/** Rules may speak of some objects only; which one is written, a create says in its body. */
function planOfObject(plan: MaskPlan, { namespace, name }: Operation, tree: Json | undefined): MaskPlan | undefined {
  if (plan.forObject === undefined) return plan;
  const given = memberAt(tree, 'metadata', 'name');
  return plan.forObject(namespace, name !== '' ? name : typeof given === 'string' ? given : '');
}

/** A name, a selector or an argument is no place that a value is written back to. */
function refuseInRequestLine({ path, query, exec }: Operation): void {
  const word = exec?.command.findIndex(holdsPlaceholder) ?? -1;
  if (word !== -1) throw misplaced(`argument ${word} of the command`);
  if (lineHoldsPlaceholder(path)) throw misplaced('the name in the path');
  if (query === '') return;
  for (const [name, value] of Query.parse(query).entries()) {
    if (holdsPlaceholder(name) || holdsPlaceholder(value)) throw misplaced(`the query parameter ${name.slice(0, 60)}`);
  }
}

function misplaced(where: string): SallyportError {
  const message = `${where} holds a placeholder of a masked value: the value itself is not put there, and the placeholder means nothing to others`;
  return new SallyportError('SP_MASKING_PLACEHOLDER', message);
}

function sendJSON({ encoding }: Body): SallyportError {
  const message = `in ${encoding} nothing masked can be written back: send JSON (client-go: ContentType "application/json")`;
  return new SallyportError('SP_MASKING_PLACEHOLDER_UNREADABLE', message);
}

function limitKey({ caller, operation }: Exchange): string {
  const { apiGroup, resource, namespace, name } = operation!;
  return [callerKey(caller!), apiGroup, resource, namespace, name].join('\n');
}
