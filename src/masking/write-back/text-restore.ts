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
 * Puts values back into a text that was edited around them. All values that one rule hides in one text have the same placeholder;
 * where they differ, the line that it stands on, and the lines above that this one belongs to, tell which is meant.
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
  const unclear = occurrences.some(({ could }) => could.some((i) => values[i] !== values[could[0]!]));
  const meant = unclear ? byLine(sent, occurrences, shownWith(pieces)) : occurrences.map(({ could }) => could[0]!);
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
  /** The same, up to its first placeholder. */
  readonly head: string;
  /** Its placeholders, by index. */
  readonly marks: number[];
}

/** @returns for each occurrence which origin is meant, or undefined where one line could be several */
function byLine(
  sent: string,
  occurrences: readonly Occurrence[],
  shown: { readonly text: string; readonly starts: readonly number[] },
): number[] | undefined {
  const before = linesOf(
    shown.text,
    shown.starts.map((start) => start),
  ).filter(({ marks }) => marks.length > 0);
  const after = linesOf(
    sent,
    occurrences.map(({ start }) => start),
  ).filter(({ marks }) => marks.length > 0);
  const meant: number[] = [];
  const take = (line: Line, from: Line): boolean => {
    for (const [k, mark] of line.marks.entries()) {
      const origin = from.marks[k]!;
      if (!occurrences[mark]!.could.includes(origin)) return false;
      meant[mark] = origin;
    }
    taken.add(from);
    return true;
  };
  const taken = new Set<Line>();
  const edited: Line[] = [];
  for (const line of after) {
    const same = before.filter(({ key }) => key === line.key);
    if (same.length === 0) edited.push(line);
    else if (same.length > 1 || taken.has(same[0]!) || !take(line, same[0]!)) return undefined;
  }
  for (const line of edited) {
    const open = before.filter((one) => !taken.has(one) && one.head === line.head);
    const fits = open.length === 1 && open[0]!.marks.length === line.marks.length;
    if (!fits || !take(line, open[0]!)) return undefined;
  }
  return meant;
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
      const head = marks.length === 0 ? key : `${parent}\n${line.slice(0, first! - at).trimStart()}`;
      lines.push({ key, head, marks });
      above.push({ indent, key: key.length > MAX_KEY ? key.slice(-MAX_KEY) : key });
    }
    at = end + 1;
  }
  return lines;
}

const MAX_KEY = 4096;
