import type { Arena } from './arena.ts';
import type { ReleaseSecrets } from './helm-release.ts';
import type { StringMask } from './string-mask.ts';

/** What is known of an object from outside: the resource that was asked for, the list it stands in. */
export interface ObjectHint {
  readonly kind: string;
  /** The object around a nested one: placeholders are bound to it. */
  readonly object?: string;
  readonly nesting?: number;
  /** Of a Helm release: what its Secrets hold. */
  readonly release?: ReleaseSecrets;
  /** Takes what can be done later: the object is masked when all of it is. Without it, all is done at once. */
  readonly later?: Later;
}

/** Long strings of an object that wait for their turn, and how the object is had then. */
export class Later {
  /** Of the object and what comes of it, until that has been passed on; undefined where both last. */
  readonly arena: Arena | undefined;
  readonly strings: StringMask[] = [];
  pieces: () => Buffer[] = () => [];

  constructor(arena: Arena | undefined) {
    this.arena = arena;
  }
}
