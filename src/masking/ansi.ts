import type { Plain } from './plain.ts';

// ECMA-48 control sequences, operating system commands (ended by BEL or ST), two-character escapes. Each repetition is
// bounded: an unfinished command cannot swallow a log.
const SEQUENCE =
  /\x1b(?:\[[0-?]{0,64}[ -/]{0,8}[@-~]|\][^\x07\x1b]{0,512}(?:\x07|\x1b\\)|[@-Z\\-_])|\\{1,8}(?:u001[bB]|x1[bB]|033)\[[0-9;]{0,32}[A-Za-z]/g;

/** Raw, or written out in a string of JSON or of a shell. */
const holdsSequence = (raw: string): boolean => raw.includes('\x1b') || WRITTEN_OUT.test(raw);
const WRITTEN_OUT = /\\(?:u001[bB]|x1[bB]|033)\[/;

export function withoutAnsi(raw: string): Plain {
  if (!holdsSequence(raw)) return { text: raw, origin: (at) => at };
  const starts: number[] = [0];
  const shifts: number[] = [0];
  let text = '';
  let from = 0;
  for (const { 0: sequence, index } of raw.matchAll(SEQUENCE)) {
    text += raw.slice(from, index);
    from = index + sequence.length;
    starts.push(text.length);
    shifts.push(from - text.length);
  }
  text += raw.slice(from);
  return {
    text,
    origin: (at) => {
      let low = 0;
      let high = starts.length - 1;
      while (low < high) {
        const middle = (low + high + 1) >> 1;
        if (starts[middle]! <= at) low = middle;
        else high = middle - 1;
      }
      return at + shifts[low]!;
    },
  };
}

/** The sequences in a range that is masked: they go on behind the placeholder, so that colours end where they did. */
export function sequencesIn(raw: string): string {
  return holdsSequence(raw) ? (raw.match(SEQUENCE) ?? []).join('') : '';
}
