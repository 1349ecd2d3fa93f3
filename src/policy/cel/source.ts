import { CelCompileError, type Position } from './errors.ts';

/** Bounds on what is compiled at all. Over them an expression is refused, so that none can exhaust stack or memory. */
export const SOURCE_LIMITS = {
  /** Code points, as Kubernetes' parser bounds them (the CRD bounds a policy's expressions further). */
  codePoints: 100_000,
  /** Brackets, calls and ternaries inside one another, as Kubernetes' parser bounds them. */
  nesting: 250,
  /** Height of the syntax tree: a chain such as `a + b + …` is as high as it is long. */
  height: 1_000,
  nodes: 50_000,
} as const;

/** Text of an expression, and where in it an offset lies. Offsets are UTF-16 units; people count code points. */
export class Source {
  readonly text: string;

  constructor(text: string) {
    this.text = text;
    let codePoints = 0;
    // Counted only where it could matter: no string has more code points than units.
    if (text.length > SOURCE_LIMITS.codePoints) for (const _ of text) codePoints++;
    if (codePoints > SOURCE_LIMITS.codePoints) {
      const message = `expression code point size exceeds limit: size: ${codePoints}, limit ${SOURCE_LIMITS.codePoints}`;
      throw new CelCompileError([{ message, line: 1, column: 1 }]);
    }
  }

  position(offset: number): Position {
    const start = this.text.lastIndexOf('\n', offset - 1) + 1;
    const line = this.text.slice(0, start).split('\n').length;
    let column = 1;
    for (const _ of this.text.slice(offset === 0 ? 0 : start, offset)) column++;
    return { line, column };
  }

  error(offset: number, message: string): CelCompileError {
    return new CelCompileError([{ message, ...this.position(offset) }]);
  }
}
