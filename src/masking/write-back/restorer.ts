import { SallyportError } from '../../errors.ts';
import { isObject, type Json, memberAt } from '../../request/json.ts';
import { HELM_TYPE, REVISION, readRelease, writeRelease } from './helm-release.ts';
import { sameLeaf, spliceJson } from './json-splice.ts';
import type { Ledger } from './ledger.ts';
import { originsOfItems } from './list-origin.ts';
import type { View } from './original.ts';
import { pathText, type Steps } from './path-text.ts';
import { holdsPlaceholder } from './placeholder-search.ts';
import { readTree } from './stays-masked.ts';
import { restoreText } from './text-restore.ts';
import type { Tracer } from './tracer.ts';

/** A value with what was hidden put back, and the same with a token for each hidden value. */
export interface Pair {
  readonly real: Json;
  readonly traced: Json;
}

export interface RestorerOptions {
  readonly tracer: Tracer;
  /** Values that may stand anywhere, as long as they stay hidden there: a Helm release's own. */
  readonly ledger?: Ledger | undefined;
  /** Whether what is written replaces the whole object: then what was left out of the answer is put back. */
  readonly whole: boolean;
}

export const LAST_APPLIED = 'kubectl.kubernetes.io/last-applied-configuration';
const MAX_NESTING = 4;

/**
 * Puts back what placeholders stand for: only where each is exactly what the caller sees of the object's current value at that
 * very path. Lists are followed by what identifies their items, texts by their lines, JSON in texts and Helm releases by the
 * paths inside, and the manifest in `last-applied-configuration` by the object's own paths.
 */
export class Restorer {
  /** Paths at which a hidden value is overwritten by one that the caller brings. */
  readonly literals: string[] = [];
  /** How many texts got their values back. */
  restored = 0;
  readonly #options: RestorerOptions;

  constructor(options: RestorerOptions) {
    this.#options = options;
  }

  /**
   * @param views of the current object, and of what else may be meant at the same paths
   * @param kind what the object is, where it does not say so
   * @param base the path of `sent` in that object
   * @throws SallyportError SP_MASKING_PLACEHOLDER
   */
  run(sent: Json, views: readonly View[], kind: string, base: Steps = []): Pair {
    const root = base.length === 0 ? sent : undefined;
    const walk = new Walk(this, this.#options, views, { kind, root, before: [] });
    return walk.value(sent, base.reduce<readonly View[]>(stepDown, views), base);
  }
}

function stepDown(views: readonly View[], step: string | number): readonly View[] {
  const at = (value: Json | undefined): Json | undefined =>
    Array.isArray(value) ? value[Number(step)] : isObject(value) ? value.get(String(step)) : undefined;
  return views.map(({ real, shown, traced, own }) => ({ real: at(real), shown: at(shown), traced: at(traced), own }));
}

interface About {
  readonly kind: string;
  /** The object as it is sent, where all of it is. */
  readonly root: Json | undefined;
  /** The path of the text that it stands in. */
  readonly before: Steps;
}

/** The walk through one object; one that stands in a text of another has a walk of its own. */
class Walk {
  readonly #result: Restorer;
  readonly #options: RestorerOptions;
  readonly #tracer: Tracer;
  readonly #roots: readonly View[];
  readonly #about: About;
  readonly #isSecret: boolean;
  readonly #isRelease: boolean;

  constructor(result: Restorer, options: RestorerOptions, roots: readonly View[], about: About) {
    this.#result = result;
    this.#options = options;
    this.#tracer = options.tracer;
    this.#roots = roots;
    this.#about = about;
    const says = (name: string): Json | undefined =>
      [...roots.map(({ real }) => real), about.root]
        .map((tree) => memberAt(tree, name))
        .find((value) => value !== undefined);
    this.#isSecret = (says('kind') ?? about.kind) === 'Secret';
    this.#isRelease = this.#isSecret
      ? says('type') === HELM_TYPE
      : (says('kind') ?? about.kind) === 'ConfigMap' && isRevision([...roots.map(({ real }) => real), about.root]);
  }

  value(sent: Json, views: readonly View[], path: Steps): Pair {
    if (typeof sent === 'string') return this.#text(sent, views, path);
    if (Array.isArray(sent)) return this.#items(sent, views, path);
    if (isObject(sent)) return this.#members(sent, views, path);
    return this.#scalar(sent, views, path);
  }

