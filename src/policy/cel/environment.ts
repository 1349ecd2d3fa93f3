import { type AnyImplementation, declare, type FunctionDeclaration, merge, type Overload } from './declarations.ts';
import type { CustomFunction, Environment } from './engine.ts';
import { cidr } from './library/cidr.ts';
import { conversions } from './library/conversions.ts';
import { format } from './library/format.ts';
import { ip } from './library/ip.ts';
import { lists } from './library/lists.ts';
import { optional } from './library/optional.ts';
import { quantity } from './library/quantity.ts';
import { regex } from './library/regex.ts';
import { semver } from './library/semver.ts';
import { sets } from './library/sets.ts';
import { standard } from './library/standard.ts';
import { strings } from './library/strings.ts';
import { textFormat } from './library/text-format.ts';
import { time } from './library/time.ts';
import { url } from './library/url.ts';
import * as t from './types.ts';
import { CelTypeValue, caught } from './values.ts';

/** Everything an expression may name. */
export interface Scope {
  readonly variables: ReadonlyMap<string, t.CelType>;
  readonly types: ReadonlyMap<string, { readonly type: t.CelType; readonly value: CelTypeValue }>;
  readonly functions: ReadonlyMap<string, FunctionDeclaration>;
}

const TYPES: Readonly<Record<string, t.CelType>> = {
  bool: t.BOOL,
  bytes: t.BYTES,
  double: t.DOUBLE,
  int: t.INT,
  uint: t.UINT,
  string: t.STRING,
  list: t.listOf(t.DYN),
  map: t.mapOf(t.DYN, t.DYN),
  null_type: t.NULL,
  type: t.typeOf(t.DYN),
  optional_type: t.optionalOf(t.DYN),
  'google.protobuf.Timestamp': t.TIMESTAMP,
  'google.protobuf.Duration': t.DURATION,
  'net.IP': t.opaque('net.IP'),
  'net.CIDR': t.opaque('net.CIDR'),
};

const types = new Map(
  Object.entries(TYPES).map(([name, type]) => [name, { type: t.typeOf(type), value: new CelTypeValue(name) }]),
);

/** Kubernetes' base environment at compatibility version 1.36, but `authorizer`. */
const base = merge([
  ...standard,
  ...conversions,
  ...time,
  ...strings,
  ...textFormat,
  ...regex,
  ...lists,
  ...sets,
  ...optional,
  ...quantity,
  ...ip,
  ...cidr,
  ...url,
  ...semver,
  ...format,
]);

const scopes = new WeakMap<Environment, Scope>();

/** @throws Error where a custom function would take the place of one of Kubernetes' own */
export function scopeOf(environment: Environment): Scope {
  const known = scopes.get(environment);
  if (known !== undefined) return known;
  const custom = merge((environment.functions ?? []).map(declaration));
  for (const name of custom.keys()) if (base.has(name)) throw new Error(`CEL function ${name} exists already`);
  const scope: Scope = {
    variables: new Map(Object.entries(environment.variables)),
    types,
    functions: new Map([...base, ...custom]),
  };
  scopes.set(environment, scope);
  return scope;
}

function declaration(custom: CustomFunction): FunctionDeclaration {
  const implementation: AnyImplementation = (budget, ...args) =>
    caught(() => custom.implementation(args, budget)) ?? null;
  const overload: Overload = {
    id: `${custom.name}(${custom.parameters.map(t.formatType).join(', ')})`,
    member: custom.member ?? false,
    parameters: custom.parameters,
    result: custom.result,
    implementation,
    cost: custom.cost === undefined ? undefined : (_result, ...args) => custom.cost!(args),
  };
  return declare(custom.name, [overload], { chargedFirst: true });
}
