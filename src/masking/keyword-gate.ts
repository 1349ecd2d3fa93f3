import { NEAR } from './json-cursor.ts';
import { KeywordAutomaton } from './keyword-automaton.ts';
import type { KeywordCheck } from './keyword-check.ts';
import { keywordPass } from './keyword-pass.ts';
import { PIECE } from './keyword-pass-memory.ts';

/** No column: an automaton with so many is refused. */
const STOP = 255;

/** Keywords, and what must hold around each for it to count. What the gate does not find, no expression is tried on. */
export class KeywordGate {
  readonly automaton: KeywordAutomaton;
  private readonly classes: Uint8Array;
  private readonly table: Int32Array | Uint16Array;
  private readonly accepting: number;
  /** As `classes`, but for what ends a string of JSON, or its being plain. */
  private readonly inString: Uint8Array;
  private readonly checks: readonly (KeywordCheck | undefined)[];

  /** @param keywords their letters match in either case, `0` stands for any digit */
  constructor(keywords: readonly string[] | KeywordAutomaton, checks: readonly (KeywordCheck | undefined)[] = []) {
    this.automaton = keywords instanceof KeywordAutomaton ? keywords : new KeywordAutomaton(keywords);
    this.checks = checks;
    ({ classes: this.classes, table: this.table, accepting: this.accepting } = this.automaton);
    this.inString = this.classes.slice().fill(STOP, 0, 0x20);
    this.inString[0x22] = STOP;
    this.inString[0x5c] = STOP;
  }

  /** The same keywords with other checks. */
  with(checks: readonly (KeywordCheck | undefined)[]): KeywordGate {
    return new KeywordGate(this.automaton, checks);
  }

  checkOf(keyword: number): KeywordCheck | undefined {
    return this.checks[keyword];
  }

  /** Whether any keyword is in the range that its check lets pass. */
  touches(bytes: Uint8Array, start: number, end: number): boolean {
    const { classes, table, accepting } = this;
    let state = 0;
    for (let i = start; i < end; i++) {
      state = table[state + classes[bytes[i]!]!]!;
      if (state >= accepting && this.passes(state, bytes, i, start, end)) return true;
    }
    return false;
  }

  /**
   * The quote that ends a short string of JSON whose content begins at `start`, if no keyword is in it that its check lets pass; -1
   * where there is one, an escape or a control character, or no quote is near: then it is to be read. What both take is one pass.
   */
  quietEnd(bytes: Uint8Array, start: number, end: number): number {
    const { inString, table, accepting } = this;
    const near = start + NEAR < end ? start + NEAR : end;
    let state = 0;
    let met = false;
    for (let i = start; i < near; i++) {
      const column = inString[bytes[i]!]!;
      if (column === STOP) return bytes[i] !== 0x22 || (met && this.touches(bytes, start, i)) ? -1 : i;
      state = table[state + column]!;
      // What its check says depends on where the string ends.
      if (state >= accepting) met = true;
    }
    return -1;
  }

  /** Whether a check lets any of the keywords pass that end in this state at this byte, and begin at `start` or behind it. */
  passes(state: number, bytes: Uint8Array, last: number, start: number, end: number): boolean {
    const { automaton, checks } = this;
    for (const keyword of automaton.endingIn(state)) {
      const at = last + 1 - automaton.lengths[keyword]!;
      const check = checks[keyword];
      if (at >= start && (check === undefined || check(bytes, at, start, end))) return true;
    }
    return false;
  }

  /** Tells every keyword whose check lets it pass with the offset of its first byte, in the order of their ends. */
  each(bytes: Uint8Array, start: number, end: number, found: (keyword: number, at: number) => void): void {
    const { automaton, checks } = this;
    for (let from = start; from < end; from += PIECE) {
      const ends = keywordPass(automaton, bytes, start, from, Math.min(end, from + PIECE));
      for (let i = 0; i < ends.length; i += 2) {
        for (const keyword of automaton.endingIn(ends[i + 1]!)) {
          const at = ends[i]! + 1 - automaton.lengths[keyword]!;
          const check = checks[keyword];
          if (at >= start && (check === undefined || check(bytes, at, start, end))) found(keyword, at);
        }
      }
    }
  }
}
