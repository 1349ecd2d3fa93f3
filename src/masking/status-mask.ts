import { JsonCursor, type Span } from './json-cursor.ts';
import { readJsonString, writeJsonString } from './json-string.ts';
import type { MaskPlan } from './mask-plan.ts';
import { maskObject } from './object-mask.ts';
import { hasMaskedFields, RULE_STRUCTURE } from './structure.ts';

/** What a Status may say as it is. */
export interface StatusHint {
  /** The resource or kind that was asked for. */
  readonly about: string;
  /** Names that the client gave itself, or that RBAC's own messages hold. Asked for where a Status came. */
  readonly names: () => readonly string[];
}

/**
 * Masks a Status. Of one about an object with masked fields, every quoted or printed value goes as a whole: a failed patch of
 * a Secret repeats its other keys, a validation the value that it does not like. Names that were given in the request stay.
 */
export function maskStatus(plan: MaskPlan, bytes: Buffer, hint: StatusHint): Buffer {
  const told = aboutHidden(plan, bytes, hint);
  // Rules name fields of objects; a Status is none.
  return maskObject(plan.fields.length === 0 ? plan : { ...plan, fields: [] }, told, { kind: 'Status' });
}

function aboutHidden(plan: MaskPlan, bytes: Buffer, hint: StatusHint): Buffer {
  const cursor = new JsonCursor(bytes);
  const messages: Span[] = [];
  const names = new Set(hint.names());
  let kind = '';
  const nameOf = (key: Span): string => readJsonString(cursor.text(key));
  const text = (): string => readJsonString(cursor.text(cursor.string()));
  const message = (): void => {
    if (cursor.peek() === 0x22) messages.push(cursor.string());
    else cursor.skip();
  };
  const cause = (key: Span): void => {
    if (nameOf(key) === 'message') message();
    else cursor.skip();
  };
  const detail = (key: Span): void => {
    const name = nameOf(key);
    if ((name === 'name' || name === 'group' || name === 'kind' || name === 'uid') && cursor.peek() === 0x22) {
      const value = text();
      if (name === 'kind') kind = value;
      names.add(value);
    } else if (name === 'causes' && cursor.peek() === 0x5b) {
      cursor.enter();
      if (cursor.empty(0x5d)) return;
      do {
        if (cursor.peek() === 0x7b) cursor.members(cause);
        else cursor.skip();
      } while (cursor.more(0x5d));
    } else cursor.skip();
  };
  cursor.members((key) => {
    const name = nameOf(key);
    if (name === 'message') message();
    else if (name === 'details' && cursor.peek() === 0x7b) cursor.members(detail);
    else cursor.skip();
  });
  const structured = plan.structure && (hasMaskedFields(kind) || hasMaskedFields(hint.about));
  if (!structured && plan.fields.length === 0) return bytes;
  const rule = structured ? RULE_STRUCTURE : plan.fields[0]!.rule;
  const place = { object: `Status/${hint.about}`, path: 'message', rule };
  const hide = (): string => {
    plan.masked?.({ rule, kind: 'status-value', path: 'message' });
    return plan.placeholders.redact(place);
  };
  const parts: Buffer[] = [];
  let from = 0;
  for (const { start, end } of messages) {
    const hidden = writeJsonString(hideValues(readJsonString(bytes.toString('latin1', start, end)), names, hide));
    parts.push(bytes.subarray(from, start - 1), Buffer.from(hidden, 'latin1'));
    from = end + 1;
  }
  parts.push(bytes.subarray(from));
  return Buffer.concat(parts);
}

/** How validation begins to print a value that is not quoted: a number, a list, a Go struct. */
const PRINTED = /\b(?:Invalid|Duplicate|Unsupported|Forbidden|Required) value: (?=[^"\s])/g;

/** What stands in quotes behind these is a name of Kubernetes' own, not part of an object. */
const KEPT = /(?:conflicts? with|webhook|manager|policy|binding|version|User|API group|resource|namespace|verb) $/;

/** Replaces what stands in quotes of any kind, and what follows "Invalid value:" without any. */
export function hideValues(text: string, names: ReadonlySet<string>, hide: () => string): string {
  const printed = text.replace(PRINTED, (lead) => `${lead}\0`);
  let out = '';
  let at = 0;
  while (at < printed.length) {
    const char = printed[at]!;
    if (char === '\0') {
      const end = printedEnd(printed, at + 1);
      out += hide();
      at = end;
    } else if (char === '"' || char === '`' || (char === "'" && !isApostrophe(printed, at))) {
      const end = quoteEnd(printed, at, char);
      const inside = printed.slice(at + 1, end);
      out += char + (KEPT.test(out) || isName(inside, names) ? inside : hide()) + char;
      at = end + 1;
    } else if ((char === '{' || char === '[') && /[\w}\]"']/.test(printed[at + 1] ?? '')) {
      // A struct, a map or JSON, printed as it is; `[0]` and `[key]` of a path stay.
      const end = printedEnd(printed, at);
      const inside = printed.slice(at, end);
      out += /^(?:\[[\w.-]*\])+$/.test(inside) ? inside : hide();
      at = end;
    } else {
      out += char;
      at++;
    }
  }
  return out;
}

function isName(inside: string, names: ReadonlySet<string>): boolean {
  return (
    inside === '' || names.has(inside) || (inside.includes('/') && inside.split('/').every((part) => names.has(part)))
  );
}

/** In "can't" and "object's" it quotes nothing. */
function isApostrophe(text: string, at: number): boolean {
  return at > 0 && /[A-Za-z]/.test(text[at - 1]!) && /[A-Za-z]/.test(text[at + 1] ?? '');
}

/** The quote that ends what begins at `from`; the end of the text, where none does. */
function quoteEnd(text: string, from: number, quote: string): number {
  for (let i = from + 1; i < text.length; i++) {
    if (text[i] === '\\' && quote !== '`') i++;
    else if (text[i] === quote) return i;
  }
  return text.length;
}

/** Where a printed value ends: behind its brackets, or before the ": " with which the reason begins. */
function printedEnd(text: string, from: number): number {
  let depth = 0;
  for (let i = from; i < text.length; i++) {
    const char = text[i]!;
    if (char === '"') i = quoteEnd(text, i, char);
    else if (char === '{' || char === '[') depth++;
    else if (char === '}' || char === ']') {
      if (depth > 0) depth--;
      if (depth === 0 && !/[[{]/.test(text[i + 1] ?? '')) return i + 1;
    } else if (depth === 0 && (char === ':' || char === ',') && (text[i + 1] === ' ' || i + 1 === text.length))
      return i;
  }
  return text.length;
}