  #members(sent: ReadonlyMap<string, Json>, views: readonly View[], path: Steps): Pair {
    const real = new Map<string, Json>();
    const traced = new Map<string, Json>();
    for (const [name, member] of sent) {
      if (holdsPlaceholder(name)) throw this.#refuse([...path, name], 'a name cannot be a placeholder');
      const pair = this.value(member, this.#below(views, name, path), [...path, name]);
      real.set(name, pair.real);
      traced.set(name, pair.traced);
    }
    if (this.#options.whole) this.#putBack(sent, views, real, traced);
    return { real, traced };
  }

  /** What was left out of an answer was not there to be sent. */
  #putBack(
    sent: ReadonlyMap<string, Json>,
    views: readonly View[],
    real: Map<string, Json>,
    traced: Map<string, Json>,
  ): void {
    for (const view of views) {
      if (!view.own || !isObject(view.traced) || !isObject(view.real)) continue;
      for (const [name, token] of view.traced) {
        if (sent.has(name) || (isObject(view.shown) && view.shown.has(name))) continue;
        real.set(name, view.real.get(name)!);
        traced.set(name, token);
        this.#result.restored++;
      }
    }
  }

  #below(views: readonly View[], name: string, path: Steps): readonly View[] {
    const directive = /^\$(?:setElementOrder|deleteFromPrimitiveList)\/(.+)$/s.exec(name)?.[1];
    const below = stepDown(views, directive ?? name);
    const aliased = path.length === 1 && path[0] === 'stringData' && this.#isSecret;
    return aliased ? [...below, ...this.#decoded(name)] : below;
  }

