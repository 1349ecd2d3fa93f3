import { NAME_KEYWORDS, readAssignment } from './assignment.ts';
import { Base64Scan, base64Runs, someRun } from './base64-scan.ts';
import { type Detector, FAMILIES, type Family } from './detector.ts';
import { beginsAsText, decodeText, unescapeUrl } from './encoded.ts';
import { type Finding, joined } from './finding.ts';
import { assigns, beginsToken, endsLine, isEscapedScheme, type KeywordCheck, labels, never } from './keyword-check.ts';
import { KeywordGate } from './keyword-gate.ts';
import { KeywordScan } from './keyword-scan.ts';
import { CREDENTIAL_KINDS } from './kinds-credentials.ts';
import { ibanLength, PERSONAL_KINDS } from './kinds-personal.ts';
import { SHAPED_KINDS } from './kinds-shaped.ts';
import { LineState } from './line-state.ts';
import { holdsMarker, MARKER } from './marker.ts';
import { plainText } from './plain.ts';

/** A rule's own pattern, with a linear-time matcher. */
export interface OwnPattern {
  readonly kind: string;
  readonly rule: string;
  /** Lower case; empty: tried on every text. */
  readonly keywords: readonly string[];
  /** Ranges of the secrets in one text. */
  find(text: string): readonly { readonly start: number; readonly end: number }[];
}

type Reader = (text: string, at: number) => readonly Finding[];

interface Checked {
  readonly read: Reader;
  readonly check: KeywordCheck | undefined;
}

const readNothing: Reader = () => [];

/** What lets a keyword pass: any of those who wait for it. */
function anyOf(readers: readonly Checked[]): KeywordCheck | undefined {
  const checks = [...new Set(readers.map(({ check }) => check))];
  const [first] = checks;
  if (checks.length === 1 || checks.includes(undefined)) return checks.includes(undefined) ? undefined : first;
  return (bytes, at, start, end) => checks.some((check) => check!(bytes, at, start, end));
}

function checkOf({ check, inside, anywhere, family }: Detector): KeywordCheck | undefined {
  if (check !== undefined) return check;
  return inside !== undefined || anywhere === true || family !== 'credentials' ? undefined : beginsToken;
}

const MAX_LEFT = 128;
const MAX_DEPTH = 3;
const BOUNDARY = /[A-Za-z0-9]/;

/** Finds secrets in a text: one pass for keywords, then each kind only where its keyword stands. */
export class Recognizer {
  private readonly gate: KeywordGate;
  /** The same, with what says that a line has to be looked at. */
  private readonly lines: KeywordGate;
  /** For lines that stand in a string of JSON: of those in which more than their ends is written out, anything could be. */
  private readonly escapedLines: KeywordGate;
  private readonly readers: (readonly Checked[])[] = [];
  private readonly ungated: readonly OwnPattern[];
  private readonly gated = new Map<number, OwnPattern[]>();
  private readonly decodes: boolean;
  /** Whether a name beside a value says that it is a secret. */
  readonly byName: boolean;
  /** Whether nothing at all is looked for. */
  readonly idle: boolean;

  constructor(families: readonly Family[], patterns: readonly OwnPattern[] = []) {
    const wanted = new Set(families);
    this.byName = wanted.has('tokens-by-name');
    const keywords = new Map<string, Checked[]>();
    const add = (keyword: string, read: Reader, check?: KeywordCheck): void => {
      const list = keywords.get(keyword);
      if (list === undefined) keywords.set(keyword, [{ read, check }]);
      else list.push({ read, check });
    };
    for (const detector of [...CREDENTIAL_KINDS, ...PERSONAL_KINDS]) {
      if (!wanted.has(detector.family)) continue;
      for (const keyword of detector.keywords) add(keyword, readerOf(detector), checkOf(detector));
    }
    for (const kind of SHAPED_KINDS) {
      if (wanted.has(kind.family)) for (const keyword of kind.keywords) add(keyword, kind.read, kind.check);
    }
    if (this.byName) {
      const byName: Reader = (text, at) => {
        const finding = readAssignment(text, at);
        return finding === undefined ? [] : [finding];
      };
      for (const keyword of NAME_KEYWORDS) add(keyword, byName, assigns);
    }
    this.decodes = families.length > 0;
    if (this.decodes) add('%0a%0f', (text, at) => this.readEscapedUrl(text, at), isEscapedScheme);
    for (const pattern of patterns) for (const keyword of pattern.keywords) add(keyword, readNothing);
    for (const keyword of [...LINE_KEYWORDS.keys(), ...WRITTEN_OUT])
      if (!keywords.has(keyword)) add(keyword, readNothing, never);
    const all = [...keywords.keys()];
    this.readers = all.map((keyword) => keywords.get(keyword)!);
    for (const [id, keyword] of all.entries()) {
      const own = patterns.filter((pattern) => pattern.keywords.includes(keyword));
      if (own.length > 0) this.gated.set(id, own);
    }
    this.ungated = patterns.filter((pattern) => pattern.keywords.length === 0);
    this.gate = new KeywordGate(
      all,
      all.map((keyword) => anyOf(keywords.get(keyword)!)),
    );
    const inLines = all.map((keyword, id) => lineCheck(keyword, this.gate.checkOf(id)));
    this.lines = this.gate.with(inLines);
    this.escapedLines = this.gate.with(
      inLines.map((check, id) => (WRITTEN_OUT.includes(all[id]!) ? undefined : check)),
    );
    this.idle = families.length === 0 && patterns.length === 0;
  }

