import type { Segment } from './field-path.ts';

/** A path and what it stands for. */
export interface Target<T> {
  readonly path: readonly Segment[];
  readonly of: T;
}

type ItemSegment = Extract<Segment, { readonly is: 'item' }>;

/** States that are kept; paths with many `**` could have more, which are then built each time they are met. */
const MAX_STATES = 4096;

/**
 * All paths at once, as an automaton whose states are built when they are first met: a step down costs one look-up, however
 * many paths there are. The first of the paths that end in one place is the one that counts.
 */
export class PathAutomaton<T> {
  readonly root: PathState<T>;
  private readonly targets: readonly Target<T>[];
  private readonly states = new Map<string, PathState<T>>();

  constructor(targets: readonly Target<T>[]) {
    this.targets = targets;
    this.root = this.state(targets.map((_, target) => ({ target, done: 0 })));
  }

  /** @param open how many steps are done of which paths */
  state(open: readonly OpenPath[]): PathState<T> {
    const own = [...new Map(open.map((path) => [`${path.target}:${path.done}`, path])).values()];
    own.sort((a, b) => a.target - b.target || a.done - b.done);
    const id = own.map(({ target, done }) => `${target}:${done}`).join();
    const known = this.states.get(id);
    if (known !== undefined) return known;
    const state = new PathState(this, this.targets, own);
    if (this.states.size < MAX_STATES) this.states.set(id, state);
    return state;
  }
}

interface OpenPath {
  readonly target: number;
  readonly done: number;
}

/** Where one is in all paths. */
export class PathState<T> {
  /** What the first path that ends here stands for. */
  readonly ended: T | undefined;
  /** Whether no path leads on from here. */
  readonly dead: boolean;
  /** Whether an item's own members say which step it is: then `item` wants to look at them. */
  readonly looksInside: boolean;
  private readonly automaton: PathAutomaton<T>;
  private readonly targets: readonly Target<T>[];
  private readonly open: readonly OpenPath[];
  private readonly named = new Map<string, PathState<T> | undefined>();
  private other: PathState<T> | undefined;

  constructor(automaton: PathAutomaton<T>, targets: readonly Target<T>[], open: readonly OpenPath[]) {
    this.automaton = automaton;
    this.targets = targets;
    this.open = open;
    const at = open.find(({ target, done }) => targets[target]!.path.slice(done).every(({ is }) => is === 'deep'));
    this.ended = at === undefined ? undefined : targets[at.target]!.of;
    this.dead = open.every(({ target, done }) => done === targets[target]!.path.length);
    this.looksInside = this.segments().some(({ is }) => is === 'item');
    for (const segment of this.segments()) if (segment.is === 'key') this.named.set(segment.key, undefined);
  }

  /** @param name of a member, or the index of an item */
  step(name: string): PathState<T> {
    if (!this.named.has(name)) return (this.other ??= this.next(undefined));
    let next = this.named.get(name);
    if (next === undefined) this.named.set(name, (next = this.next(name)));
    return next;
  }

  /** @param sibling the text of a member of the item that is entered, for `[name=app]` */
  item(index: string, sibling: (key: string) => string | undefined): PathState<T> {
    return this.looksInside ? this.next(index, ({ key, value }) => sibling(key) === value) : this.step(index);
  }

  /** The segments that could be next, those behind `**` too. */
  private segments(): Segment[] {
    const next: Segment[] = [];
    for (const { target, done } of this.open) {
      const { path } = this.targets[target]!;
      for (let i = done; i < path.length; i++) {
        next.push(path[i]!);
        if (path[i]!.is !== 'deep') break;
      }
    }
    return next;
  }

  private next(name: string | undefined, isItem: (segment: ItemSegment) => boolean = () => false): PathState<T> {
    const next: OpenPath[] = [];
    for (const { target, done } of this.open) {
      const { path } = this.targets[target]!;
      for (let i = done; i < path.length; i++) {
        const segment = path[i]!;
        if (segment.is === 'deep') {
          next.push({ target, done: i });
          continue;
        }
        const fits =
          segment.is === 'any' ||
          (segment.is === 'key' && segment.key === name) ||
          (segment.is === 'item' && isItem(segment));
        if (fits) next.push({ target, done: i + 1 });
        break;
      }
    }
    return this.automaton.state(next);
  }
}
