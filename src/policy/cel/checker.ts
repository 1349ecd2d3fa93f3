import type { BindNode, CallNode, FoldNode, ListNode, MapNode, Node, SelectNode, SortByNode } from './ast.ts';
import type { FunctionDeclaration, Overload } from './declarations.ts';
import type { Scope } from './environment.ts';
import { BOOL, type CelType, DYN, ERROR, formatType, INT, listOf, mapOf, optionalOf, STRING } from './types.ts';
import { mostGeneral, Substitutions } from './unify.ts';
import type { CelTypeValue } from './values.ts';

export interface Resolution {
  readonly declaration: FunctionDeclaration;
  /** Every overload that the argument types allow: more than one only behind `dyn`. */
  readonly overloads: readonly Overload[];
}

export interface Mistake {
  readonly offset: number;
  readonly message: string;
}

export interface Checked {
  readonly types: ReadonlyMap<Node, CelType>;
  readonly calls: ReadonlyMap<Node, Resolution>;
  /** Identifiers, and selections such as `net.CIDR`, that name a type. */
  readonly constants: ReadonlyMap<Node, CelTypeValue>;
  readonly references: ReadonlySet<string>;
  readonly mistakes: Mistake[];
}

export const check = (root: Node, scope: Scope): Checked => new Checker(scope).run(root);

class Checker {
  private readonly scope: Scope;
  private readonly types = new Map<Node, CelType>();
  private readonly calls = new Map<Node, Resolution>();
  private readonly constants = new Map<Node, CelTypeValue>();
  private readonly references = new Set<string>();
  private readonly mistakes: Mistake[] = [];
  private readonly substitutions = new Substitutions();
  private readonly locals: [string, CelType][] = [];

  constructor(scope: Scope) {
    this.scope = scope;
  }

  run(root: Node): Checked {
    this.check(root);
    for (const [node, type] of this.types) this.types.set(node, this.substitutions.apply(type, true));
    const { types, calls, constants, references, mistakes } = this;
    return { types, calls, constants, references, mistakes };
  }

  private mistake(node: Node, message: string): CelType {
    this.mistakes.push({ offset: node.offset, message });
    return ERROR;
  }

  private mismatch(node: Node, expected: CelType, found: CelType): CelType {
    return this.mistake(node, `expected type '${this.show(expected)}' but found '${this.show(found)}'`);
  }

  private show(type: CelType): string {
    return formatType(this.substitutions.apply(type, true));
  }

  private check(node: Node): CelType {
    const type = this.typeOf(node);
    this.types.set(node, type);
    return type;
  }

  private typeOf(node: Node): CelType {
    switch (node.kind) {
      case 'literal':
        return node.type;
      case 'identifier':
        return this.identifier(node, node.name) ?? this.undeclared(node, node.name);
      case 'select':
        return this.select(node);
      case 'index':
        return this.resolve(node, node.optional ? '_[?_]' : '_[_]', undefined, [node.operand, node.index]);
      case 'call':
        return this.call(node);
      case 'list':
        return this.list(node);
      case 'map':
        return this.map(node);
      case 'fold':
        return this.fold(node);
      case 'bind':
        return this.bind(node);
      case 'sortBy':
        return this.sortBy(node);
    }
  }

  private undeclared(node: Node, name: string): CelType {
    return this.mistake(node, `undeclared reference to '${name}' (in container '')`);
  }

  private identifier(node: Node, name: string): CelType | undefined {
    const global = name.startsWith('.') ? name.slice(1) : name;
    if (global === name) {
      for (let i = this.locals.length - 1; i >= 0; i--) if (this.locals[i]![0] === name) return this.locals[i]![1];
    }
    const variable = this.scope.variables.get(global);
    if (variable !== undefined) {
      this.references.add(global);
      return variable;
    }
    const type = this.scope.types.get(global);
    if (type === undefined) return undefined;
    this.constants.set(node, type.value);
    return type.type;
  }

