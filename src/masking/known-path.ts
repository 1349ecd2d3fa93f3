import type { PlaceDigest, Placeholders } from './marker.ts';

/** Paths that are kept, by all objects together, and the longest of them. */
const MAX_KEPT = 4096;
const LONGEST = 256;

const DOT = 0x2e;

/**
 * A path in an object, with its text and its part in placeholders made once: most objects of a list have the same paths. Only so
 * many are kept; one beyond them is made each time that it is met.
 */
export class KnownPath {
  readonly #parent: KnownPath | undefined;
  readonly #name: string;
  readonly #kept: { size: number };
  #below: Map<string, KnownPath> | undefined;
  #text: string | undefined;
  #digest: PlaceDigest | undefined;

  private constructor(parent: KnownPath | undefined, name: string, kept: { size: number }) {
    this.#parent = parent;
    this.#name = name;
    this.#kept = kept;
  }

  /** The path of an object itself, and of all paths that are kept below it. */
  static root(): KnownPath {
    return new KnownPath(undefined, '', { size: 0 });
  }

  /** @param name of a member, or the index of an item */
  step(name: string): KnownPath {
    const known = this.#below?.get(name);
    if (known !== undefined) return known;
    const next = new KnownPath(this, name, this.#kept);
    if (this.#kept.size < MAX_KEPT && name.length <= LONGEST && this.text.length <= LONGEST) {
      this.#kept.size++;
      this.#below ??= new Map();
      this.#below.set(name, next);
    }
    return next;
  }

  /** As `spec.containers[0].env[3].value`. */
  get text(): string {
    if (this.#text !== undefined) return this.#text;
    if (this.#parent === undefined) return '';
    const before = this.#parent.text;
    const step = stepOf(this.#name);
    this.#text = before === '' && step.charCodeAt(0) === DOT ? step.slice(1) : before + step;
    return this.#text;
  }

  /** @param placeholders always the same for one root */
  digest(placeholders: Placeholders): PlaceDigest {
    return (this.#digest ??= placeholders.ofPath(this.text));
  }
}

/** How a step of a path is written: `.name`, `[3]` or `["a name"]`. */
function stepOf(name: string): string {
  if (/^\d+$/.test(name)) return `[${name}]`;
  return /^[A-Za-z_$][A-Za-z0-9_$-]*$/.test(name) ? `.${name}` : `[${JSON.stringify(name)}]`;
}
