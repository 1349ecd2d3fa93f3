import type { FoldMacro, Node } from './ast.ts';

/** Why a macro's arguments have the wrong form, and at which node. */
export class MacroError extends Error {
  readonly node: Node;
  constructor(node: Node, message: string) {
    super(message);
    this.node = node;
  }
}

const name = (node: Node, message: string): string => {
  if (node.kind !== 'identifier') throw new MacroError(node, message);
  if (node.name === '__result__') throw new MacroError(node, 'iteration variable overwrites accumulator variable');
  return node.name;
};

const SIMPLE_NAME = 'argument must be a simple name';
const IDENTIFIER = 'argument is not an identifier';

const TWO_VARIABLE: Readonly<Record<string, { readonly macro: FoldMacro; readonly sizes: readonly number[] }>> = {
  all: { macro: 'all', sizes: [3] },
  exists: { macro: 'exists', sizes: [3] },
  existsOne: { macro: 'exists_one', sizes: [3] },
  exists_one: { macro: 'exists_one', sizes: [3] },
  transformList: { macro: 'transformList', sizes: [3, 4] },
  transformMap: { macro: 'transformMap', sizes: [3, 4] },
  transformMapEntry: { macro: 'transformMapEntry', sizes: [3, 4] },
};

/** Expands `has(…)`. Undefined: an ordinary call. */
export function expandGlobal(callee: string, args: readonly Node[], offset: number): Node | undefined {
  if (callee !== 'has' || args.length !== 1) return undefined;
  const argument = args[0]!;
  if (argument.kind !== 'select' || argument.optional || argument.test) {
    throw new MacroError(argument, 'invalid argument to has() macro');
  }
  return { ...argument, test: true, offset };
}

/** Expands the macros of the receiver style. Undefined: an ordinary method call, perhaps of a function that is not there. */
export function expandMember(callee: string, target: Node, args: readonly Node[], offset: number): Node | undefined {
  const [first, second, third, fourth] = args;
  if (first === undefined || second === undefined) return undefined;
  if (args.length === 2) {
    switch (callee) {
      case 'all':
      case 'exists':
      case 'exists_one':
        return fold(callee, target, [name(first, SIMPLE_NAME)], second, undefined, offset);
      case 'filter':
        return fold('filter', target, [name(first, IDENTIFIER)], second, undefined, offset);
      case 'map':
        return fold('map', target, [name(first, IDENTIFIER)], undefined, second, offset);
      case 'sortBy':
        if (target.kind === 'literal' || target.kind === 'map') {
          const accepted = 'a list, identifier, comprehension, call or select expression';
          throw new MacroError(target, `sortBy can only be applied to ${accepted}`);
        }
        return { kind: 'sortBy', target, name: name(first, IDENTIFIER), key: second, offset };
      case 'optMap':
      case 'optFlatMap': {
        const variable = name(first, `${callee}() variable name must be a simple identifier`);
        return { kind: 'bind', macro: callee, target, name: variable, body: second, offset };
      }
      default:
        return undefined;
    }
  }
  if (third === undefined) return undefined;
  if (callee === 'map' && args.length === 3) {
    return fold('map', target, [name(first, IDENTIFIER)], second, third, offset);
  }
  const two = Object.hasOwn(TWO_VARIABLE, callee) ? TWO_VARIABLE[callee] : undefined;
  if (two === undefined || !two.sizes.includes(args.length)) return undefined;
  const names = [name(first, SIMPLE_NAME), name(second, SIMPLE_NAME)];
  if (names[0] === names[1]) throw new MacroError(second, `duplicate variable name: ${names[0]}`);
  if (!two.macro.startsWith('transform')) return fold(two.macro, target, names, third, undefined, offset);
  return fourth === undefined
    ? fold(two.macro, target, names, undefined, third, offset)
    : fold(two.macro, target, names, third, fourth, offset);
}

function fold(
  macro: FoldMacro,
  range: Node,
  names: readonly string[],
  condition: Node | undefined,
  transform: Node | undefined,
  offset: number,
): Node {
  return { kind: 'fold', macro, range, names, condition, transform, offset };
}
