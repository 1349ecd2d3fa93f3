import { requestURLError } from './go-url.ts';
import { quoteGo } from './text-format.ts';

/** The named formats of Kubernetes' `format` library: what is wrong with a string, in the API server's words. */
export interface NamedFormat {
  readonly name: string;
  readonly validate: (text: string) => string[];
  /** Length of the pattern that Kubernetes counts the cost by. */
  readonly patternLength: number;
}

const LABEL = '[a-z0-9]([-a-z0-9]*[a-z0-9])?';
const LABEL_1035 = '[a-z]([-a-z0-9]*[a-z0-9])?';
const SUBDOMAIN = `${LABEL}(\\.${LABEL})*`;
const QUALIFIED = '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]';
const LABEL_VALUE = `(${QUALIFIED})?`;

const LABEL_RE = /^[a-z0-9](?:[-a-z0-9]*[a-z0-9])?$/;
const LABEL_1035_RE = /^[a-z](?:[-a-z0-9]*[a-z0-9])?$/;
const QUALIFIED_RE = /^[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?$/;

const tooLong = (limit: number, unit = 'bytes'): string => `must be no more than ${limit} ${unit}`;

function regexMessage(message: string, pattern: string, ...examples: string[]): string {
  const quoted = examples.map((example) => `'${example}', `).join(' or ');
  const shown = examples.length === 0 ? '' : `e.g. ${quoted}`;
  return `${message} (${shown}regex used for validation is '${pattern}')`;
}

const length = (text: string): number => Buffer.byteLength(text, 'utf8');

function dnsLabel(text: string): string[] {
  const errors = length(text) > 63 ? [tooLong(63, 'characters')] : [];
  if (LABEL_RE.test(text)) return errors;
  if (isSubdomain(text)) return [...errors, 'must not contain dots'];
  const message =
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with an alphanumeric character";
  return [...errors, regexMessage(message, LABEL, 'my-name', '123-abc')];
}

/** Label by label: one pattern for the whole would backtrack on hostile names. */
const isSubdomain = (text: string): boolean => text.split('.').every((part) => LABEL_RE.test(part));

function dnsSubdomain(text: string): string[] {
  const errors = length(text) > 253 ? [tooLong(253, 'characters')] : [];
  if (isSubdomain(text)) return errors;
  const message =
    "a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character";
  return [...errors, regexMessage(message, SUBDOMAIN, 'example.com')];
}

function dns1035Label(text: string): string[] {
  const errors = length(text) > 63 ? [tooLong(63, 'characters')] : [];
  if (LABEL_1035_RE.test(text)) return errors;
  const message =
    "a DNS-1035 label must consist of lower case alphanumeric characters or '-', start with an alphabetic character, and end with an alphanumeric character";
  return [...errors, regexMessage(message, LABEL_1035, 'my-name', 'abc-123')];
}

const QUALIFIED_MESSAGE =
  "must consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";

function qualifiedName(text: string): string[] {
  const parts = text.split('/');
  const name = parts.at(-1)!;
  const errors: string[] = [];
  if (parts.length > 2) {
    const message = `a valid label key ${regexMessage(QUALIFIED_MESSAGE, QUALIFIED, 'MyName', 'my.name', '123-abc')}`;
    return [`${message} with an optional DNS subdomain prefix and '/' (e.g. 'example.com/MyName')`];
  }
  if (parts.length === 2) {
    const prefix = parts[0]!;
    if (prefix === '') errors.push('prefix part must be non-empty');
    else errors.push(...dnsSubdomain(prefix).map((error) => `prefix part ${error}`));
  }
  if (name === '') errors.push('name part must be non-empty');
  else if (length(name) > 63) errors.push(`name part ${tooLong(63)}`);
  if (!QUALIFIED_RE.test(name)) {
    errors.push(`name part ${regexMessage(QUALIFIED_MESSAGE, QUALIFIED, 'MyName', 'my.name', '123-abc')}`);
  }
  return errors;
}

function labelValue(text: string): string[] {
  const errors = length(text) > 63 ? [tooLong(63)] : [];
  if (text === '' || QUALIFIED_RE.test(text)) return errors;
  const message =
    "a valid label must be an empty string or consist of alphanumeric characters, '-', '_' or '.', and must start and end with an alphanumeric character";
  return [...errors, regexMessage(message, LABEL_VALUE, 'MyValue', 'my_value', '12345')];
}

/** A name that something will be appended to may end in a dash. */
const asPrefix =
  (validate: (text: string) => string[]) =>
  (text: string): string[] =>
    validate(text.length > 1 && text.endsWith('-') ? `${text.slice(0, -2)}a` : text);

const simple =
  (holds: (text: string) => boolean, message: string) =>
  (text: string): string[] =>
    holds(text) ? [] : [message];

function uri(text: string): string[] {
  const error = requestURLError(text);
  return error === undefined ? [] : [`parse ${quoteGo(text)}: ${error}`];
}

const UUID = /^[0-9a-f]{8}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{4}-?[0-9a-f]{12}$/i;

function isDate(text: string): boolean {
  const found = /^(\d{4})-(\d{2})-(\d{2})$/.exec(text);
  if (found === null) return false;
  const [year, month, day] = found.slice(1).map(Number) as [number, number, number];
  const date = new Date(0);
  date.setUTCFullYear(year, month - 1, day);
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === day;
}

const TIME = /^([0-9]{2}):([0-9]{2}):([0-9]{2})(?:.[0-9]+)?(?:z|[+-][0-9]{2}:[0-9]{2})$/;

function isDateTime(text: string): boolean {
  const parts = text.length < 4 || text.length > 256 ? [] : text.toLowerCase().split('t');
  if (parts.length < 2 || !isDate(parts[0]!)) return false;
  const found = TIME.exec(parts[1]!);
  return found !== null && found[1]! <= '23' && found[2]! <= '59' && found[3]! <= '59';
}

const isBase64 = (text: string): boolean =>
  text !== '' &&
  text.length % 4 === 0 &&
  /^[A-Za-z0-9+/]*={0,2}$/.test(text) &&
  /^[A-Za-z0-9+/]{2}/.test(text.slice(-4));

export const NAMED_FORMATS: Readonly<Record<string, NamedFormat>> = {
  dns1123Label: { name: 'DNS1123Label', validate: dnsLabel, patternLength: 30 },
  dns1123Subdomain: { name: 'DNS1123Subdomain', validate: dnsSubdomain, patternLength: 60 },
  dns1035Label: { name: 'DNS1035Label', validate: dns1035Label, patternLength: 30 },
  qualifiedName: { name: 'QualifiedName', validate: qualifiedName, patternLength: 60 },
  dns1123LabelPrefix: { name: 'DNS1123LabelPrefix', validate: asPrefix(dnsLabel), patternLength: 30 },
  dns1123SubdomainPrefix: { name: 'DNS1123SubdomainPrefix', validate: asPrefix(dnsSubdomain), patternLength: 60 },
  dns1035LabelPrefix: { name: 'DNS1035LabelPrefix', validate: asPrefix(dns1035Label), patternLength: 30 },
  labelValue: { name: 'LabelValue', validate: labelValue, patternLength: 40 },
  uri: { name: 'URI', validate: uri, patternLength: 1103 },
  uuid: { name: 'uuid', validate: simple((t) => UUID.test(t), 'does not match the UUID format'), patternLength: 70 },
  byte: { name: 'byte', validate: simple(isBase64, 'invalid base64'), patternLength: 84 },
  date: { name: 'date', validate: simple(isDate, 'invalid date'), patternLength: 71 },
  datetime: { name: 'datetime', validate: simple(isDateTime, 'invalid datetime'), patternLength: 71 },
};
