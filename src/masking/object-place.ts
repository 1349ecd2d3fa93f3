import type { JsonCursor } from './json-cursor.ts';
import type { KnownPath } from './known-path.ts';
import { type ObjectHead, readHead } from './object-head.ts';
import type { ObjectHint } from './object-hint.ts';

/** Where in which object one is: what placeholders are bound to. Read when it is asked for: most of an object is passed over. */
export class ObjectPlace {
  kind: string;
  /** Names of members and indexes of items, from the object down. */
  readonly path: string[] = [];
  private readonly cursor: JsonCursor;
  private readonly start: number;
  private readonly hint: ObjectHint;
  /** The beginnings of `path`; the first `known` + 1 are right. */
  private readonly paths: KnownPath[];
  private known = 0;
  private knownHead: ObjectHead | undefined;
  private knownObject: string | undefined;

  /**
   * @param start where the object begins
   * @param root the path of an object itself
   * @param head where it was read already
   */
  constructor(
    cursor: JsonCursor,
    start: number,
    hint: ObjectHint,
    kind: string,
    root: KnownPath,
    head: ObjectHead | undefined,
  ) {
    this.cursor = cursor;
    this.start = start;
    this.hint = hint;
    this.kind = kind;
    this.paths = [root];
    this.knownHead = head;
  }

  get head(): ObjectHead {
    this.knownHead ??= readHead(this.cursor.again(this.start), this.kind);
    return this.knownHead;
  }

  get object(): string {
    if (this.knownObject === undefined) {
      const { uid, namespace, name } = this.knownHead ?? readHead(this.cursor.again(this.start), this.kind, 'names');
      this.knownObject = uid || this.hint.object || `${this.kind}/${namespace}/${name}`;
    }
    return this.knownObject;
  }

  enter(step: string): void {
    this.path.push(step);
  }

  leave(): void {
    this.path.pop();
    if (this.known > this.path.length) this.known = this.path.length;
  }

  here(): KnownPath {
    const { path, paths } = this;
    for (; this.known < path.length; this.known++) paths[this.known + 1] = paths[this.known]!.step(path[this.known]!);
    return paths[path.length]!;
  }

  get text(): string {
    return this.here().text;
  }
}
