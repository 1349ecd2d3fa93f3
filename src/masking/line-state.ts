import { decodeText } from './encoded.ts';
import { type Finding, joined } from './finding.ts';

// What stands before the body of a key on each line: indentation, a bar, a diff's sign, a timestamp.
const LEAD = /(?:\S{0,12}\d\d:\d\d:\d\d\S{0,24} )?[ \t|>*#+"',]{0,40}/y;
const BODY = /(?:[A-Za-z0-9+/=]{0,512}|[A-Z][A-Za-z0-9-]{1,40}: ?[^\n]{0,200})[\\nr"', \t]{0,8}\r?(?=\n|$)/y;
const END = /-{2,5}END [A-Z0-9 ]{1,40}-{0,5}/y;
const MAX_BLOCK_LINES = 1024;

const HEADER = /^([ ]{0,64})(data|stringData):[ \t]*\r?$/;
const MEMBER = /^([ ]{0,80})(?:[A-Za-z0-9._-]{1,253}|"[^"]{1,253}"):(?:[ \t]+(.*?))?[ \t]*\r?$/;

/** What one line leaves behind for the next: an unfinished key block, the data of a Secret in YAML. */
export class LineState {
  private blockLines = 0;
  private data: { readonly indent: number; readonly plain: boolean; member: number } | undefined;

  copy(): LineState {
    const copy = new LineState();
    copy.blockLines = this.blockLines;
    copy.data = this.data === undefined ? undefined : { ...this.data };
    return copy;
  }

  /** Completes findings over whole lines. @param text whole lines, or an unfinished last one */
  extend(text: string, found: readonly Finding[]): readonly Finding[] {
    const withBlocks =
      this.blockLines > 0 || found.some(({ open }) => open === true) ? this.blocks(text, found) : found;
    if (this.data === undefined && !text.includes('data:') && !text.includes('Data:')) return withBlocks;
    return joined([...withBlocks, ...this.yaml(text)]);
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
      const lead = at + matched(LEAD, text, at);
      const newline = text.indexOf('\n', at);
      const next = newline === -1 ? text.length : newline + 1;
      const armour = matched(END, text, lead);
      if (armour > 0) {
        this.blockLines = 0;
        const rest = text.slice(lead + armour, next);
        return rest.trim() === '' ? next : lead + armour;
      }
      const body = matched(BODY, text, lead);
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
    for (const line of text.split('\n')) {
      const finding = this.yamlLine(line, at);
      if (finding !== undefined) findings.push(finding);
      at += line.length + 1;
    }
    return findings;
  }

  private yamlLine(line: string, at: number): Finding | undefined {
    const header = HEADER.exec(line);
    if (header !== null) {
      this.data = { indent: header[1]!.length, plain: header[2] === 'stringData', member: -1 };
      return undefined;
    }
    const { data } = this;
    const text = line.trimEnd();
    if (data === undefined || text === '') return undefined;
    const indent = text.length - text.trimStart().length;
    if (indent <= data.indent) {
      this.data = undefined;
      return undefined;
    }
    const range = (start: number): Finding => ({ start: at + start, end: at + text.length, kind: 'secret-data' });
    if (data.plain && data.member !== -1 && indent > data.member) return range(indent);
    const member = MEMBER.exec(line);
    if (member === null) return undefined;
    data.member = indent;
    const value = member[2] ?? '';
    if (value === '' || /^[|>]/.test(value)) return undefined;
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

function matched(pattern: RegExp, text: string, at: number): number {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0].length ?? 0;
}
