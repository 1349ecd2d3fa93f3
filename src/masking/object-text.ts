import { SallyportError } from '../errors.ts';
import { kindOf } from './assignment.ts';
import {
  isReleaseOfConfigMap,
  isReleaseOfSecret,
  type MaskInside,
  maskReleaseOfConfigMap,
  maskReleaseOfSecret,
  maskTextOfRelease,
} from './helm-mask.ts';
import type { ReleaseSecrets } from './helm-release.ts';
import { readJsonString, writeJsonString } from './json-string.ts';
import type { Key } from './key-table.ts';
import { holdsMarker } from './marker.ts';
import { type FieldMask, type MaskPlan, readsValue, replacer, substitute } from './mask-plan.ts';
import type { ObjectHint } from './object-hint.ts';
import type { ObjectPlace } from './object-place.ts';
import type { Patch } from './patch.ts';
import { isPlausible } from './secret-name.ts';
import { StringMask } from './string-mask.ts';
import { RULE_STRUCTURE } from './structure.ts';
import { maskText, type Replace, TextMask } from './text-mask.ts';

/** From here on a string is masked where it stands, and not as a value of its own. */
const LONG = 512;
/** From here on it may wait for its turn. */
export const LATER = 32_768;

const MAX_NESTING = 4;
const REDACT = { action: 'Redact', scope: 'Object' } as const;
const JSON_TEXT = /^\s*[[{]/;

/** Masks JSON that stands in a string. */
export type MaskNested = (plan: MaskPlan, bytes: Buffer, hint: ObjectHint) => Buffer;

/** What becomes of the strings of one object. */
export class ObjectText {
  private readonly plan: MaskPlan;
  private readonly patch: Patch;
  private readonly bytes: Buffer;
  private readonly hint: ObjectHint;
  private readonly place: ObjectPlace;
  private readonly inside: MaskNested;
  private readonly idle: boolean;
  private readonly byName: boolean;

  /** @param place where the walk through the object is */
  constructor(plan: MaskPlan, patch: Patch, hint: ObjectHint, place: ObjectPlace, inside: MaskNested) {
    this.plan = plan;
    this.patch = patch;
    this.bytes = patch.bytes;
    this.hint = hint;
    this.place = place;
    this.inside = inside;
    this.idle = plan.recognizer.idle;
    this.byName = plan.recognizer.byName;
  }

  /**
   * The quote that ends the string whose content begins at `start`, where it is short and nothing becomes of it; -1 where it has
   * to be read.
   */
  quietEnd(start: number, end: number, name: Key): number {
    const { hint, idle, byName, place, plan } = this;
    if (idle || hint.release !== undefined || place.kind === 'ConfigMap') return -1;
    return name.named !== 'none' && byName ? -1 : plan.recognizer.quietEnd(this.bytes, start, end);
  }

  /** @param field the rule of its place, if there is one @param name what stands beside it @returns whether it stays: false for what is dropped */
  mask(start: number, end: number, escaped: boolean, field: FieldMask | undefined, name: Key): boolean {
    if (field !== undefined) return this.fieldString(start, end, field);
    if (this.hint.release !== undefined) return this.releaseString(start, end, name, this.hint.release);
    if (end - start < 4 || this.idle) return true;
    const { bytes } = this;
    if (this.place.kind === 'ConfigMap' && this.isRelease(start)) return this.configMapRelease(start, end);
    const isNamed = this.byName && name.named !== 'none';
    if (end - start >= LONG && !isNamed) return this.longString(start, end, escaped);
    if (!escaped && !isNamed && !this.plan.recognizer.mayHold(bytes, start, end)) return true;
    const raw = bytes.toString('latin1', start, end);
    const masked = this.inspected(escaped ? readJsonString(raw) : raw, name);
    if (masked !== undefined) this.patch.put(start - 1, end + 1, writeJsonString(masked));
    return true;
  }

  /** Text of many lines, or an encoding: what stands around what is masked is left as it is. */
  private longString(start: number, end: number, escaped: boolean): boolean {
    const { plan, patch, bytes } = this;
    if (opensJson(bytes, start) && mayCloseJson(bytes, start, end)) {
      const raw = bytes.toString('latin1', start, end);
      const text = escaped ? readJsonString(raw) : raw;
      const nested = this.nested(text);
      if (nested !== undefined) {
        if (nested !== text) patch.put(start - 1, end + 1, writeJsonString(nested));
        return true;
      }
    }
    const path = this.place.text;
    let replace: Replace | undefined;
    const mask = new TextMask(plan.recognizer, (finding, value) => {
      replace ??= replacer(plan, this.place.object, path);
      return replace(finding, value);
    });
    if (this.hint.later !== undefined && end - start >= LATER) {
      this.hint.later.strings.push(new StringMask(mask, patch.split(start, end), start, end));
    } else {
      const string = new StringMask(mask, patch, start, end);
      while (string.step());
    }
    return true;
  }

  /** @returns what to write, or undefined to leave it */
  private inspected(text: string, name: Key): string | undefined {
    const { plan } = this;
    const replace: Replace = (finding, value) => replacer(plan, this.place.object, this.place.text)(finding, value);
    const named = this.byName ? name.named : 'none';
    if (named !== 'none' && !holdsMarker(text) && isPlausible(text, named) && !/[\n{]/.test(text)) {
      return replace({ start: 0, end: text.length, kind: kindOf(named) }, text);
    }
    if (JSON_TEXT.test(text)) {
      const nested = this.nested(text);
      if (nested !== undefined) return nested === text ? undefined : nested;
    }
    return maskText(text, plan.recognizer, replace)?.toString('latin1');
  }

  /** JSON in a string, as in last-applied-configuration. @returns undefined where it is none */
  private nested(text: string): string | undefined {
    const nesting = (this.hint.nesting ?? 0) + 1;
    if (nesting > MAX_NESTING) return undefined;
    try {
      const bytes = Buffer.from(text, 'latin1');
      const masked = this.inside(this.plan, bytes, {
        kind: '',
        object: `${this.place.object} ${this.place.text}`,
        nesting,
      });
      return masked === bytes ? text : masked.toString('latin1');
    } catch (error) {
      if (error instanceof SyntaxError || error instanceof SallyportError) return undefined;
      throw error;
    }
  }

  private fieldString(start: number, end: number, field: FieldMask): boolean {
    const { patch } = this;
    const { path } = this.place;
    const inSecretData = this.place.kind === 'Secret' && path[0] === 'data';
    if (inSecretData && isReleaseOfSecret(path, () => this.place.head.type)) {
      const text = readJsonString(this.bytes.toString('latin1', start, end));
      const release = maskReleaseOfSecret(text, this.insideRelease());
      if (release !== undefined) {
        patch.put(start - 1, end + 1, writeJsonString(release));
        return true;
      }
    }
    if (!inSecretData && !readsValue(this.plan, field)) {
      const { placeholders } = this.plan;
      const at = this.place.here();
      this.plan.masked?.({ rule: field.rule, kind: 'field', path: at.text });
      const object = placeholders.ofObject(this.place.object, field.rule);
      patch.placeholder(start, end, placeholders, object, at.digest(placeholders));
      return true;
    }
    let value = '';
    if (readsValue(this.plan, field)) {
      const text = readJsonString(this.bytes.toString('latin1', start, end));
      value = inSecretData ? Buffer.from(text, 'base64').toString('latin1') : text;
    }
    const place = { object: this.place.object, path: this.place.text, rule: field.rule };
    const masked = substitute(this.plan, place, value, 'field', field);
    if (masked === undefined) return false;
    patch.put(start, end, inSecretData ? Buffer.from(masked).toString('base64') : masked);
    return true;
  }

  private isRelease(start: number): boolean {
    const begin = (): string => this.bytes.toString('latin1', start, start + 4);
    return isReleaseOfConfigMap(this.place.path, begin, () => this.place.head.name);
  }

  private configMapRelease(start: number, end: number): boolean {
    const text = readJsonString(this.bytes.toString('latin1', start, end));
    const place = { object: this.place.object, path: this.place.text, rule: RULE_STRUCTURE };
    // What cannot be unpacked goes as a whole.
    const written =
      maskReleaseOfConfigMap(text, this.insideRelease()) ?? substitute(this.plan, place, text, 'field', REDACT) ?? '';
    if (written !== text) this.patch.put(start - 1, end + 1, writeJsonString(written));
    return true;
  }

  private insideRelease(): MaskInside {
    return (json, release) =>
      this.inside(this.plan, json, { kind: 'helm', object: this.place.object, nesting: 1, release });
  }

  private releaseString(start: number, end: number, name: Key, release: ReleaseSecrets): boolean {
    const text = readJsonString(this.bytes.toString('latin1', start, end));
    const path = this.place.text;
    const hide = (value: string, within = ''): string | undefined => {
      const place = { object: this.place.object, path: path + within, rule: RULE_STRUCTURE };
      return substitute(this.plan, place, value, 'field', REDACT);
    };
    const inspect = (part: string): string => this.inspected(part, name) ?? part;
    const masked = maskTextOfRelease(text, this.place.path, release, hide, inspect);
    if (masked !== text) this.patch.put(start - 1, end + 1, writeJsonString(masked));
    return true;
  }
}

/** Whether what stands there may be JSON: its first sign says so, behind blanks that may be written out. */
function opensJson(bytes: Buffer, start: number): boolean {
  for (let i = start; ; i++) {
    const c = bytes[i]!;
    if (c === 0x7b || c === 0x5b) return true;
    if (c === 0x20) continue;
    if (c !== 0x5c) return false;
    const sign = bytes[++i]!;
    // \\n \\r \\t; what else is written out is read.
    if (sign !== 0x6e && sign !== 0x72 && sign !== 0x74) return sign === 0x75;
  }
}

/** Likewise whether it may end there: `[section]` begins settings as often as a list. */
function mayCloseJson(bytes: Buffer, start: number, end: number): boolean {
  for (let i = end - 1; i > start; i--) {
    const c = bytes[i]!;
    if (c === 0x7d || c === 0x5d) return true;
    if (c === 0x20) continue;
    // \\n \\r \\t, and the four digits of what is written out otherwise, which is read.
    if (bytes[i - 1] !== 0x5c) return i - start >= 5 && bytes[i - 5] === 0x5c && bytes[i - 4] === 0x75;
    if (c !== 0x6e && c !== 0x72 && c !== 0x74) return false;
    i--;
  }
  return false;
}
