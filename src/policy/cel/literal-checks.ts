import { type CallNode, children, type ListNode, type MapNode, type Node } from './ast.ts';
import type { Checked, Mistake } from './checker.ts';
import { parseDuration } from './duration.ts';
import { CLAUSE_TYPES, type Clause, parseFormat } from './library/text-format.ts';
import { Pattern } from './pattern.ts';
import { FormatError } from './text-format.ts';
import { CelTimestamp, parseTimestamp } from './timestamp.ts';
import { type CelType, formatType } from './types.ts';

/** What Kubernetes checks of literals beyond types: dates, durations, patterns, formats, and that lists are of one type. */
export function checkLiterals(root: Node, checked: Checked): Mistake[] {
  const mistakes: Mistake[] = [];
  const report = (node: Node, message: string): void => {
    mistakes.push({ offset: node.offset, message });
  };
  const typeOf = (node: Node): CelType => checked.types.get(node)!;
  const pending: { node: Node; inFormat: boolean }[] = [{ node: root, inFormat: false }];
  for (let item = pending.pop(); item !== undefined; item = pending.pop()) {
    const { node } = item;
    const inFormat = item.inFormat || (node.kind === 'call' && node.name === 'format');
    if (node.kind === 'call') {
      checkArgument(node, report);
      if (node.name === 'format') checkFormat(node, typeOf, report);
    } else if (!inFormat && node.kind === 'list') checkList(node, typeOf, report);
    else if (!inFormat && node.kind === 'map') checkMap(node, typeOf, report);
    for (const child of children(node)) pending.push({ node: child, inFormat });
  }
  return mistakes;
}

type Report = (node: Node, message: string) => void;

function checkArgument({ name, args }: CallNode, report: Report): void {
  const argument = args[0];
  if (argument?.kind !== 'literal') return;
  const { value } = argument;
  let valid = true;
  if (name === 'duration' && typeof value === 'string') valid = parseDuration(value) !== undefined;
  else if (name === 'timestamp') {
    if (typeof value === 'string') valid = parseTimestamp(value) !== undefined;
    else if (typeof value === 'number') valid = CelTimestamp.of(value) !== undefined;
    else valid = typeof value !== 'bigint';
  } else if (name === 'matches' && typeof value === 'string') valid = isPattern(value);
  if (!valid) report(argument, `invalid ${name} argument`);
}

function isPattern(source: string): boolean {
  try {
    new Pattern(source);
    return true;
  } catch {
    return false;
  }
}

function checkList(node: ListNode, typeOf: (n: Node) => CelType, report: Report): void {
  let first: CelType | undefined;
  for (const { value, optional } of node.elements) {
    const type = content(typeOf(value), optional);
    first ??= type;
    if (formatType(first) !== formatType(type)) {
      report(value, `expected type '${formatType(first)}' but found '${formatType(type)}'`);
      return;
    }
  }
}

function checkMap(node: MapNode, typeOf: (n: Node) => CelType, report: Report): void {
  let first: readonly [CelType, CelType] | undefined;
  for (const { key, value, optional } of node.entries) {
    const types = [typeOf(key), content(typeOf(value), optional)] as const;
    first ??= types;
    for (const [i, part] of [key, value].entries()) {
      const [expected, found] = [formatType(first[i]!), formatType(types[i]!)];
      if (expected !== found) report(part, `expected type '${expected}' but found '${found}'`);
    }
  }
}

const content = (type: CelType, optional: boolean): CelType =>
  optional && type.kind === 'optional' ? type.element : type;

function checkFormat(node: CallNode, typeOf: (n: Node) => CelType, report: Report): void {
  const [argument] = node.args;
  if (node.target?.kind !== 'literal' || typeof node.target.value !== 'string' || argument?.kind !== 'list') return;
  const values = argument.elements.map((e) => e.value);
  let used = 0;
  try {
    for (const piece of parseFormat(node.target.value, values.length)) {
      if (typeof piece === 'string') continue;
      const value = values[used++]!;
      const bad = misfit(piece.clause, value, typeOf);
      if (bad === undefined) continue;
      const given = typeOf(bad).kind === 'opaque' ? formatType(typeOf(bad)) : typeOf(bad).kind;
      report(bad, `error during formatting: ${CLAUSE_TYPES[piece.clause].complaint}, was given ${given}`);
      return;
    }
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    report(node, error.message);
    return;
  }
  if (values.length > used) {
    report(node, `too many arguments supplied to string.format (expected ${used}, got ${values.length})`);
  }
}

/** The part of a value that its clause cannot print. */
function misfit(clause: Clause, node: Node, typeOf: (n: Node) => CelType): Node | undefined {
  const { kind } = typeOf(node);
  if (kind !== 'dyn' && !CLAUSE_TYPES[clause].kinds.includes(kind)) return node;
  if (clause !== 's' || (node.kind !== 'list' && node.kind !== 'map')) return undefined;
  for (const child of children(node)) {
    const bad = misfit(clause, child, typeOf);
    if (bad !== undefined) return bad;
  }
  return undefined;
}