  /** `stringData` is another way to write `data`. */
  #decoded(name: string): readonly View[] {
    return this.#roots.flatMap(({ real, shown, traced, own }) => {
      const [value, seen, token] = [real, shown, traced].map((tree) => memberAt(tree, 'data', name));
      if (typeof value !== 'string' || typeof seen !== 'string' || typeof token !== 'string') return [];
      const bytes = Buffer.from(value, 'base64');
      const text = bytes.toString();
      if (!Buffer.from(text).equals(bytes)) return [];
      return [{ real: text, shown: Buffer.from(seen, 'base64').toString(), traced: token, own }];
    });
  }

  #items(sent: readonly Json[], views: readonly View[], path: Steps): Pair {
    const origins = views.map(({ shown }) => (Array.isArray(shown) ? originsOfItems(sent, shown) : undefined));
    const pairs = sent.map((item, i) => {
      const below = views.flatMap((view, k) => {
        const origin = origins[k]?.[i];
        return origin === undefined ? [] : stepDown([view], origin);
      });
      return this.value(item, below, [...path, i]);
    });
    return { real: pairs.map(({ real }) => real), traced: pairs.map(({ traced }) => traced) };
  }

  #scalar(sent: Json, views: readonly View[], path: Steps): Pair {
    const own = views.find((view) => view.own && this.#hides(view.traced));
    if (own !== undefined && sameLeaf(sent, own.shown)) return this.#whole(own);
    // null takes away, and asks nothing.
    if (own !== undefined && sent !== null) this.#literal(path);
    return { real: sent, traced: sent };
  }

  #text(sent: string, views: readonly View[], path: Steps): Pair {
    for (const view of views) {
      if (view.shown === sent && view.real !== undefined && view.traced !== undefined) return this.#whole(view);
    }
    const isRelease = this.#isRelease && path.length === 2 && path[0] === 'data' && path[1] === 'release';
    const release = isRelease ? readRelease(sent) : undefined;
    if (release !== undefined) return this.#release(release, views, path, sent);
    const marked = holdsPlaceholder(sent);
    const hides = views.some((view) => view.own && this.#hides(view.traced));
    if (!marked && !hides) return { real: sent, traced: sent };
    const isData = this.#isSecret && path.length === 2 && path[0] === 'data';
    const pair = (isData ? this.#data(sent, views) : undefined) ?? this.#nested(sent, views, path);
    if (pair !== undefined) return pair;
    if (!marked) {
      this.#literal(path);
      return { real: sent, traced: sent };
    }
    const edited = this.#edited(sent, views);
    if (edited !== undefined) return edited;
    const restored = this.#options.ledger?.restore(sent);
    if (restored === undefined) throw this.#refuse(path);
    this.#result.restored++;
    return restored;
  }

  #whole(view: View): Pair {
    if (this.#hides(view.traced)) this.#result.restored++;
    return { real: view.real!, traced: view.traced! };
  }

  /** The same bytes in another spelling of base64. */
  #data(sent: string, views: readonly View[]): Pair | undefined {
    const bytes = Buffer.from(sent, 'base64');
    const view = views.find(({ shown, traced }) => {
      return typeof shown === 'string' && this.#hides(traced) && Buffer.from(shown, 'base64').equals(bytes);
    });
    return view === undefined ? undefined : this.#whole(view);
  }

  /** A text with other words around what is hidden. */
  #edited(sent: string, views: readonly View[]): Pair | undefined {
    for (const { real, traced } of views) {
      if (typeof real !== 'string' || typeof traced !== 'string' || !this.#tracer.holds(traced)) continue;
      const restored = restoreText(sent, { real, traced }, this.#tracer);
      if (restored === undefined) continue;
      this.#result.restored++;
      return restored;
    }
    return undefined;
  }

  /** JSON in a text: by the paths inside. */
  #nested(sent: string, views: readonly View[], path: Steps): Pair | undefined {
    const tree = readTree(sent);
    if (tree === undefined || this.#about.before.length + path.length > 64) return undefined;
    if (this.#about.before.filter((step) => step === INSIDE).length >= MAX_NESTING) return undefined;
    const inside = views.flatMap(({ real, shown, traced, own }) => {
      const trees = [real, shown, traced].map((text) => (typeof text === 'string' ? readTree(text) : undefined));
      const [first, second, third] = trees;
      if (first === undefined || second === undefined || third === undefined) return [];
      return [{ real: first, shown: second, traced: this.#tracer.opened(third), own }];
    });
    const isManifest =
      path.length === 3 && path[0] === 'metadata' && path[1] === 'annotations' && path[2] === LAST_APPLIED;
    const roots = isManifest ? [...inside, ...this.#roots.map((root) => ({ ...root, own: false }))] : inside;
    const kind = memberAt(tree, 'kind');
    const about = {
      kind: typeof kind === 'string' ? kind : '',
      root: tree,
      before: [...this.#about.before, ...path, INSIDE],
    };
    const pair = new Walk(this.#result, { ...this.#options, whole: false }, roots, about).value(tree, roots, []);
    return { real: spliceJson(sent, tree, pair.real), traced: spliceJson(sent, tree, pair.traced) };
  }

  #release(release: Json, views: readonly View[], path: Steps, sent: string): Pair {
    const inside = views.flatMap(({ real, shown, traced, own }) => {
      const [first, second, third] = [real, shown, traced].map((text) =>
        typeof text === 'string' ? readRelease(text) : undefined,
      );
      if (first === undefined || second === undefined || third === undefined) return [];
      return [{ real: first, shown: second, traced: this.#tracer.opened(third), own }];
    });
    const about = { kind: 'helm', root: release, before: [...this.#about.before, ...path, INSIDE] };
    const pair = new Walk(this.#result, { ...this.#options, whole: false }, inside, about).value(release, inside, []);
    return { real: writeRelease(pair.real, sent), traced: writeRelease(pair.traced, sent) };
  }

  #hides(traced: Json | undefined): boolean {
    if (typeof traced === 'string') {
      if (this.#tracer.holds(traced)) return true;
      const release = this.#isRelease ? readRelease(traced) : undefined;
      return release !== undefined && this.#hides(release);
    }
    if (Array.isArray(traced)) return traced.some((item) => this.#hides(item));
    return isObject(traced) && [...traced.values()].some((member) => this.#hides(member));
  }

  #literal(path: Steps): void {
    this.#result.literals.push(pathText([...this.#about.before, ...path]));
  }

  #refuse(path: Steps, why?: string): SallyportError {
    const at = pathText([...this.#about.before, ...path]);
    return new SallyportError('SP_MASKING_PLACEHOLDER', `${at}: ${why ?? NOT_ITS_OWN}`);
  }
}

/** Helm's ConfigMaps have no type: the name tells. */
function isRevision(trees: readonly (Json | undefined)[]): boolean {
  const name = trees.map((tree) => memberAt(tree, 'metadata', 'name')).find((one) => typeof one === 'string');
  return typeof name === 'string' && name.startsWith(REVISION);
}

const INSIDE = '…';
const NOT_ITS_OWN =
  'this placeholder does not stand for the value that is there now; leave placeholders where they were read, or write a new value';
