import { RE2JS, RE2JSException } from 're2js';
import type { Budget } from './budget.ts';
import { CelBudgetError } from './errors.ts';

/** Nanoseconds that a step of fuel stands for. */
const STEP = 100;
/** Cost of one unit of text to the automaton that only says yes or no, and to the one that says where. */
const TEST = { base: 25, perInstruction: 0.7 };
const FIND = { base: 200, perInstruction: 40 };
const MAX_PATTERN = 10_000;

/** An RE2 expression: linear in the text, whatever the pattern. */
export class Pattern {
  private readonly compiled: RE2JS;
  private readonly size: number;

  /** @throws Error why the pattern is none */
  constructor(source: string) {
    if (source.length > MAX_PATTERN) throw new Error('error parsing regexp: expression too large');
    try {
      this.compiled = RE2JS.compile(source);
    } catch (error) {
      if (error instanceof RE2JSException) throw new Error(error.message, { cause: error });
      throw error;
    }
    this.size = this.compiled.programSize();
  }

  test(text: string, budget: Budget): boolean {
    this.reserve(text.length, TEST, budget);
    return this.compiled.test(text);
  }

  find(text: string, budget: Budget): string {
    this.reserve(text.length, FIND, budget);
    const matcher = this.compiled.matcher(text);
    return matcher.find() ? (matcher.group() ?? '') : '';
  }

  /** All matches that do not overlap, at most `limit` of them if that is not negative. */
  findAll(text: string, limit: number, budget: Budget): string[] {
    const found: string[] = [];
    const matcher = this.compiled.matcher(text);
    let from = 0;
    while (found.length !== limit) {
      // Every search may read to the end of the text, so every search is reserved.
      this.reserve(text.length - from, FIND, budget);
      if (!matcher.find()) break;
      // An empty match right behind the last one is none.
      if (matcher.end() > matcher.start() || matcher.start() !== from || found.length === 0)
        found.push(matcher.group() ?? '');
      from = matcher.end();
    }
    return found;
  }

  /** A match cannot be interrupted: it is begun only if, at its worst, it ends in time. */
  private reserve(length: number, cost: { base: number; perInstruction: number }, budget: Budget): void {
    const nanoseconds = length * (cost.base + cost.perInstruction * this.size);
    budget.burn(1 + Math.ceil(nanoseconds / STEP / 4));
    if (nanoseconds > 1e6 && nanoseconds / 1e6 > budget.millisecondsLeft) {
      throw new CelBudgetError('time', `operation cancelled: a text of ${length} characters against a pattern`);
    }
  }
}

/** Patterns that are not literals, compiled lately. Few: a policy has few, and a hostile object must not fill memory. */
const MAX_RECENT = 64;
const recent = new Map<string, Pattern>();
/** Compiling such a pattern takes some ten milliseconds, and cannot be interrupted. */
const MAX_LATE = 2_000;

/** About how large a pattern is once its repetitions are written out. */
function repeats(source: string): number {
  let size = source.length;
  if (size > MAX_LATE) return size;
  for (const [, least, most] of source.matchAll(/\{([0-9]+)(?:,([0-9]*))?\}/g)) size += Number(most || least);
  return size;
}

/** @throws Error why the pattern is none */
export function patternOf(source: string, budget: Budget): Pattern {
  const known = recent.get(source);
  if (known !== undefined) {
    recent.delete(source);
    recent.set(source, known);
    return known;
  }
  const weight = repeats(source);
  budget.burn(64 + weight * 64);
  if (weight > MAX_LATE) throw new CelBudgetError('time', 'operation cancelled: a pattern too large to compile now');
  const made = new Pattern(source);
  recent.set(source, made);
  if (recent.size > MAX_RECENT) recent.delete(recent.keys().next().value!);
  return made;
}
