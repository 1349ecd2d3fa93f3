import {
  type Alias,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  type Node,
  type Pair,
  parseAllDocuments,
  type Scalar,
} from 'yaml';
import { SallyportError } from '../errors.ts';
import { type Json, JsonNumber, type JsonObject, MAX_JSON_CONTAINERS, MAX_JSON_DEPTH, quoted } from './json.ts';

/** Reading YAML costs some hundred times what reading JSON does, on the one event loop: hence far less than 3 MiB. */
export const MAX_YAML_LENGTH = 64 * 1024;
/** Values that aliases may add to a document. */
const MAX_ALIASED_VALUES = 10_000;

/**
 * Reads YAML as sigs.k8s.io/yaml would, where every YAML reader agrees with it; whatever has two readings (YAML 1.1 and
 * 1.2, libraries' own ideas) is refused with its line. The result is what is decided on *and* what is forwarded, as
 * JSON, so no second YAML reader has a say.
 *
 * @throws SallyportError SP_BAD_REQUEST, SP_BODY_TOO_LARGE
 */
export function parseYaml(text: string): Json {
  if (text.length > MAX_YAML_LENGTH) {
    throw new SallyportError('SP_BODY_TOO_LARGE', `a YAML body is accepted up to ${MAX_YAML_LENGTH} bytes: send JSON`);
  }
  const lines = new LineCounter();
  const odd = ODD_CHARACTER.exec(text);
  if (odd !== null)
    throw fault(text.slice(0, odd.index).split('\n').length, 'a control character or a Unicode line break');
  // YAML directives change what follows; Kubernetes needs none.
  const directive = /^%/m.exec(text);
  if (directive !== null) throw fault(text.slice(0, directive.index).split('\n').length, 'a line that begins with %');
  try {
    const documents = parseAllDocuments(text, {
      lineCounter: lines,
      schema: 'failsafe',
      version: '1.2',
      merge: false,
      uniqueKeys: false,
      strict: true,
      prettyErrors: false,
      keepSourceTokens: false,
      logLevel: 'silent',
    });
    if (!Array.isArray(documents) || documents.length !== 1) {
      throw fault(1, documents.length > 1 ? 'more than one document' : 'no document');
    }
    const document = documents[0]!;
    const problem = document.errors[0] ?? document.warnings[0];
    if (problem !== undefined) throw fault(lines.linePos(problem.pos[0]).line, `not valid YAML (${problem.code})`);
    return new Reader(lines).read(document.contents);
  } catch (error) {
    if (error instanceof SallyportError) throw error;
    // Nested too deep for the parser's own recursion, or an unforeseen fault in it: refused either way.
    throw new SallyportError('SP_BAD_REQUEST', 'the YAML body could not be read', { cause: error });
  }
}

/** C0 without tab and line ends, DEL, C1 (with NEL), LS, PS, BOM: line breaks to some readers and text to others. */
const ODD_CHARACTER = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f\u2028\u2029\ufeff\ufffe\uffff]/;

