import { MARKER, PLACEHOLDER_LENGTH } from '../marker.ts';
import { holdsPlaceholder, PLACEHOLDER } from './placeholder-search.ts';
import { type Pieces, rangesIn, type Tracer } from './tracer.ts';

/** A text with its values back, and the same text with a token for each of them. */
export interface RestoredText {
  readonly real: string;
  readonly traced: string;
}

interface Occurrence {
  readonly start: number;
  /** Which values of the current text could be meant: indices into its origins. One set for all that look the same. */
  readonly could: ReadonlySet<number>;
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
  const written = writtenAs(pieces);
  for (const { index, 0: text } of sent.matchAll(PLACEHOLDER)) {
    // What a rule shows of a value's end belongs to it: of two, the longer.
    const forms = (written.get(text) ?? []).filter((form) => sent.startsWith(form.text, index));
    const could = forms.sort((a, b) => b.text.length - a.text.length)[0]?.origins;
    if (could === undefined) return undefined;
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

interface Form {
  readonly text: string;
  readonly origins: Set<number>;
}

/** What stands for the values of a text, by the placeholder that it begins with. */
function writtenAs({ origins }: Pieces): ReadonlyMap<string, Form[]> {
  const byPlaceholder = new Map<string, Form[]>();
  for (const [i, { written }] of origins.entries()) {
    const placeholder = written!.slice(0, PLACEHOLDER_LENGTH);
    const forms = byPlaceholder.get(placeholder) ?? [];
    byPlaceholder.set(placeholder, forms);
    const form = forms.find(({ text }) => text === written);
    if (form === undefined) forms.push({ text: written!, origins: new Set([i]) });
    else form.origins.add(i);
  }
  return byPlaceholder;
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
      if (origin === undefined || !occurrences[mark]!.could.has(origin)) return false;
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
  const were = grouped(before, ({ key }) => key);
  const are = grouped(after, ({ key }) => key);
  for (const [key, lines] of are) {
    const count = were.get(key)?.length ?? 0;
    if (count > 1 && count !== lines.length) return undefined;
  }
  const fits: readonly ((line: Line) => string | undefined)[] = [
    ({ key }) => key,
    ({ text }) => text,
    ({ head, next, marks }) => (ENDS.test(next) ? `${marks.length}${next}${head}` : undefined),
  ];
  for (const fit of fits) {
    const open = grouped(
      after.filter((line) => !done.has(line)),
      fit,
    );
    const free = grouped(
      before.filter((line) => !taken.has(line)),
      fit,
    );
    for (const [form, lines] of open) {
      const from = free.get(form) ?? [];
      if (from.length === 0) continue;
      if (from.length > 1 || lines.length > 1 || !take(lines[0]!, from[0]!)) return undefined;
    }
  }
  return after.every((line) => line.marks.length === 0 || done.has(line)) ? meant : undefined;
}

/** Lines with placeholders, by what they have in common. */
function grouped(lines: readonly Line[], by: (line: Line) => string | undefined): Map<string, Line[]> {
  const groups = new Map<string, Line[]>();
  for (const line of lines) {
    const form = line.marks.length === 0 ? undefined : by(line);
    if (form === undefined) continue;
    const group = groups.get(form);
    if (group === undefined) groups.set(form, [line]);
    else group.push(line);
  }
  return groups;
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

const MAX_KEY = 512;
