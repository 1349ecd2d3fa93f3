import {
  type Document,
  isAlias,
  isCollection,
  isMap,
  isPair,
  isScalar,
  isSeq,
  type Node,
  parseDocument,
  type Scalar,
} from 'yaml';

/** What stands in a Secret of a manifest. */
export interface ManifestValue {
  /** As it is meant: `data` decoded; one character a byte. */
  readonly value: string;
  /** As `Secret/shop-db.data.password`. */
  readonly path: string;
}

/** Characters of one document; a Secret has at most 1 MiB. */
const MAX_DOCUMENT = 2 << 20;
const SEPARATOR = /^---(?=[ \t\r\n]|$)/m;

/**
 * Masks the Secrets in a manifest of Helm's: whatever stands under `data` and `stringData`, in whichever style YAML has for it.
 * A document about a Secret that cannot be read goes as a whole.
 * @param text one character a byte
 * @param hide what to write for a value; undefined to leave an empty one
 * @param rest masks what stands around
 */
export function maskManifest(
  text: string,
  hide: (what: ManifestValue) => string | undefined,
  rest: (text: string) => string,
): string {
  let out = '';
  for (const document of documents(text)) {
    if (!/Secret/.test(document)) out += rest(document);
    else out += maskDocument(document, hide, rest);
  }
  return out;
}

/** Each with the line that begins it: a block's content is indented, so at a line's start `---` can be nothing else. */
function documents(text: string): string[] {
  const parts: string[] = [];
  let from = 0;
  while (from < text.length) {
    const next = text.slice(from + 3).search(SEPARATOR);
    const end = next === -1 ? text.length : from + 3 + next;
    parts.push(text.slice(from, end));
    from = end;
  }
  return parts;
}

interface Range {
  readonly start: number;
  readonly end: number;
  readonly with: string;
}

function maskDocument(
  text: string,
  hide: (what: ManifestValue) => string | undefined,
  rest: (text: string) => string,
): string {
  const parsed = text.length > MAX_DOCUMENT ? undefined : read(text);
  if (parsed === undefined) {
    // Whether it is about a Secret cannot be told either.
    const hidden = hide({ value: text, path: 'document' });
    return `---\n# ${hidden ?? ''}\n`;
  }
  const ranges = secretsIn(parsed, parsed.contents).flatMap((secret) => rangesOf(parsed, secret, text, hide));
  ranges.sort((a, b) => a.start - b.start);
  let out = '';
  let at = 0;
  for (const { start, end, with: written } of ranges) {
    // Two names for one anchor.
    if (start < at) continue;
    out += rest(text.slice(at, start)) + written;
    at = end;
  }
  return out + rest(text.slice(at));
}

function read(text: string): Document | undefined {
  try {
    const document = parseDocument(text, { logLevel: 'silent', uniqueKeys: false, strict: false, merge: false });
    return document.errors.length === 0 ? document : undefined;
  } catch {
    return undefined;
  }
}

/** The object itself, or those of a List. */
function secretsIn(document: Document, node: unknown): Node[] {
  const object = resolved(document, node);
  if (!isMap(object)) return [];
  const secrets: Node[] = [];
  let isSecret = false;
  for (const { key, value } of object.items) {
    const name = textOf(document, key);
    if (name === 'kind' && textOf(document, value) === 'Secret') isSecret = true;
    const items = name === 'items' ? resolved(document, value) : undefined;
    if (isSeq(items)) secrets.push(...items.items.flatMap((item) => secretsIn(document, item)));
  }
  if (isSecret) secrets.push(object);
  return secrets;
}

function rangesOf(
  document: Document,
  secret: Node,
  text: string,
  hide: (what: ManifestValue) => string | undefined,
): Range[] {
  if (!isMap(secret)) return [];
  const ranges: Range[] = [];
  const metadata = resolved(document, secret.items.find(({ key }) => textOf(document, key) === 'metadata')?.value);
  const named = isMap(metadata) ? metadata.items.find(({ key }) => textOf(document, key) === 'name') : undefined;
  const name = textOf(document, named?.value);
  const visit = (node: unknown, path: string, isData: boolean, depth: number): void => {
    const value = resolved(document, node);
    if (depth > 8) return;
    if (isCollection(value)) {
      for (const item of value.items) {
        if (isPair(item)) visit(item.value, `${path}.${textOf(document, item.key)}`, isData, depth + 1);
        else visit(item, path, isData, depth + 1);
      }
    } else if (isScalar(value) && value.range != null) {
      const [start, end] = value.range;
      if (end <= start) return;
      const written = replacement(value, path, isData, hide);
      // A block ends with its last line's end.
      if (written !== undefined) ranges.push({ start, end, with: text[end - 1] === '\n' ? `${written}\n` : written });
    }
  };
  for (const { key, value } of secret.items) {
    const member = textOf(document, key);
    if (member === 'data' || member === 'stringData') visit(value, `Secret/${name}.${member}`, member === 'data', 0);
  }
  return ranges;
}

function replacement(
  node: Scalar,
  path: string,
  isData: boolean,
  hide: (what: ManifestValue) => string | undefined,
): string | undefined {
  const source = typeof node.value === 'string' ? node.value : (node.source ?? String(node.value));
  if (source === '') return undefined;
  const value = isData ? Buffer.from(source, 'base64').toString('latin1') : source;
  const hidden = hide({ value, path });
  if (hidden === undefined) return '""';
  return `"${isData ? Buffer.from(hidden, 'latin1').toString('base64') : hidden}"`;
}

function resolved(document: Document, node: unknown): unknown {
  return isAlias(node) ? node.resolve(document) : node;
}

function textOf(document: Document, node: unknown): string {
  const value = resolved(document, node);
  return isScalar(value) ? String(value.value) : '';
}
