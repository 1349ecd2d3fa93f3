import { Ledger } from '../../masking/write-back/ledger.ts';
import { type View, viewOf } from '../../masking/write-back/original.ts';
import {
  lookedUpSecrets,
  type ReleaseName,
  releaseOf,
  renderedViews,
} from '../../masking/write-back/release-sources.ts';
import { Tracer } from '../../masking/write-back/tracer.ts';
import type { Sources } from '../../masking/write-back/write-back.ts';
import { isObject, type Json, memberAt, parseJson, writeJson } from '../../request/json.ts';
import { parseRequest } from '../../request/request.ts';
import type { Exchange } from '../exchange.ts';
import type { Masking } from './masking.ts';
import type { ObjectReader } from './object-reader.ts';

/** Helm keeps ten revisions unless told otherwise. */
const MAX_REVISIONS = 10;
const MAX_LOOKED_UP = 20;
const STORES = [
  ['secrets', 'Secret'],
  ['configmaps', 'ConfigMap'],
] as const;

/**
 * Where the values are that Helm writes back: in the revisions of the release, which it read masked. An upgrade renders anew
 * with values that it kept, a rollback takes an old manifest whole, and each writes a revision that did not exist before, so
 * the object itself cannot say what its placeholders stand for.
 */
export class HelmSources {
  readonly #reader: ObjectReader;
  readonly #masking: Masking;

  constructor(reader: ObjectReader, masking: Masking) {
    this.#reader = reader;
    this.#masking = masking;
  }

  /**
   * @param trees what is sent, and what is there
   * @returns undefined where the object is of no release, or its revisions may not be read by this caller
   */
  async of(exchange: Exchange, ...trees: readonly (Json | undefined)[]): Promise<Sources | undefined> {
    const release = releaseOf(exchange.operation!.namespace, ...trees);
    if (release === undefined) return undefined;
    const tracer = new Tracer();
    const revisions = await this.#revisions(exchange, release, tracer);
    if (release.isRevision) {
      const data = memberAt(trees[0], 'data', 'release');
      if (typeof data === 'string') await this.#lookUp(exchange, release, tracer, lookedUpSecrets(data));
      return { tracer, views: revisions, ledger: new Ledger(tracer, tracer.since()) };
    }
    const text = (...path: readonly string[]): string => {
      const value = trees.map((tree) => memberAt(tree, ...path)).find((found) => typeof found === 'string');
      return typeof value === 'string' ? value : '';
    };
    const ledger = new Ledger(tracer, tracer.since());
    const [kind, name] = [text('kind'), text('metadata', 'name')];
    return { tracer, views: revisions.flatMap((one) => renderedViews(one, tracer, kind, name)), ledger };
  }

  async #revisions(exchange: Exchange, { name, namespace }: ReleaseName, tracer: Tracer): Promise<View[]> {
    const selector = encodeURIComponent(`owner=helm,name=${name}`);
    const all: View[] = [];
    // Helm keeps its releases in Secrets, or where it is told so (HELM_DRIVER) in ConfigMaps.
    for (const [resource, kind] of STORES) {
      const target = `/api/v1/namespaces/${namespace}/${resource}?labelSelector=${selector}`;
      const { status, body } = await this.#reader.read(exchange, target);
      if (status !== 200) continue;
      const items = memberAt(parseJson(body.toString()), 'items');
      const revisions = (Array.isArray(items) ? items : []).filter(isObject);
      const version = (item: Json): number => Number(memberAt(item, 'metadata', 'labels', 'version') ?? 0);
      revisions.sort((a, b) => version(b) - version(a));
      const newest = revisions.slice(0, MAX_REVISIONS);
      all.push(...newest.flatMap((item) => this.#view(exchange, target, item, tracer, kind) ?? []));
    }
    return all;
  }

  /** A chart that looks up a Secret of the cluster renders what the caller sees of it. */
  async #lookUp(
    exchange: Exchange,
    { namespace }: ReleaseName,
    tracer: Tracer,
    names: readonly string[],
  ): Promise<void> {
    for (const name of names.slice(0, MAX_LOOKED_UP)) {
      const target = `/api/v1/namespaces/${namespace}/secrets/${name}`;
      const { status, body } = await this.#reader.read(exchange, target);
      if (status === 200) this.#view(exchange, target, parseJson(body.toString()), tracer, 'Secret');
    }
  }

  /** @returns undefined where the caller is exempt there: then no placeholder is of that object */
  #view(exchange: Exchange, target: string, item: Json, tracer: Tracer, kind: string): View | undefined {
    const operation = parseRequest('GET', target);
    const plan = this.#masking.planFor({ caller: exchange.caller, operation });
    const [namespace, name] = ['namespace', 'name'].map((member) => String(memberAt(item, 'metadata', member) ?? ''));
    const own = plan?.forObject === undefined ? plan : plan.forObject(namespace!, name!);
    if (own === undefined || !isObject(item)) return undefined;
    // Items of a list do not say what they are.
    const whole = new Map<string, Json>([...item, ['kind', kind]]);
    return viewOf(own, tracer, Buffer.from(writeJson(whole)), kind, false);
  }
}