  /** In whole lines, what makes a line worth a look; undefined where every line is. */
  keywordsIn(bytes: Uint8Array, to: number, escaped: boolean): KeywordScan | undefined {
    if (this.ungated.length > 0) return undefined;
    return new KeywordScan(escaped ? this.escapedLines : this.lines, bytes, to);
  }

  /** In whole lines, what may be an encoding; undefined where none is read. */
  runsIn(bytes: Uint8Array, to: number): Base64Scan | undefined {
    return this.decodes ? new Base64Scan(bytes, to) : undefined;
  }

  /** Whether a range of bytes could hold anything: what says no is passed on unread. */
  mayHold(bytes: Uint8Array, start: number, end: number): boolean {
    if (this.idle) return false;
    return (
      this.ungated.length > 0 ||
      (this.decodes && end - start >= 16 && hasLongRun(bytes, start, end)) ||
      this.gate.touches(bytes, start, end)
    );
  }

  /**
   * The quote that ends the string of JSON whose content begins at `start`, where it is short, plain, and could hold nothing; -1
   * where it has to be read.
   */
  quietEnd(bytes: Uint8Array, start: number, end: number): number {
    if (this.ungated.length > 0) return -1;
    const to = this.gate.quietEnd(bytes, start, end);
    return this.decodes && to - start >= 16 && hasLongRun(bytes, start, to) ? -1 : to;
  }

  /**
   * @param text one character a byte
   * @param bytes the same text
   */
  find(text: string, bytes: Uint8Array = Buffer.from(text, 'latin1'), depth = 0): Finding[] {
    if (this.idle) return [];
    const findings: Finding[] = [];
    const own = new Set<OwnPattern>(this.ungated);
    let past = 0;
    // What a name's value holds belongs to it: names inside need not be read again.
    let pastNamed = 0;
    this.gate.each(bytes, 0, bytes.length, (keyword, at) => {
      const patterns = this.gated.get(keyword);
      if (patterns !== undefined) for (const pattern of patterns) own.add(pattern);
      // Inside a block that runs on nothing more need be found.
      if (at < past) return;
      for (const { read, check } of this.readers[keyword]!) {
        if (check === assigns && at < pastNamed) continue;
        if (check !== undefined && !check(bytes, at, 0, bytes.length)) continue;
        for (const finding of read(text, at)) {
          findings.push(finding);
          if (finding.kind === 'private-key') past = Math.max(past, finding.end);
          if (check === assigns && finding.start <= at + 64) pastNamed = Math.max(pastNamed, finding.end);
        }
      }
    });
    for (const pattern of own) {
      for (const range of pattern.find(text)) findings.push({ ...range, kind: pattern.kind, rule: pattern.rule });
    }
    if (this.decodes && depth < MAX_DEPTH) this.findEncoded(text, bytes, depth, findings);
    const result = joined(findings);
    return holdsMarker(text) ? result.filter(({ start, end }) => !isMarked(text, start, end)) : result;
  }

  /** Base64 that holds a text with secrets in it: its inside is masked, and encoded as it was. */
  private findEncoded(text: string, bytes: Uint8Array, depth: number, findings: Finding[]): void {
    const known = joined([...findings]);
    let at = 0;
    for (const run of base64Runs(bytes, 0, bytes.length)) {
      while (at < known.length && known[at]!.end <= run.start) at++;
      const over = known[at];
      if (over !== undefined && over.start <= run.start && over.end >= run.end) continue;
      if (!beginsAsText(bytes, run.start, run.end)) continue;
      const inner = this.findInside(text.slice(run.start, run.end), depth);
      if (inner !== undefined) findings.push({ start: run.start, end: run.end, ...inner });
    }
  }