  private select(node: SelectNode): CelType {
    const qualified = node.test || node.optional ? undefined : qualifiedName(node);
    if (qualified !== undefined && this.scope.types.has(qualified)) return this.identifier(node, qualified)!;

    const operand = this.substitutions.apply(this.check(node.operand));
    const target = operand.kind === 'optional' ? operand.element : operand;
    const field = this.field(node, target);
    if (node.test) return BOOL;
    return operand.kind === 'optional' || node.optional ? optionalOf(field) : field;
  }

  private field(node: SelectNode, target: CelType): CelType {
    switch (target.kind) {
      case 'map':
        return target.value;
      case 'object':
        if (Object.hasOwn(target.fields, node.field)) return target.fields[node.field]!;
        return this.mistake(node, `undefined field '${node.field}'`);
      case 'param':
        this.substitutions.assignable(DYN, target);
        return DYN;
      case 'dyn':
      case 'error':
        return DYN;
      default:
        this.mistake(node, `type '${this.show(target)}' does not support field selection`);
        return DYN;
    }
  }

  private call(node: CallNode): CelType {
    const { target, name, args } = node;
    if (target === undefined) return this.resolve(node, name, undefined, args);
    const prefix = qualifiedName(target);
    if (prefix !== undefined && this.scope.functions.has(`${prefix}.${name}`)) {
      return this.resolve(node, `${prefix}.${name}`, undefined, args);
    }
    return this.resolve(node, name, target, args);
  }

  private resolve(node: Node, name: string, target: Node | undefined, args: readonly Node[]): CelType {
    const given = (target === undefined ? args : [target, ...args]).map((a) => this.check(a));
    const declaration = this.scope.functions.get(name);
    if (declaration === undefined) return this.undeclared(node, name);
    if (name === '_&&_' || name === '_||_') {
      let sound = true;
      given.forEach((type, i) => {
        if (this.substitutions.assignable(type, BOOL)) return;
        this.mismatch(args[i]!, BOOL, type);
        sound = false;
      });
      this.calls.set(node, { declaration, overloads: declaration.overloads });
      return sound ? BOOL : ERROR;
    }
    return this.overload(node, declaration, target !== undefined, given);
  }

  /** Tries the overloads in order; several may fit where an argument is `dyn`. */
  private overload(node: Node, declaration: FunctionDeclaration, member: boolean, given: readonly CelType[]): CelType {
    const fitting: Overload[] = [];
    let result: CelType | undefined;
    for (const candidate of declaration.overloads) {
      if (candidate.member !== member || candidate.parameters.length !== given.length) continue;
      const [type, ...parameters] = this.substitutions.instantiate([candidate.result, ...candidate.parameters]);
      if (!this.substitutions.assignableAll(given, parameters)) continue;
      fitting.push(candidate);
      const candidateResult = this.substitutions.apply(type!);
      if (result === undefined) result = candidateResult;
      else if (result.kind !== 'dyn' && formatType(candidateResult) !== formatType(result)) result = DYN;
    }
    if (result === undefined) {
      const shown = given.map((t) => this.show(t));
      const applied = member ? `${shown[0]}.(${shown.slice(1).join(', ')})` : `(${shown.join(', ')})`;
      return this.mistake(node, `found no matching overload for '${declaration.name}' applied to '${applied}'`);
    }
    this.calls.set(node, { declaration, overloads: fitting });
    return result;
  }

  /** The type of two elements; of unlike ones `dyn`, which is refused later, but for the arguments of `format`. */
  private join(previous: CelType | undefined, current: CelType): CelType {
    if (previous === undefined) return current;
    return this.substitutions.assignable(previous, current) ? mostGeneral(previous, current) : DYN;
  }

  /** The type of an element: of `?value` that of the optional's content. */
  private element(node: Node, optional: boolean): CelType {
    const type = this.check(node);
    if (!optional) return type;
    const known = this.substitutions.apply(type);
    if (known.kind === 'optional') return known.element;
    return known.kind === 'dyn' ? DYN : this.mismatch(node, optionalOf(known), known);
  }

  private list(node: ListNode): CelType {
    let element: CelType | undefined;
    for (const { value, optional } of node.elements) {
      element = this.join(element, this.element(value, optional));
    }
    return listOf(element ?? this.substitutions.newParameter());
  }

