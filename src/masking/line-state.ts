import { kindOf } from './assignment.ts';
import { blanksBefore, isBlank, trimmedEnd } from './blank.ts';
import { decodeText } from './encoded.ts';
import { type Finding, joined } from './finding.ts';
import { classifyName, isPlausible, type NameClass } from './secret-name.ts';

// What stands before the body of a key on each line: indentation, a bar, a diff's sign, a timestamp.
const TIME = '(?:\\S{0,12}\\d\\d:\\d\\d:\\d\\d\\S{0,24} (?:std(?:out|err) [FP] )?)?';
const LEAD = new RegExp(`${TIME}[ \\t|>*#+"',]{0,40}`, 'y');
const BODY = /(?:[A-Za-z0-9+/=]{0,512}|[A-Z][A-Za-z0-9-]{1,40}: ?[^\n]{0,200})[\\nr"', \t]{0,8}\r?(?=\n|$)/y;
const RECORD = /[A-Za-z0-9+/=]{8,512}(?=[\\"'])/y;
const WRAPPED =
  /^((?:\S{0,12}\d\d:\d\d:\d\d\S{0,24} (?:std(?:out|err) [FP] )?)?[ \t]{0,64})([A-Za-z0-9+/]{4,76}={0,2})\r?$/;
/** Of a line: timestamp, indentation, base64. */
const MAX_WRAPPED = 256;
const MAY_LABEL = /(?:name|key|variable)["']?[ \t]{0,8}[:=> ]/;
const END = /-{2,5}END [A-Z0-9 ]{1,40}-{0,5}/y;
const MAX_BLOCK_LINES = 1024;

/** A template's expression: its value is not in the text. */
const TEMPLATE = /^["']?\{\{[^{}]{0,256}\}\}["']?$/;
const HEADER = new RegExp(`^${TIME}([ ]{0,64})(data|stringData):[ \\t]*\\r?$`);
const TIMED = new RegExp(TIME, 'y');
const MEMBER = /^([ ]{0,80})(?:[A-Za-z0-9._-]{1,253}|"[^"]{1,253}"):(?:[ \t]+(.*?))?[ \t]*\r?$/;

/** A line that names what the next one gives the value of: env in YAML, properties in XML and JSON, variables of Terraform. */
const LABEL =
  /^(?:\S{0,12}\d\d:\d\d:\d\d\S{0,24} (?:std(?:out|err) [FP] )?)?[ \t]{0,64}(?:- {1,4})?(?:\{ ?)?(?:["']?(?:name|key)["']?[ \t]{0,8}[:=][ \t]{0,8}["']?([A-Za-z0-9_./-]{2,96})["']?,?|<(?:name|key)>([A-Za-z0-9_./-]{2,96})<\/(?:name|key)>|variable "([A-Za-z0-9_-]{2,96})" \{)[ \t]*\r?$/;
const LABELLED =
  /^((?:\S{0,12}\d\d:\d\d:\d\d\S{0,24} (?:std(?:out|err) [FP] )?)?[ \t]{0,64}(?:["']?(?:value|default)["']?[ \t]{0,8}[:=][ \t]{0,8}["']?|<value>))([^"'<\r\n]{4,4096})/;

/** What one line leaves behind for the next: an unfinished key block, the data of a Secret in YAML, a name without its value. */
export class LineState {
  private blockLines = 0;
  /** What stood before the armour on its line, digits as 0: the lines after it may begin alike. */
  private prefix = '';
  private data: { readonly indent: number; readonly plain: boolean; member: number } | undefined;
  private label: NameClass = 'none';
  /** Length of the lines of base64 that the last one was of, when something in it was masked: what was cut there goes on here. */
  private wrapped = 0;
  private readonly byName: boolean;

  /** @param byName whether names tell of secrets */
  constructor(byName = true) {
    this.byName = byName;
  }

  /** Whether what follows has to be looked at, whatever it is. */
  get isOpen(): boolean {
    return this.blockLines > 0 || this.data !== undefined || this.label !== 'none' || this.wrapped > 0;
  }

  copy(): LineState {
    const copy = new LineState(this.byName);
    copy.blockLines = this.blockLines;
    copy.prefix = this.prefix;
    copy.label = this.label;
    copy.wrapped = this.wrapped;
    copy.data = this.data === undefined ? undefined : { ...this.data };
    return copy;
  }

  /** Completes findings over whole lines. @param text whole lines, or an unfinished last one */
  extend(text: string, found: readonly Finding[]): readonly Finding[] {
    let all = this.blockLines > 0 || found.some(({ open }) => open === true) ? this.blocks(text, found) : found;
    if (this.data !== undefined || text.includes('data:') || text.includes('Data:')) all = [...all, ...this.yaml(text)];
    if (this.byName && (this.label !== 'none' || MAY_LABEL.test(text))) all = [...all, ...this.labelled(text)];
    if (this.wrapped > 0 || all.length > 0) all = [...all, ...this.wrappedLines(text, all)];
    return all === found ? found : joined([...all]);
  }

  /** Base64 in lines of 64 or 76 characters is one text, of which each line is decoded alone. */
  private wrappedLines(text: string, found: readonly Finding[]): Finding[] {
    const findings: Finding[] = [];
    // Where the lines that go on have been followed to.
    let past = this.wrapped > 0 ? this.followWrapped(text, 0, findings) : 0;
    for (const { start, end } of found) {
      if (start < past || end <= start) continue;
      const from = text.lastIndexOf('\n', start - 1) + 1;
      const next = lineEnd(text, from);
      past = next;
      if (end > next || next - from > MAX_WRAPPED) continue;
      const [, lead = '', body = ''] = WRAPPED.exec(text.slice(from, next)) ?? [];
      const isHit = start >= from + lead.length && end <= from + lead.length + body.length;
      if (!isHit || (body.length !== 64 && body.length !== 76)) continue;
      this.wrapped = body.length;
      past = next < text.length ? this.followWrapped(text, next + 1, findings) : next;
    }
    return findings;
  }

  /** @returns where the first line begins that is not of the block, or the text's end, with the state left for what follows */
  private followWrapped(text: string, from: number, findings: Finding[]): number {
    let at = from;
    while (at < text.length) {
      const next = lineEnd(text, at);
      const [, lead = '', body = ''] = (next - at <= MAX_WRAPPED && WRAPPED.exec(text.slice(at, next))) || [];
      if (body === '' || body.length > this.wrapped) {
        this.wrapped = 0;
        return at;
      }
      findings.push({ start: at + lead.length, end: at + lead.length + body.length, kind: 'encoded', silent: true });
      at = next + 1;
      if (body.length < this.wrapped) {
        this.wrapped = 0;
        return at;
      }
    }
    return at;
  }

  private labelled(text: string): Finding[] {
    const findings: Finding[] = [];
    let at = 0;
    for (const line of linesOf(text)) {
      if (this.label !== 'none') {
        const [, lead = '', rest = ''] = LABELLED.exec(line) ?? [];
        const start = lead.length;
        const content = trimmedEnd(rest);
        if (content !== '' && !/^[|>]/.test(content) && isPlausible(content, this.label))
          findings.push({ start: at + start, end: at + start + content.length, kind: kindOf(this.label) });
      }
      const label = mayBeLabel(line) ? LABEL.exec(line) : null;
      const name = label?.[1] ?? label?.[2] ?? label?.[3];
      // One line may stand between: a description, a type.
      if (name !== undefined) this.label = classifyName(name);
      else if (!isBlank(line)) this.label = 'none';
      at += line.length + 1;
    }
    return findings;
  }

  private blocks(text: string, found: readonly Finding[]): Finding[] {
    const result: Finding[] = [];
    let past = 0;
    const swallow = (from: number): void => {
      past = this.runOn(text, from);
      if (past > from) result.push({ start: from, end: past, kind: 'private-key', silent: true });
    };
    if (this.blockLines > 0) swallow(0);
    for (const finding of found) {
      if (finding.start < past) continue;
      result.push(finding);
      if (finding.open !== true) continue;
      this.blockLines = 1;
      const before = text.slice(text.lastIndexOf('\n', finding.start) + 1, finding.start);
      this.prefix = before.length <= 160 ? before.replace(/[0-9]+/g, '0') : '';
      const newline = text.indexOf('\n', finding.end);
      if (newline !== -1) swallow(newline + 1);
    }
    return result;
  }

  /**
   * Line by line, so that it is the same however lines come.
   * @returns where the block ends: behind its armour's line, or before the first line that cannot be of it
   */
  private runOn(text: string, from: number): number {
    let at = from;
    while (at < text.length) {
      const alike = this.prefix === '' ? 0 : alikeLength(text, at, this.prefix);
      const lead = at + (alike > 0 ? alike : matched(LEAD, text, at));
      const newline = text.indexOf('\n', at);
      const next = newline === -1 ? text.length : newline + 1;
      const armour = matched(END, text, lead);
      if (armour > 0) {
        this.blockLines = 0;
        const rest = text.slice(lead + armour, next);
        return isBlank(rest) ? next : lead + armour;
      }
      let body = matched(BODY, text, lead);
      // In a record of its own, something follows on the line.
      if (alike > 5 && body === 0 && matched(RECORD, text, lead) > 0)
        body = (newline === -1 ? text.length : newline) - lead;
      if (lead + body < (newline === -1 ? text.length : newline) || ++this.blockLines > MAX_BLOCK_LINES) {
        this.blockLines = 0;
        return at;
      }
      at = next;
    }
    return at;
  }

  /** `data:` with values that are base64 of text, and everything under `stringData:`, as `kubectl get secret -o yaml` prints. */
  private yaml(text: string): Finding[] {
    const findings: Finding[] = [];
    let at = 0;
    for (const line of linesOf(text)) {
      const finding = this.yamlLine(line, at);
      if (finding !== undefined) findings.push(finding);
      at += line.length + 1;
    }
    return findings;
  }

  private yamlLine(line: string, at: number): Finding | undefined {
    const header = line.length < 160 && line.includes('ata:') ? HEADER.exec(line) : null;
    if (header !== null) {
      this.data = { indent: header[1]!.length, plain: header[2] === 'stringData', member: -1 };
      return undefined;
    }
    const { data } = this;
    const whole = trimmedEnd(line);
    if (data === undefined || whole === '') return undefined;
    const time = matched(TIMED, whole, 0);
    at += time;
    const text = whole.slice(time);
    const indent = blanksBefore(text);
    if (indent <= data.indent) {
      this.data = undefined;
      return undefined;
    }
    const range = (start: number): Finding => ({ start: at + start, end: at + text.length, kind: 'secret-data' });
    if (data.plain && data.member !== -1 && indent > data.member) return range(indent);
    const member = MEMBER.exec(text);
    if (member === null) return undefined;
    data.member = indent;
    const value = member[2] ?? '';
    if (value === '' || /^[|>]/.test(value) || TEMPLATE.test(value)) return undefined;
    const start = text.length - value.length;
    return data.plain || isData(value) ? range(start) : undefined;
  }
}

function isData(value: string): boolean {
  return (
    value.length >= 8 &&
    value.length % 4 === 0 &&
    /^[A-Za-z0-9+/]+={0,2}$/.test(value) &&
    decodeText(value, 4) !== undefined
  );
}

/** By its first character: the name of a field, a quote, a tag, a list's dash, a timestamp. */
function mayBeLabel(line: string): boolean {
  let i = 0;
  while (i < 64 && (line.charCodeAt(i) === 0x20 || line.charCodeAt(i) === 0x09)) i++;
  return line.length - i < 256 && LABEL_STARTS[line.charCodeAt(i)] === 1;
}

const LABEL_STARTS = new Uint8Array(256);
for (const char of 'nkNKv"\'<-{0123456789[') LABEL_STARTS[char.charCodeAt(0)] = 1;

/** Where the line that `from` is in ends, without its line feed. */
function lineEnd(text: string, from: number): number {
  const newline = text.indexOf('\n', from);
  return newline === -1 ? text.length : newline;
}

/** Without what would stand behind the last line's end: it is no line yet. */
function linesOf(text: string): string[] {
  const lines = text.split('\n');
  if (lines[lines.length - 1] === '') lines.pop();
  return lines;
}

/** How far a line begins as the block's first did, whatever its numbers are; 0 where it does not. */
function alikeLength(text: string, from: number, prefix: string): number {
  let at = from;
  for (let i = 0; i < prefix.length; i++) {
    if (prefix[i] === '0') {
      const digits = at;
      while (at < text.length && text.charCodeAt(at) >= 0x30 && text.charCodeAt(at) <= 0x39) at++;
      if (at === digits) return 0;
    } else if (text[at] === prefix[i]) at++;
    else return 0;
  }
  return at - from;
}

function matched(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0].length ?? 0;
}
