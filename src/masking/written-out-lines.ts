import type { Finding } from './finding.ts';
import { readJsonString } from './json-string.ts';
import { isEscaped } from './line-form.ts';

/** Characters of a string that is read as a text of its own. */
const MAX_STRING = 65_536;

/**
 * Looks into strings of JSON that hold lines, as a log of JSON lines quotes a manifest or a file: inside they are a text.
 * @param text whole lines @param look finds in a text
 * @returns where that stands in the text itself
 */
export function findInWrittenOut(text: string, look: (inner: string) => readonly Finding[]): Finding[] {
  const found: Finding[] = [];
  const bytes = Buffer.from(text, 'latin1');
  for (let at = text.indexOf('\\n'); at !== -1; at = text.indexOf('\\n', at)) {
    const lineStart = text.lastIndexOf('\n', at) + 1;
    const start = quoteBefore(text, bytes, at, Math.max(lineStart, at - MAX_STRING));
    const end = start === -1 ? -1 : quoteBehind(text, bytes, at + 2, start);
    if (end === -1) {
      at += 2;
      continue;
    }
    const raw = text.slice(start + 1, end);
    const inner = readOrNothing(raw);
    const origins = inner === undefined ? undefined : originsOf(raw);
    if (inner !== undefined && origins?.length === inner.length + 1) {
      for (const finding of look(inner)) {
        const [from, to] = [origins[finding.start]!, origins[finding.end]!];
        found.push({ ...finding, start: start + 1 + from, end: start + 1 + to, open: false });
      }
    }
    at = end + 1;
  }
  return found;
}

function quoteBefore(text: string, bytes: Buffer, at: number, from: number): number {
  for (let quote = text.lastIndexOf('"', at); quote >= from; quote = text.lastIndexOf('"', quote - 1)) {
    if (!isEscaped(bytes, quote, from)) return quote;
    if (quote === 0) return -1;
  }
  return -1;
}

function quoteBehind(text: string, bytes: Buffer, at: number, start: number): number {
  const most = start + MAX_STRING;
  for (let quote = text.indexOf('"', at); quote !== -1 && quote < most; quote = text.indexOf('"', quote + 1)) {
    if (isEscaped(bytes, quote, start)) continue;
    return text.slice(at, quote).includes('\n') ? -1 : quote;
  }
  return -1;
}

function readOrNothing(raw: string): string | undefined {
  try {
    return readJsonString(raw);
  } catch (error) {
    if (error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** For each character that is read, and for the end, where it is written. */
function originsOf(raw: string): number[] {
  const origins: number[] = [];
  let at = 0;
  while (at < raw.length) {
    let written = 1;
    let read = 1;
    if (raw[at] === '\\') {
      written = raw[at + 1] === 'u' ? 6 : 2;
      if (written === 6) {
        const unit = Number.parseInt(raw.slice(at + 2, at + 6), 16);
        read = unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
        const isPair = unit >= 0xd800 && unit < 0xdc00 && /^\\u[dD][c-fC-F]/.test(raw.slice(at + 6, at + 9));
        if (isPair) [written, read] = [12, 4];
      }
    }
    for (let i = 0; i < read; i++) origins.push(at);
    at += written;
  }
  origins.push(raw.length);
  return origins;
}