  private map(node: MapNode): CelType {
    let key: CelType | undefined;
    let value: CelType | undefined;
    for (const entry of node.entries) {
      key = this.join(key, this.check(entry.key));
      value = this.join(value, this.element(entry.value, entry.optional));
    }
    return mapOf(key ?? this.substitutions.newParameter(), value ?? this.substitutions.newParameter());
  }

  /** The types of a fold's variables: element; or index and element; or key; or key and value. */
  private variables(range: Node, names: readonly string[]): CelType[] {
    const type = this.substitutions.apply(this.check(range));
    const two = names.length === 2;
    switch (type.kind) {
      case 'list':
        return two ? [INT, type.element] : [type.element];
      case 'map':
        return two ? [type.key, type.value] : [type.key];
      case 'object':
        return two ? [STRING, DYN] : [STRING];
      case 'dyn':
      case 'error':
      case 'param':
        this.substitutions.assignable(DYN, type);
        return two ? [DYN, DYN] : [DYN];
      default:
        this.mistake(
          range,
          `expression of type '${this.show(type)}' cannot be range of a comprehension (must be list, map, or dynamic)`,
        );
        return two ? [ERROR, ERROR] : [ERROR];
    }
  }

  private within<T>(names: readonly string[], types: readonly CelType[], body: () => T): T {
    names.forEach((name, i) => {
      this.locals.push([name, types[i]!]);
    });
    const result = body();
    this.locals.length -= names.length;
    return result;
  }

  private fold(node: FoldNode): CelType {
    const types = this.variables(node.range, node.names);
    return this.within(node.names, types, () => {
      if (node.condition !== undefined) {
        const condition = this.check(node.condition);
        if (!this.substitutions.assignable(condition, BOOL)) this.mismatch(node.condition, BOOL, condition);
      }
      if (node.macro === 'filter') return listOf(types[0]!);
      if (node.transform === undefined) return BOOL;
      const transform = this.check(node.transform);
      if (node.macro === 'transformMap') return mapOf(types[0]!, transform);
      if (node.macro !== 'transformMapEntry') return listOf(transform);
      const entry = mapOf(this.substitutions.newParameter(), this.substitutions.newParameter());
      if (this.substitutions.assignable(transform, entry)) return this.substitutions.apply(entry);
      return this.mismatch(node.transform, entry, transform);
    });
  }

  private bind(node: BindNode): CelType {
    const target = this.check(node.target);
    const optional = optionalOf(this.substitutions.newParameter());
    if (!this.substitutions.assignable(target, optional)) {
      const shown = `${this.show(target)}.()`;
      return this.mistake(node, `found no matching overload for 'hasValue' applied to '${shown}'`);
    }
    const known = this.substitutions.apply(optional);
    const value = known.kind === 'optional' ? known.element : DYN;
    return this.within([node.name], [value], () => {
      const body = this.check(node.body);
      if (node.macro === 'optMap') return optionalOf(body);
      // As of `target.hasValue() ? body : optional.none()`: behind `dyn` the result is `dyn`.
      const none = optionalOf(this.substitutions.newParameter());
      const both = this.substitutions.newParameter();
      if (this.substitutions.assignableAll([body, none], [both, both])) return this.substitutions.apply(both);
      const shown = `(bool, ${this.show(body)}, ${this.show(none)})`;
      return this.mistake(node, `found no matching overload for '_?_:_' applied to '${shown}'`);
    });
  }

  private sortBy(node: SortByNode): CelType {
    const types = this.variables(node.target, [node.name]);
    const key = this.within([node.name], types, () => this.check(node.key));
    const list = this.types.get(node.target)!;
    return this.overload(node, this.scope.functions.get('@sortByAssociatedKeys')!, true, [list, listOf(key)]);
  }
}

/** `a.b.c` as one name, where it is nothing but names. */
function qualifiedName(node: Node): string | undefined {
  const parts: string[] = [];
  let at = node;
  while (at.kind === 'select' && !at.test && !at.optional) {
    parts.push(at.field);
    at = at.operand;
  }
  return at.kind === 'identifier' ? [at.name, ...parts.reverse()].join('.') : undefined;
}