const WORDS: ReadonlyMap<string, null | boolean> = new Map<string, null | boolean>([
  ['', null],
  ['~', null],
  ['null', null],
  ['Null', null],
  ['NULL', null],
  ['true', true],
  ['True', true],
  ['TRUE', true],
  ['false', false],
  ['False', false],
  ['FALSE', false],
]);
/** Booleans to YAML 1.1, text to YAML 1.2; and what has no JSON. */
const TWO_READINGS = /^(?:y|yes|n|no|on|off|<<|=|[-+]?\.inf|\.nan)$/i;
const DECIMAL = /^(?:0|-?[1-9][0-9]*)$/;
const FLOAT = /^[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$/;
/** Looks like a number to some reader: leading zeros and signs, hexadecimal, octal, binary, underscores. */
const NUMBER_LIKE =
  /^[-+]?(?:0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*(?:\.[0-9_]*)?(?:[eE][-+]?[0-9]+)?|\.[0-9][0-9_]*)$/;
/** Base 60 to YAML 1.1: `22:22`, a port mapping, is 1342 there. */
const BASE_60 = /^[-+]?[0-9][0-9_]*(?::[0-5]?[0-9])+(?:\.[0-9_]*)?$/;

class Reader {
  readonly #lines: LineCounter;
  readonly #anchors = new Map<string, Node>();
  readonly #open = new Set<Node>();
  #containers = 0;
  #aliased = 0;
  #insideAlias = 0;

  constructor(lines: LineCounter) {
    this.#lines = lines;
  }

  read(node: Node | null, depth = 0): Json {
    if (node === null) return null;
    if (isAlias(node)) return this.#alias(node, depth);
    if (this.#insideAlias > 0 && ++this.#aliased > MAX_ALIASED_VALUES)
      throw this.#fault(node, 'aliases that add too much');
    if (node.tag !== undefined) throw this.#fault(node, 'a tag');
    const { anchor } = node as Node & { anchor?: string };
    if (anchor !== undefined && this.#insideAlias === 0) this.#anchors.set(anchor, node);
    if (isScalar(node)) return this.#scalar(node);
    if (depth >= MAX_JSON_DEPTH) throw this.#fault(node, `nesting deeper than ${MAX_JSON_DEPTH}`);
    if (++this.#containers > MAX_JSON_CONTAINERS) throw this.#fault(node, 'too many maps and lists');
    this.#open.add(node);
    let value: Json;
    if (isMap(node)) value = this.#map(node.items as Pair<Node | null, Node | null>[], node, depth);
    else if (isSeq(node)) value = (node.items as Node[]).map((item) => this.read(item, depth + 1));
    else throw this.#fault(node, 'something that is neither map, list nor scalar');
    this.#open.delete(node);
    return value;
  }

  #map(pairs: readonly Pair<Node | null, Node | null>[], node: Node, depth: number): JsonObject {
    const object: JsonObject = new Map();
    for (const { key, value } of pairs) {
      const name = this.#key(key, node);
      if (object.has(name)) throw this.#fault(key ?? node, `the key ${quoted(name)} twice`);
      object.set(name, this.read(value, depth + 1));
    }
    return object;
  }

  /** A key must be text; a plain decimal is the same text to everyone. */
  #key(key: Node | null, map: Node): string {
    if (!isScalar(key)) throw this.#fault(key ?? map, 'a key that is not text');
    // Quoted or not, some readers merge it.
    if (key.value === '<<') throw this.#fault(key, 'a merge key');
    const value = this.read(key);
    if (typeof value === 'string') return value;
    if (value instanceof JsonNumber && DECIMAL.test(String(key.source)) && value.text === key.source) return value.text;
    throw this.#fault(key, 'a key that is not text: quote it');
  }

  #alias(alias: Alias, depth: number): Json {
    const target = this.#anchors.get(alias.source);
    if (target === undefined || this.#open.has(target))
      throw this.#fault(alias, 'an alias to nothing, or to what holds it');
    this.#insideAlias++;
    const value = this.read(target, depth);
    this.#insideAlias--;
    return value;
  }

  #scalar(node: Scalar): Json {
    const text = String(node.value);
    if (!text.isWellFormed()) throw this.#fault(node, 'half a surrogate pair');
    if (node.type !== 'PLAIN') return text;
    const word = WORDS.get(text);
    if (word !== undefined) return word;
    if (TWO_READINGS.test(text))
      throw this.#fault(node, 'a word that is a boolean to some YAML readers and text to others: quote it');
    if (BASE_60.test(text)) throw this.#fault(node, 'digits with colons, a number to some YAML readers: quote it');
    if (DECIMAL.test(text) || FLOAT.test(text)) return this.#number(node, text);
    if (NUMBER_LIKE.test(text))
      throw this.#fault(node, 'a number that YAML readers take differently: write it in plain decimal, or quote it');
    return text;
  }

  #number(node: Scalar, text: string): JsonNumber {
    const number = goNumber(text);
    if (number === undefined) throw this.#fault(node, 'a number out of range');
    return number;
  }

  #fault(node: Node, what: string): SallyportError {
    return fault(this.#lines.linePos(node.range?.[0] ?? 0).line, what);
  }
}

/**
 * A number as Go's YAML and then its JSON write it: integers of 64 bits keep their digits, all else is the shortest
 * double (`1.0` and `1e0` are `1`).
 */
export function goNumber(text: string): JsonNumber | undefined {
  if (text.length > 400) return undefined;
  if (DECIMAL.test(text)) {
    const integer = BigInt(text);
    if (integer >= -(2n ** 63n) && integer < 2n ** 64n) return new JsonNumber(text);
  }
  const double = Number(text);
  return Number.isFinite(double) ? new JsonNumber(String(double)) : undefined;
}

function fault(line: number, what: string): SallyportError {
  return new SallyportError('SP_BAD_REQUEST', `the YAML body is refused: ${what} (line ${line})`);
}
