import type { Budget } from '../budget.ts';
import { declare, type FunctionDeclaration, method, onceForLiteral, overload } from '../declarations.ts';
import { Quantity } from '../quantity.ts';
import { nominal, readOnce } from '../sizes.ts';
import { BOOL, DOUBLE, INT, opaque, STRING } from '../types.ts';
import { Boxed, CelDouble, type CelValue, type Fault, fault, smallInt } from '../values.ts';

const QUANTITY = opaque('kubernetes.Quantity');

/** An amount of a resource, such as `1.5Gi`. */
export class CelQuantity extends Boxed {
  readonly celUnit = true;
  readonly quantity: Quantity;
  constructor(quantity: Quantity) {
    super();
    this.quantity = quantity;
  }
  get typeName(): string {
    return 'kubernetes.Quantity';
  }
  equals(other: CelValue): boolean {
    return other instanceof CelQuantity && this.quantity.compare(other.quantity) === 0;
  }
  override toString(): string {
    return this.quantity.toString();
  }
}

const WRONG_FORM = fault("quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'");
const NO_INTEGER = fault('cannot convert value to integer');

function read(_: Budget, text: string): CelQuantity | Fault {
  const parsed = Quantity.parse(text);
  return parsed === undefined ? WRONG_FORM : new CelQuantity(parsed);
}

const compared = (a: CelQuantity, b: CelQuantity): number => a.quantity.compare(b.quantity);
const sum = (a: CelQuantity, b: Quantity): CelQuantity => new CelQuantity(a.quantity.plus(b));
const difference = (a: CelQuantity, b: Quantity): CelQuantity => new CelQuantity(a.quantity.minus(b));

/** Kubernetes' quantity library. */
export const quantity: readonly FunctionDeclaration[] = [
  declare('quantity', [overload('string_to_quantity', [STRING], QUANTITY, read, { prepare: onceForLiteral(read) })], {
    cost: readOnce,
  }),
  declare(
    'isQuantity',
    [overload('is_quantity_string', [STRING], BOOL, (_: Budget, text: string) => Quantity.parse(text) !== undefined)],
    { cost: readOnce },
  ),
  declare('sign', [overload('quantity_sign', [QUANTITY], INT, (_: Budget, { quantity: q }: CelQuantity) => q.sign)], {
    cost: nominal,
  }),
  declare(
    'isGreaterThan',
    [
      method(
        'quantity_is_greater_than',
        [QUANTITY, QUANTITY],
        BOOL,
        (_: Budget, a: CelQuantity, b: CelQuantity) => compared(a, b) > 0,
      ),
    ],
    { cost: nominal },
  ),
  declare(
    'isLessThan',
    [
      method(
        'quantity_is_less_than',
        [QUANTITY, QUANTITY],
        BOOL,
        (_: Budget, a: CelQuantity, b: CelQuantity) => compared(a, b) < 0,
      ),
    ],
    { cost: nominal },
  ),
  declare(
    'compareTo',
    [
      method('quantity_compare_to', [QUANTITY, QUANTITY], INT, (_: Budget, a: CelQuantity, b: CelQuantity) =>
        compared(a, b),
      ),
    ],
    { cost: nominal },
  ),
  declare(
    'asApproximateFloat',
    [
      method(
        'quantity_get_float',
        [QUANTITY],
        DOUBLE,
        (_: Budget, { quantity: q }: CelQuantity) => new CelDouble(q.toNumber()),
      ),
    ],
    { cost: nominal },
  ),
  declare(
    'asInteger',
    [
      method('quantity_get_int', [QUANTITY], INT, (_: Budget, { quantity: q }: CelQuantity): CelValue => {
        const value = q.toInt64();
        return value === undefined ? NO_INTEGER : smallInt(value);
      }),
    ],
    { cost: nominal },
  ),
  declare(
    'isInteger',
    [
      method(
        'quantity_is_integer',
        [QUANTITY],
        BOOL,
        (_: Budget, { quantity: q }: CelQuantity) => q.toInt64() !== undefined,
      ),
    ],
    { cost: nominal },
  ),
  declare(
    'add',
    [
      method('quantity_add', [QUANTITY, QUANTITY], QUANTITY, (_: Budget, a: CelQuantity, b: CelQuantity) =>
        sum(a, b.quantity),
      ),
      method('quantity_add_int', [QUANTITY, INT], QUANTITY, (_: Budget, a: CelQuantity, b: number | bigint) =>
        sum(a, Quantity.ofInt(BigInt(b))),
      ),
    ],
    { cost: nominal },
  ),
  declare(
    'sub',
    [
      method('quantity_sub', [QUANTITY, QUANTITY], QUANTITY, (_: Budget, a: CelQuantity, b: CelQuantity) =>
        difference(a, b.quantity),
      ),
      method('quantity_sub_int', [QUANTITY, INT], QUANTITY, (_: Budget, a: CelQuantity, b: number | bigint) =>
        difference(a, Quantity.ofInt(BigInt(b))),
      ),
    ],
    { cost: nominal },
  ),
];
