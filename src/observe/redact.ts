import { escapeLine } from '../errors.ts';

const MAX_TEXT = 2_000;
const MAX_DEPTH = 4;
const MAX_FIELDS = 64;
const HIDDEN = '[redacted]';

/** Field names that hold a credential, whatever their spelling. */
const SECRET_FIELD =
  /authorization|cookie|password|passwd|passphrase|credential|api-?key|private-?key|client-?secret|^(access-|refresh-|id-)?token$|^(secret|assertion|signature|jwt|cert|key)$/;

/** Credentials by their form: after `Bearer`/`Basic`, JSON web tokens, the bearer sub-protocol of WebSockets, PEM keys. */
const SECRET_TEXT =
  /\b(bearer|basic)\s+[\w.~+/=-]{8,}|\beyJ[\w-]{5,}\.[\w-]{5,}(\.[\w-]*)?|(base64url\.bearer\.authorization\.k8s\.io\.)[\w=-]+|-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?(-----END [A-Z ]*PRIVATE KEY-----|$)/gi;

/** Printable ASCII has nothing to escape. */
const PLAIN = /^[ -~]*$/;
/** Without one of these no alternative of SECRET_TEXT can match; nor in a text that is shorter than the shortest. */
const SECRET_HINT = /bearer|basic|eyj|private key/i;
const SHORTEST_SECRET = 14;

function isPlainText(text: string): boolean {
  return text.length <= MAX_TEXT && PLAIN.test(text) && (text.length < SHORTEST_SECRET || !SECRET_HINT.test(text));
}

/** One line, bounded, without what looks like a credential and without what a terminal would act on. */
export function redactText(text: string): string {
  if (isPlainText(text)) return text;
  const cut = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text;
  return escapeLine(cut.replace(SECRET_TEXT, HIDDEN));
}

/**
 * What of a value may be written to a log: plain data, a few levels deep, credentials hidden by field name and by form.
 * A field is hidden wholly, so that no part of a credential tells its length or kind.
 */
export function redact(value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case 'string':
      return redactText(value);
    case 'number':
    case 'boolean':
    case 'undefined':
      return value;
    case 'bigint':
      return value.toString();
    case 'object':
      break;
    default:
      return `[${typeof value}]`;
  }
  if (value === null) return null;
  if (value instanceof Error) return describeError(value);
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? null : value.toISOString();
  if (ArrayBuffer.isView(value)) return `[${value.byteLength} bytes]`;
  if (depth >= MAX_DEPTH) return '[…]';
  if (Array.isArray(value)) return value.slice(0, MAX_FIELDS).map((item) => redact(item, depth + 1));
  return redactFields(value as Record<string, unknown>, depth);
}

/** Most of what is logged needs no change; to see that costs less than a copy, and then it is given back as it is. */
export function redactFields(fields: Record<string, unknown>, depth = 0): Record<string, unknown> {
  if (isPlain(fields, depth)) return fields;
  const result: Record<string, unknown> = {};
  let count = 0;
  for (const name in fields) {
    if (++count > MAX_FIELDS) {
      result['…'] = 'more fields';
      break;
    }
    const field = fieldNamed(name);
    result[field.name] = field.secret ? HIDDEN : redact(fields[name], depth + 1);
  }
  return result;
}

/** Whether `redact` would change nothing of it. */
function isPlain(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
      return isPlainText(value);
    case 'number':
    case 'boolean':
    case 'undefined':
      return true;
    case 'object':
      break;
    default:
      return false;
  }
  if (value === null) return true;
  if (depth >= MAX_DEPTH) return false;
  if (Array.isArray(value)) return value.length <= MAX_FIELDS && value.every((item) => isPlain(item, depth + 1));
  const prototype: unknown = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) return false;
  let count = 0;
  for (const name in value) {
    const field = fieldNamed(name);
    if (++count > MAX_FIELDS || field.secret || field.name !== name) return false;
    if (!isPlain((value as Record<string, unknown>)[name], depth + 1)) return false;
  }
  return true;
}

interface Field {
  readonly name: string;
  readonly secret: boolean;
}

/** Field names come from the code, so they are few; the bound is for those that do not. */
const knownFields = new Map<string, Field>();
const MAX_KNOWN = 1_000;

function fieldNamed(name: string): Field {
  const known = knownFields.get(name);
  if (known !== undefined) return known;
  const plain = name
    .replaceAll('_', '-')
    .replace(/([a-z])([A-Z])/g, '$1-$2')
    .toLowerCase();
  const field = { name: redactText(name), secret: SECRET_FIELD.test(plain) };
  if (knownFields.size < MAX_KNOWN && name.length < 100) knownFields.set(name, field);
  return field;
}

/** An error for the log: what it is and what caused it. Its other fields stay out: libraries hang whole requests there. */
export function describeError(error: unknown, depth = 0): Record<string, unknown> {
  if (!(error instanceof Error)) return { message: redactText(String(error)) };
  const { code } = error as { code?: unknown };
  return {
    type: error.name,
    message: redactText(error.message),
    ...(typeof code === 'string' || typeof code === 'number' ? { code: redact(code) } : {}),
    ...(error.stack === undefined ? {} : { stack: frames(error.stack) }),
    ...(error.cause === undefined || depth >= 3 ? {} : { cause: describeError(error.cause, depth + 1) }),
  };
}

/** Only where it happened: the first lines of a stack repeat the message. */
function frames(stack: string): string[] {
  return stack
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .slice(0, 8)
    .map((line) => redactText(line.trim()));
}
