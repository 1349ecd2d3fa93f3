import { type CallNode, children, type ListNode, type MapNode, type Node } from './ast.ts';
import type { CelCompileError } from './errors.ts';
import { type Token, tokenize } from './lexer.ts';
import { bytesLiteral, doubleLiteral, intLiteral, LiteralError, stringLiteral, uintLiteral } from './literals.ts';
import { expandGlobal, expandMember, MacroError } from './macros.ts';
import { SOURCE_LIMITS, type Source } from './source.ts';
import { BOOL, BYTES, type CelType, DOUBLE, INT, NULL, STRING, UINT } from './types.ts';
import type { CelValue } from './values.ts';

/** Words that the grammar takes for identifiers but keeps for other languages. */
const RESERVED = new Set(
  'as break const continue else for function if import let loop package namespace return var void while'.split(' '),
);
const RELATIONS = new Set(['<', '<=', '>', '>=', '==', '!=', 'in']);

/** Parses an expression. @throws CelCompileError at the first mistake: what follows one is guesswork. */
export const parse = (source: Source): Node => new Parser(source).parse();

class Parser {
  private readonly source: Source;
  private readonly tokens: readonly Token[];
  private at = 0;
  private nesting = 0;
  private nodes = 0;

  constructor(source: Source) {
    this.source = source;
    this.tokens = tokenize(source);
  }

  parse(): Node {
    const node = this.expression();
    if (this.token.kind !== 'end') throw this.unexpected('<EOF>');
    this.checkHeight(node);
    return node;
  }

  private get token(): Token {
    return this.tokens[this.at]!;
  }

  private is(symbol: string): boolean {
    return this.token.kind === 'symbol' && this.token.text === symbol;
  }

  private take(symbol: string): Token | undefined {
    return this.is(symbol) ? this.tokens[this.at++] : undefined;
  }

  private expect(symbol: string): Token {
    const token = this.take(symbol);
    if (token === undefined) throw this.unexpected(`'${symbol}'`);
    return token;
  }

  private unexpected(expected: string): CelCompileError {
    const { text, offset } = this.token;
    return this.source.error(offset, `Syntax error: mismatched input '${text}' expecting ${expected}`);
  }

  private made<T extends Node>(node: T): T {
    if (++this.nodes > SOURCE_LIMITS.nodes) throw this.source.error(node.offset, 'expression has too many parts');
    return node;
  }

  private call(name: string, args: Node[], offset: number, target?: Node): CallNode {
    return this.made({ kind: 'call', name, target, args, offset });
  }

  private literal(value: CelValue, type: CelType, offset: number): Node {
    return this.made({ kind: 'literal', value, type, offset });
  }

  private expression(): Node {
    if (++this.nesting > SOURCE_LIMITS.nesting) {
      throw this.source.error(this.token.offset, `expression recursion limit exceeded: ${SOURCE_LIMITS.nesting}`);
    }
    const condition = this.logical('||', '_||_', () => this.logical('&&', '_&&_', () => this.relation()));
    const question = this.take('?');
    let node = condition;
    if (question !== undefined) {
      const whenTrue = this.logical('||', '_||_', () => this.logical('&&', '_&&_', () => this.relation()));
      this.expect(':');
      node = this.call('_?_:_', [condition, whenTrue, this.expression()], question.offset);
    }
    this.nesting--;
    return node;
  }

  /** A run of one operator is one call with many arguments: 150 alternatives are not 150 levels. */
  private logical(symbol: string, name: string, operand: () => Node): Node {
    const first = operand();
    if (!this.is(symbol)) return first;
    const { offset } = this.token;
    const args = [first];
    while (this.take(symbol)) args.push(operand());
    return this.call(name, args, offset);
  }

  private relation(): Node {
    let left = this.sum();
    while (this.token.kind === 'symbol' && RELATIONS.has(this.token.text)) {
      const { text, offset } = this.tokens[this.at++]!;
      left = this.call(text === 'in' ? '@in' : `_${text}_`, [left, this.sum()], offset);
    }
    return left;
  }

  private sum(): Node {
    let left = this.product();
    while (this.is('+') || this.is('-')) {
      const { text, offset } = this.tokens[this.at++]!;
      left = this.call(`_${text}_`, [left, this.product()], offset);
    }
    return left;
  }

  private product(): Node {
    let left = this.unary();
    while (this.is('*') || this.is('/') || this.is('%')) {
      const { text, offset } = this.tokens[this.at++]!;
      left = this.call(`_${text}_`, [left, this.unary()], offset);
    }
    return left;
  }

  private unary(): Node {
    const { text, offset } = this.token;
    if (this.is('!') || this.is('-')) {
      const next = this.tokens[this.at + 1]!;
      // A sign before a number is part of the number: `-9223372036854775808` is one, and `-1.5.size()` its method.
      if (text === '!' || (next.kind !== 'int' && next.kind !== 'double')) {
        let count = 0;
        while (this.take(text)) count++;
        const operand = this.member();
        return count % 2 === 0 ? operand : this.call(`${text}_`, [operand], offset);
      }
    }
    return this.member();
  }