  private findInside(encoded: string, depth: number): { kind: string } | undefined {
    const bytes = decodeText(encoded);
    if (bytes === undefined) return undefined;
    const { text } = plainText(bytes.toString('latin1'));
    const inner = new LineState(this.byName).extend(text, this.find(text, undefined, depth + 1));
    return inner.length === 0 ? undefined : { kind: inner[0]!.kind };
  }

  private readEscapedUrl(text: string, at: number): Finding[] {
    if (!/^%3a%2f/i.test(text.slice(at, at + 6))) return [];
    let start = at;
    while (start > 0 && at - start < MAX_LEFT && /[A-Za-z0-9+.-]/.test(text[start - 1]!)) start--;
    // Inside one that began further left.
    if (start === at || text[start - 1] === '%') return [];
    let end = at;
    while (end < text.length && end - at < 4096 && /[A-Za-z0-9%._~+!*$-]/.test(text[end]!)) end++;
    const inner = this.find(unescapeUrl(text.slice(start, end)), undefined, MAX_DEPTH);
    return inner.length === 0 ? [] : [{ start, end, kind: inner[0]!.kind }];
  }
}

/** What lets a line be looked at, though no detector waits for it: what it leaves behind for the next, or colours in a secret. */
const LINE_KEYWORDS: ReadonlyMap<string, KeywordCheck | undefined> = new Map<string, KeywordCheck | undefined>([
  ['data:', endsLine],
  ['sess', labels],
  ['\\u000b[', undefined],
  ['\\x0b[', undefined],
  ['\\000[', undefined],
]);

/** What a string of JSON has that is written out, beside the ends of lines, quotes and backslashes. */
const WRITTEN_OUT = ['\\u', '\\/'];

const NAMES: ReadonlySet<string> = new Set(NAME_KEYWORDS);

function lineCheck(keyword: string, check: KeywordCheck | undefined): KeywordCheck | undefined {
  if (LINE_KEYWORDS.has(keyword)) return LINE_KEYWORDS.get(keyword);
  if (check === undefined || !NAMES.has(keyword)) return check;
  return (bytes, at, start, end) => check(bytes, at, start, end) || labels(bytes, at, start, end);
}

function isMarked(text: string, start: number, end: number): boolean {
  const value = text.slice(Math.max(0, start - MARKER.length), end);
  return value.includes(MARKER) && /^[A-Za-z0-9._-]*sallyport\.masked\.[a-z2-7]{0,26}[A-Za-z0-9…]{0,4}$/.test(value);
}

const PROBED = 65_536;

function hasLongRun(bytes: Uint8Array, start: number, end: number): boolean {
  return end - start > PROBED || someRun(bytes, start, end, beginsAsText);
}

function readerOf(detector: Detector): Reader {
  const { kind, pattern, inside, accept } = detector;
  return (text, at) => {
    let start = at;
    if (inside !== undefined) while (start > 0 && at - start < MAX_LEFT && inside.test(text[start - 1]!)) start--;
    if (start > 0 && !detector.anywhere && BOUNDARY.test(text[start - 1]!) && !afterEscape(text, start)) return [];
    if (kind === 'email' && (text[start - 1] === '/' || text[start - 1] === ':')) return [];
    pattern.lastIndex = start;
    const found = pattern.exec(text);
    if (found === null) return [];
    const secret = detector.family === 'credentials' ? (found[1] ?? found[0]) : found[0];
    if (accept !== undefined && !accept(secret)) return [];
    const offset = start + found[0].lastIndexOf(secret);
    if (kind !== 'iban') return [{ start: offset, end: offset + secret.length, kind }];
    const length = ibanLength(text.slice(start, start + 48));
    return length === 0 ? [] : [{ start, end: start + length, kind }];
  };
}

/** `\n` and `\t` written out, `%3D` and colour codes end in a letter or digit, and a token may follow them. */
function afterEscape(text: string, start: number): boolean {
  const before = text.slice(Math.max(0, start - 6), start);
  return /\\[nrtbf]$|\\u[0-9a-fA-F]{4}$|%[0-9a-fA-F]{2}$/.test(before);
}

export const ALL_FAMILIES: readonly Family[] = FAMILIES;
