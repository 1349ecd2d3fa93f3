import type { CelType } from './types.ts';
import type { CelValue } from './values.ts';

/**
 * The syntax tree. Operators are calls under CEL's own names (`_+_`, `!_`, `_?_:_`, `@in`); macros are nodes of their
 * own, not expanded into folds over accumulators: the meaning and the counted cost are those of the expansion, but
 * `filter` need not copy its list once per element.
 *
 * `offset` is where an error about the node is reported: an operator, an opening parenthesis or bracket, a dot.
 */
export type Node =
  | LiteralNode
  | IdentifierNode
  | SelectNode
  | IndexNode
  | CallNode
  | ListNode
  | MapNode
  | FoldNode
  | BindNode
  | SortByNode;

interface Base {
  readonly offset: number;
}

export interface LiteralNode extends Base {
  readonly kind: 'literal';
  readonly value: CelValue;
  readonly type: CelType;
}

export interface IdentifierNode extends Base {
  readonly kind: 'identifier';
  readonly name: string;
}

export interface SelectNode extends Base {
  readonly kind: 'select';
  readonly operand: Node;
  readonly field: string;
  /** `has(operand.field)` */
  readonly test: boolean;
  /** `operand.?field` */
  readonly optional: boolean;
}

export interface IndexNode extends Base {
  readonly kind: 'index';
  readonly operand: Node;
  readonly index: Node;
  /** `operand[?index]` */
  readonly optional: boolean;
}

export interface CallNode extends Base {
  readonly kind: 'call';
  readonly name: string;
  readonly target: Node | undefined;
  readonly args: readonly Node[];
}

export interface ListNode extends Base {
  readonly kind: 'list';
  readonly elements: readonly { readonly value: Node; readonly optional: boolean }[];
}

export interface MapNode extends Base {
  readonly kind: 'map';
  readonly entries: readonly { readonly key: Node; readonly value: Node; readonly optional: boolean }[];
}

export type FoldMacro =
  | 'all'
  | 'exists'
  | 'exists_one'
  | 'map'
  | 'filter'
  | 'transformList'
  | 'transformMap'
  | 'transformMapEntry';

/** A macro that walks a list or a map. */
export interface FoldNode extends Base {
  readonly kind: 'fold';
  readonly macro: FoldMacro;
  readonly range: Node;
  /** One name: the element, or the key. Two: index and element, or key and value. */
  readonly names: readonly string[];
  /** The condition; for maps and transforms the optional filter. */
  readonly condition: Node | undefined;
  readonly transform: Node | undefined;
}

/** `target.optMap(name, body)` and `optFlatMap`. */
export interface BindNode extends Base {
  readonly kind: 'bind';
  readonly macro: 'optMap' | 'optFlatMap';
  readonly target: Node;
  readonly name: string;
  readonly body: Node;
}

export interface SortByNode extends Base {
  readonly kind: 'sortBy';
  readonly target: Node;
  readonly name: string;
  readonly key: Node;
}

export function children(node: Node): readonly Node[] {
  switch (node.kind) {
    case 'literal':
    case 'identifier':
      return [];
    case 'select':
      return [node.operand];
    case 'index':
      return [node.operand, node.index];
    case 'call':
      return node.target === undefined ? node.args : [node.target, ...node.args];
    case 'list':
      return node.elements.map((e) => e.value);
    case 'map':
      return node.entries.flatMap((e) => [e.key, e.value]);
    case 'fold':
      return [node.range, node.condition, node.transform].filter((n) => n !== undefined);
    case 'bind':
      return [node.target, node.body];
    case 'sortBy':
      return [node.target, node.key];
  }
}