  private member(): Node {
    let node = this.primary();
    for (;;) {
      const dot = this.take('.');
      if (dot !== undefined) {
        node = this.selection(node, dot.offset);
        continue;
      }
      const bracket = this.take('[');
      if (bracket === undefined) return node;
      const optional = this.take('?') !== undefined;
      const index = this.expression();
      this.expect(']');
      node = this.made({ kind: 'index', operand: node, index, optional, offset: bracket.offset });
    }
  }

  private selection(operand: Node, offset: number): Node {
    const optional = this.take('?') !== undefined;
    const { kind, text } = this.token;
    if (kind !== 'identifier' && kind !== 'quotedField') {
      throw this.source.error(this.token.offset, `Syntax error: no viable alternative at input '.${this.token.text}'`);
    }
    this.at++;
    const field = kind === 'quotedField' ? text.slice(1, -1) : text;
    if (!optional && kind === 'identifier' && this.is('(')) {
      const open = this.token.offset;
      const args = this.args();
      return this.expanded(() => expandMember(field, operand, args, open)) ?? this.call(field, args, open, operand);
    }
    return this.made({ kind: 'select', operand, field, test: false, optional, offset });
  }

  private args(): Node[] {
    this.expect('(');
    const args: Node[] = [];
    if (this.take(')')) return args;
    do args.push(this.expression());
    while (this.take(','));
    this.expect(')');
    return args;
  }

  private expanded(expand: () => Node | undefined): Node | undefined {
    try {
      const node = expand();
      return node && this.made(node);
    } catch (error) {
      if (error instanceof MacroError) throw this.source.error(error.node.offset, error.message);
      throw error;
    }
  }

  private primary(): Node {
    const token = this.token;
    const { kind, text, offset } = token;
    if (kind === 'identifier') return this.identifier('');
    if (kind !== 'symbol') return this.value(token);
    this.at++;
    switch (text) {
      case '.':
        if (this.token.kind !== 'identifier') throw this.unexpected('IDENTIFIER');
        return this.identifier('.');
      case '(': {
        const node = this.expression();
        this.expect(')');
        return node;
      }
      case '[':
        return this.list(offset);
      case '{':
        return this.map(offset);
      case '-':
        return this.value(this.token, true);
      case 'true':
      case 'false':
        return this.literal(text === 'true', BOOL, offset);
      case 'null':
        return this.literal(null, NULL, offset);
      default:
        this.at--;
        throw this.unexpected('an expression');
    }
  }

  private identifier(prefix: '' | '.'): Node {
    const { text, offset } = this.tokens[this.at++]!;
    if (RESERVED.has(text)) throw this.source.error(offset, `reserved identifier: ${text}`);
    if (!this.is('(')) return this.made({ kind: 'identifier', name: prefix + text, offset });
    const open = this.token.offset;
    const args = this.args();
    return this.expanded(() => expandGlobal(text, args, open)) ?? this.call(text, args, open);
  }

  private value({ kind, text, offset }: Token, negative = false): Node {
    const start = negative ? this.tokens[this.at - 1]!.offset : offset;
    try {
      switch (kind) {
        case 'int':
          this.at++;
          return this.literal(intLiteral(text, negative), INT, start);
        case 'double':
          this.at++;
          return this.literal(doubleLiteral(text, negative), DOUBLE, start);
        case 'uint':
          this.at++;
          return this.literal(uintLiteral(text), UINT, start);
        case 'string':
          this.at++;
          return this.literal(stringLiteral(text), STRING, start);
        case 'bytes':
          this.at++;
          return this.literal(bytesLiteral(text), BYTES, start);
        default:
          throw this.unexpected('an expression');
      }
    } catch (error) {
      if (error instanceof LiteralError) throw this.source.error(start, error.message);
      throw error;
    }
  }

  private list(offset: number): ListNode {
    const elements: ListNode['elements'][number][] = [];
    while (!this.is(']') && !(this.is(',') && elements.length === 0)) {
      const optional = this.take('?') !== undefined;
      elements.push({ value: this.expression(), optional });
      if (!this.is(',')) break;
      this.at++;
    }
    if (elements.length === 0) this.take(',');
    this.expect(']');
    return this.made({ kind: 'list', elements, offset });
  }

  private map(offset: number): MapNode {
    const entries: MapNode['entries'][number][] = [];
    while (!this.is('}') && !(this.is(',') && entries.length === 0)) {
      const optional = this.take('?') !== undefined;
      const key = this.expression();
      this.expect(':');
      entries.push({ key, value: this.expression(), optional });
      if (!this.is(',')) break;
      this.at++;
    }
    if (entries.length === 0) this.take(',');
    this.expect('}');
    return this.made({ kind: 'map', entries, offset });
  }

  /** The checker and the compiler walk the tree by recursion, so its height is bounded, here, without recursion. */
  private checkHeight(root: Node): void {
    let level: Node[] = [root];
    for (let height = 0; level.length > 0; height++) {
      if (height > SOURCE_LIMITS.height) {
        throw this.source.error(level[0]!.offset, `expression is deeper than ${SOURCE_LIMITS.height}`);
      }
      level = level.flatMap((node) => children(node));
    }
  }
}
