import { MARKER } from '../marker.ts';
import { holdsPlaceholder, PLACEHOLDER } from './placeholder-search.ts';
import { type Pieces, rangesIn, type Tracer } from './tracer.ts';

/** A text with its values back, and the same text with a token for each of them. */
export interface RestoredText {
  readonly real: string;
  readonly traced: string;
}

interface Occurrence {
  readonly start: number;
  /** Which values of the current text could be meant: indices into its origins. */
  readonly could: readonly number[];
}

/**
 * Puts values back into a text that was edited around them. All values that one rule hides in one text have the same placeholder:
 * the line that it stands on, and the lines above that this one belongs to, tell which is meant. Nothing here depends on the
 * values: an edit that was accepted for some and refused for others would tell of them.
 * @param current the same text as it is stored, and with tokens
 * @returns undefined where it cannot be told
 */
export function restoreText(sent: string, current: RestoredText, tracer: Tracer): RestoredText | undefined {
  const pieces = tracer.split(current.traced);
  const ranges = rangesIn(current.real, pieces);
  // What was left out without a trace cannot be found in an edited text.
  if (ranges === undefined || pieces.origins.some(({ written }) => (written ?? '') === '')) return undefined;
  const values = ranges.map(({ start, end }) => current.real.slice(start, end));
  const occurrences: Occurrence[] = [];
  for (const { index, 0: text } of sent.matchAll(PLACEHOLDER)) {
    const could = pieces.origins.flatMap(({ written }, i) =>
      written!.startsWith(text) && sent.startsWith(written!, index) ? [i] : [],
    );
    if (could.length === 0) return undefined;
    occurrences.push({ start: index, could });
  }
  // One that is cut short is no one's.
  if (occurrences.length === 0 || sent.split(MARKER).length - 1 !== occurrences.length) return undefined;
  const meant = byLine(sent, occurrences, shownWith(pieces));
  if (meant === undefined) return undefined;
  let real = '';
  let traced = '';
  let at = 0;
  for (const [k, { start }] of occurrences.entries()) {
    const origin = pieces.origins[meant[k]!]!;
    real += sent.slice(at, start) + values[meant[k]!];
    traced += sent.slice(at, start) + tracer.mark(origin);
    at = start + origin.written!.length;
  }
  traced += sent.slice(at);
  // Others may stand beside it in another encoding.
  return holdsPlaceholder(traced) ? undefined : { real: real + sent.slice(at), traced };
}

/** What is shown of a text, and where in it each value's placeholder begins. */
function shownWith({ literals, origins }: Pieces): { readonly text: string; readonly starts: readonly number[] } {
  let text = literals[0]!;
  const starts: number[] = [];
  for (const [i, { written }] of origins.entries()) {
    starts.push(text.length);
    text += written! + literals[i + 1]!;
  }
  return { text, starts };
}

interface Line {
  /** The lines it belongs to, outermost first, and itself. */
  readonly key: string;
  readonly text: string;
  /** Up to its first placeholder. */
  readonly head: string;
  /** What follows its last placeholder first: '' at the end of a line. */
  readonly next: string;
  /** Its placeholders, by index. */
  readonly marks: number[];
}

/** Behind one of these nothing joins what stands before it. */
const ENDS = /^$|^["'@,;&)}\]>]/;

/** @returns for each occurrence which origin is meant, or undefined where a line could be several, or is of none */
function byLine(
  sent: string,
  occurrences: readonly Occurrence[],
  shown: { readonly text: string; readonly starts: readonly number[] },
): number[] | undefined {
  const before = linesOf(shown.text, shown.starts);
  const after = linesOf(
    sent,
    occurrences.map(({ start }) => start),
  );
  const meant: number[] = [];
  const taken = new Set<Line>();
  const done = new Set<Line>();
  const take = (line: Line, from: Line): boolean => {
    for (const [k, mark] of line.marks.entries()) {
      const origin = from.marks[k];
      if (origin === undefined || !occurrences[mark]!.could.includes(origin)) return false;
      meant[mark] = origin;
    }
    taken.add(from);
    done.add(line);
    return true;
  };
  const [left, right] = commonEnds(before, after);
  // What did not move is the same; unless some of several that look the same are gone, which no one could tell apart.
  for (let i = 0; i < left; i++) if (!take(after[i]!, before[i]!)) return undefined;
  for (let i = 1; i <= right; i++) if (!take(after[after.length - i]!, before[before.length - i]!)) return undefined;
  const counts = (lines: readonly Line[], key: string): number => lines.filter((line) => line.key === key).length;
  for (const { key, marks } of after) {
    if (marks.length === 0) continue;
    const were = counts(before, key);
    if (were > 1 && counts(after, key) !== were) return undefined;
  }
  const fits: readonly ((line: Line, from: Line) => boolean)[] = [
    (line, from) => line.key === from.key,
    (line, from) => line.text === from.text,
    (line, from) => line.head === from.head && line.next === from.next && ENDS.test(line.next),
  ];
  for (const fit of fits) {
    const open = after.filter((line) => line.marks.length > 0 && !done.has(line));
    const free = before.filter((line) => line.marks.length > 0 && !taken.has(line));
    for (const line of open) {
      const from = free.filter((one) => one.marks.length === line.marks.length && fit(line, one));
      if (from.length === 0) continue;
      const rivals = open.filter((other) => fit(other, from[0]!));
      if (from.length > 1 || rivals.length > 1 || !take(line, from[0]!)) return undefined;
    }
  }
  return after.every((line) => line.marks.length === 0 || done.has(line)) ? meant : undefined;
}

/** How many lines are the same at the beginning, and at the end. */
function commonEnds(before: readonly Line[], after: readonly Line[]): readonly [number, number] {
  const most = Math.min(before.length, after.length);
  let left = 0;
  while (left < most && before[left]!.key === after[left]!.key) left++;
  let right = 0;
  while (right < most - left && before[before.length - 1 - right]!.key === after[after.length - 1 - right]!.key)
    right++;
  return [left, right];
}

const SECTION = /^\s*\[[^\]]+\]\s*$/;

function linesOf(text: string, starts: readonly number[]): Line[] {
  const lines: Line[] = [];
  const above: { readonly indent: number; readonly key: string }[] = [];
  let section = '';
  let at = 0;
  let next = 0;
  for (const line of text.split('\n')) {
    const end = at + line.length;
    const marks: number[] = [];
    const first = starts[next];
    while (next < starts.length && starts[next]! <= end) marks.push(next++);
    const indent = line.length - line.trimStart().length;
    if (SECTION.test(line)) section = line.trim();
    if (line.trim() !== '') {
      while (above.length > 0 && above[above.length - 1]!.indent >= indent) above.pop();
      const parent = above[above.length - 1]?.key ?? section;
      const key = `${parent}\n${line.trim()}`;
      const head = marks.length === 0 ? '' : line.slice(0, first! - at).trimStart();
      const rest = /sallyport\.masked\.[a-z2-7]{26}(?!.*sallyport\.masked\.)(.?)/s.exec(line)?.[1] ?? '';
      lines.push({ key, text: line.trim(), head, next: rest, marks });
      above.push({ indent, key: key.length > MAX_KEY ? key.slice(-MAX_KEY) : key });
    }
    at = end + 1;
  }
  return lines;
}

const MAX_KEY = 4096;
