import type { Budget } from '../budget.ts';
import { declare, type FunctionDeclaration, method, overload } from '../declarations.ts';
import { NAMED_FORMATS, type NamedFormat } from '../named-formats.ts';
import { nominal, sizeOf } from '../sizes.ts';
import { listOf, opaque, optionalOf, STRING } from '../types.ts';
import { Boxed, CelOptional, type CelValue } from '../values.ts';

const FORMAT = opaque('kubernetes.NamedFormat');

class CelFormat extends Boxed {
  readonly celUnit = true;
  readonly format: NamedFormat;
  constructor(format: NamedFormat) {
    super();
    this.format = format;
  }
  get typeName(): string {
    return 'kubernetes.NamedFormat';
  }
  equals(other: CelValue): boolean {
    return other instanceof CelFormat && other.format.name === this.format.name;
  }
}

const formats = new Map(Object.entries(NAMED_FORMATS).map(([name, format]) => [name, new CelFormat(format)]));

function validate(budget: Budget, { format }: CelFormat, text: string): CelValue {
  budget.burn(text.length >> 3);
  const errors = format.validate(text);
  return errors.length === 0 ? CelOptional.NONE : CelOptional.of(errors);
}

/** Kubernetes' format library: `format.dns1123Label().validate(name)`. */
export const format: readonly FunctionDeclaration[] = [
  ...Array.from(formats, ([name, value]) =>
    declare(`format.${name}`, [overload(`format.${name}`, [], FORMAT, () => value)]),
  ),
  declare(
    'format.named',
    [
      overload('format-named', [STRING], optionalOf(FORMAT), (_: Budget, name: string) => {
        const found = formats.get(name);
        return found === undefined ? CelOptional.NONE : CelOptional.of(found);
      }),
    ],
    { cost: nominal },
  ),
  declare('validate', [method('format-validate', [FORMAT, STRING], optionalOf(listOf(STRING)), validate)], {
    cost: (_result, of, text) =>
      of instanceof CelFormat ? Math.ceil((1 + sizeOf(text!)) * 0.1) * Math.ceil(of.format.patternLength * 0.25) : 1,
  }),
];
