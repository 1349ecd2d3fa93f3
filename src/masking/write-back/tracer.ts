import { randomBytes } from 'node:crypto';
import { isObject, type Json } from '../../request/json.ts';
import type { Place } from '../marker.ts';
import type { MaskPlan } from '../mask-plan.ts';

/** One value that a mask hides: where it stands, and what is shown in its stead. */
export interface Origin {
  readonly place: Place;
  /** As the caller sees it; undefined where it is left out. One character a byte. */
  readonly written: string | undefined;
  /** One character a byte. */
  readonly value: string;
}

/** A text taken apart: what is shown as it is, and values between, in turn; it begins and ends with what is shown. */
export interface Pieces {
  readonly literals: readonly string[];
  readonly origins: readonly Origin[];
}

const PREFIX = 'sallyport.trace.';
const ENCODED = Buffer.from(PREFIX).toString('base64').slice(0, 20);

/**
 * Masks with a token of its own for each value, so that what a mask did can be told from what came out. The tokens are drawn
 * anew for each tracer: no object can hold one.
 */
export class Tracer {
  private readonly prefix = `${PREFIX}${randomBytes(12).toString('hex')}.`;
  private readonly origins: Origin[] = [];
  private readonly token = new RegExp(`${this.prefix.replaceAll('.', '\\.')}(\\d+)\\.`, 'g');

  /** The plan that writes tokens where `plan` writes placeholders. It counts nothing. */
  plan(plan: MaskPlan): MaskPlan {
    const { forObject: _, masked: __, ...rest } = plan;
    return { ...rest, trace: (place, value, written) => this.mark({ place, value, written }) };
  }

  mark(origin: Origin): string {
    this.origins.push(origin);
    return `${this.prefix}${this.origins.length - 1}.`;
  }

  /** As it is, or in base64, as in the data of a Secret that a manifest renders. */
  holds(text: string): boolean {
    return text.includes(this.prefix) || text.includes(ENCODED);
  }

  /** All origins so far, or those since an earlier count. */
  since(count = 0): readonly Origin[] {
    return this.origins.slice(count);
  }

  get count(): number {
    return this.origins.length;
  }

  /** A tree in which tokens in base64 (the data of Secrets) stand as they are. */
  opened(value: Json): Json {
    if (typeof value === 'string') return this.openedText(value);
    if (Array.isArray(value)) return value.map((item) => this.opened(item));
    if (isObject(value)) return new Map([...value].map(([name, member]) => [name, this.opened(member)]));
    return value;
  }

  private openedText(text: string): string {
    if (!text.startsWith(ENCODED)) return text;
    const decoded = Buffer.from(text, 'base64').toString('latin1');
    return decoded.startsWith(this.prefix) ? decoded : text;
  }

  split(text: string): Pieces {
    const literals: string[] = [];
    const origins: Origin[] = [];
    let at = 0;
    for (const found of text.matchAll(this.token)) {
      literals.push(text.slice(at, found.index));
      origins.push(this.origins[Number(found[1])]!);
      at = found.index + found[0].length;
    }
    literals.push(text.slice(at));
    return { literals, origins };
  }
}

export interface Range {
  readonly start: number;
  readonly end: number;
}

/**
 * Where in the real text each value of its pieces stands.
 * @returns undefined where the pieces do not explain the text: then nothing but the whole can be put back
 */
export function rangesIn(real: string, { literals, origins }: Pieces): Range[] | undefined {
  const ranges: Range[] = [];
  let at = literals[0]!.length;
  if (!real.startsWith(literals[0]!)) return undefined;
  for (const [i, origin] of origins.entries()) {
    const next = literals[i + 1]!;
    const last = i === origins.length - 1;
    const value = Buffer.from(origin.value, 'latin1').toString();
    let end = at + value.length;
    const fits = real.startsWith(value, at) && (last ? end + next.length === real.length : true);
    if (!fits || !real.startsWith(next, end)) {
      // A block of several lines: what is shown next tells where it ended, if it says enough.
      if (!last && next.trim() === '') return undefined;
      end = last ? real.length - next.length : real.indexOf(next, at);
    }
    if (end < at || !real.startsWith(next, end)) return undefined;
    ranges.push({ start: at, end });
    at = end + next.length;
  }
  return at === real.length ? ranges : undefined;
}
