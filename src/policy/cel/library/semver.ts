import type { Budget } from '../budget.ts';
import { declare, type FunctionDeclaration, method, onceForLiteral, overload } from '../declarations.ts';
import { nominal, readOnce } from '../sizes.ts';
import { BOOL, INT, opaque, STRING } from '../types.ts';
import { Boxed, type CelValue, type Fault, fault, smallInt } from '../values.ts';

const SEMVER = opaque('kubernetes.Semver');

/** A version of semver.org 2.0.0; build metadata counts in neither order nor equality. */
export class CelSemver extends Boxed {
  readonly celUnit = true;
  readonly core: readonly [bigint, bigint, bigint];
  readonly prerelease: readonly string[];
  readonly build: readonly string[];
  constructor(core: readonly [bigint, bigint, bigint], prerelease: readonly string[], build: readonly string[]) {
    super();
    this.core = core;
    this.prerelease = prerelease;
    this.build = build;
  }
  get typeName(): string {
    return 'kubernetes.Semver';
  }
  equals(other: CelValue): boolean {
    return other instanceof CelSemver && this.compare(other) === 0;
  }
  compare(other: CelSemver): number {
    for (const i of [0, 1, 2] as const) {
      if (this.core[i] !== other.core[i]) return this.core[i] < other.core[i] ? -1 : 1;
    }
    // A release comes after its pre-releases.
    if (this.prerelease.length === 0 || other.prerelease.length === 0) {
      return Math.sign(other.prerelease.length - this.prerelease.length);
    }
    for (let i = 0; i < Math.min(this.prerelease.length, other.prerelease.length); i++) {
      const order = compareIdentifiers(this.prerelease[i]!, other.prerelease[i]!);
      if (order !== 0) return order;
    }
    return Math.sign(this.prerelease.length - other.prerelease.length);
  }
  override toString(): string {
    const pre = this.prerelease.length === 0 ? '' : `-${this.prerelease.join('.')}`;
    return this.core.join('.') + pre + (this.build.length === 0 ? '' : `+${this.build.join('.')}`);
  }
}

const NUMERIC = /^[0-9]+$/;

function compareIdentifiers(a: string, b: string): number {
  const [aNumeric, bNumeric] = [NUMERIC.test(a), NUMERIC.test(b)];
  if (aNumeric !== bNumeric) return aNumeric ? -1 : 1;
  // Without leading zeros, longer is larger.
  if (aNumeric && a.length !== b.length) return a.length < b.length ? -1 : 1;
  return a === b ? 0 : a < b ? -1 : 1;
}

const FORM = /^([0-9]+)\.([0-9]+)\.([0-9]+)(?:-([0-9A-Za-z.-]*))?(?:\+([0-9A-Za-z.-]*))?$/;
const IDENTIFIER = /^[0-9A-Za-z-]+$/;
const UINT64_MAX = 18446744073709551615n;
const MAX_LENGTH = 256;

const numeric = (text: string): boolean =>
  NUMERIC.test(text) && (text === '0' || !text.startsWith('0')) && text.length <= 20 && BigInt(text) <= UINT64_MAX;

function parse(text: string): CelSemver | Fault {
  const found = text.length > MAX_LENGTH ? null : FORM.exec(text);
  if (found === null) return fault('No Major.Minor.Patch elements found');
  const [, major = '', minor = '', patch = '', pre, build] = found;
  if (![major, minor, patch].every(numeric)) return fault(`Version number must be plain: ${JSON.stringify(text)}`);
  const prerelease = pre?.split('.') ?? [];
  const metadata = build?.split('.') ?? [];
  for (const part of [...prerelease, ...metadata]) if (!IDENTIFIER.test(part)) return fault(`Invalid part ${part}`);
  for (const part of prerelease) if (NUMERIC.test(part) && !numeric(part)) return fault(`Invalid numeric part ${part}`);
  return new CelSemver([BigInt(major), BigInt(minor), BigInt(patch)], prerelease, metadata);
}

/** Without a leading `v`, without leading zeros, with three numbers. */
function parseLoosely(text: string): CelSemver | Fault {
  if (text.length > MAX_LENGTH) return parse(text);
  const parts = text.replace(/^v/, '').split('.');
  const [head, rest] = [parts.slice(0, 2), parts.slice(2)];
  const three = rest.length === 0 ? head : [...head, rest.join('.')];
  const plain = three.map((part) => {
    if (part.length < 2) return part;
    const stripped = part.replace(/^0+/, '');
    return /^[0-9]/.test(stripped) ? stripped : `0${stripped}`;
  });
  if (plain.length < 3 && /[+-]/.test(plain.at(-1)!)) {
    return fault('short version cannot contain PreRelease/Build meta data');
  }
  while (plain.length < 3) plain.push('0');
  return parse(plain.join('.'));
}

const read = (_: Budget, text: string, loosely = false): CelSemver | Fault =>
  loosely ? parseLoosely(text) : parse(text);
const readable = (budget: Budget, text: string, loosely = false): boolean =>
  read(budget, text, loosely) instanceof CelSemver;

const part = (name: string, index: 0 | 1 | 2): FunctionDeclaration =>
  declare(
    name,
    [method(`semver_${name}`, [SEMVER], INT, (_: Budget, v: CelSemver) => smallInt(BigInt.asIntN(64, v.core[index])))],
    {
      cost: nominal,
    },
  );

/** Kubernetes' semver library, version 1. */
export const semver: readonly FunctionDeclaration[] = [
  declare(
    'semver',
    [
      overload('string_to_semver', [STRING], SEMVER, read, { prepare: onceForLiteral(read) }),
      overload('string_bool_to_semver', [STRING, BOOL], SEMVER, read),
    ],
    { cost: readOnce },
  ),
  declare(
    'isSemver',
    [
      overload('is_semver_string', [STRING], BOOL, readable),
      overload('is_semver_string_bool', [STRING, BOOL], BOOL, readable),
    ],
    { cost: readOnce },
  ),
  declare('isGreaterThan', [
    method(
      'semver_is_greater_than',
      [SEMVER, SEMVER],
      BOOL,
      (_: Budget, a: CelSemver, b: CelSemver) => a.compare(b) === 1,
    ),
  ]),
  declare('isLessThan', [
    method(
      'semver_is_less_than',
      [SEMVER, SEMVER],
      BOOL,
      (_: Budget, a: CelSemver, b: CelSemver) => a.compare(b) === -1,
    ),
  ]),
  declare('compareTo', [
    method('semver_compare_to', [SEMVER, SEMVER], INT, (_: Budget, a: CelSemver, b: CelSemver) => a.compare(b)),
  ]),
  part('major', 0),
  part('minor', 1),
  part('patch', 2),
];
