import { type AnyMap, type Budget, CelRuntimeError, type CelValue, isMap, mapEntries, mapGet } from '../cel/engine.ts';

/**
 * A place in an object, read with the type it must have. Objects are hostile: where the type is another one there is no
 * answer but an error, which refuses in Deny and RequireApproval rules and matches no Allow rule. `null` is absent, as
 * the API server reads it.
 */
export class Field {
  private readonly value: CelValue | undefined;
  private readonly budget: Budget;
  private readonly parent: Field | undefined;
  private readonly step: string | number;

  private constructor(value: CelValue | undefined, parent: Field | undefined, step: string | number, budget: Budget) {
    this.value = value ?? undefined;
    this.parent = parent;
    this.step = step;
    this.budget = budget;
  }

  static root(value: CelValue, budget: Budget): Field {
    return new Field(value, undefined, '', budget);
  }

  /** `spec.containers[0].image`; '' for the object itself. Put together when asked: nearly all fields are fine. */
  get path(): string {
    if (this.parent === undefined) return '';
    const before = this.parent.path;
    if (typeof this.step === 'number') return `${before}[${this.step}]`;
    if (!/^[A-Za-z0-9_]+$/.test(this.step)) return `${before}[${JSON.stringify(this.step)}]`;
    return before === '' ? this.step : `${before}.${this.step}`;
  }

  get present(): boolean {
    return this.value !== undefined;
  }

  /** The field of a map; absent where the map is. */
  get(name: string): Field {
    this.budget.burn(1);
    const value = this.value === undefined ? undefined : mapGet(this.map(), name);
    return new Field(value, this, name, this.budget);
  }

  at(...names: readonly string[]): Field {
    let field: Field = this;
    for (const name of names) field = field.get(name);
    return field;
  }

  /** Elements that are themselves null are refused: the API server makes an empty one of them, which is never valid. */
  items(): Field[] {
    if (this.value === undefined) return [];
    if (!Array.isArray(this.value)) throw this.wrong('a list');
    this.budget.burn(this.value.length);
    return (this.value as readonly CelValue[]).map((item, index) => {
      const field = new Field(item, this, index, this.budget);
      if (!field.present) throw field.wrong('a value');
      return field;
    });
  }

  /** The fields of a map that have a value. */
  entries(): [string, Field][] {
    if (this.value === undefined) return [];
    const entries: [string, Field][] = [];
    for (const [key, value] of mapEntries(this.map())) {
      this.budget.burn(1);
      if (value !== null) entries.push([String(key), new Field(value, this, String(key), this.budget)]);
    }
    return entries;
  }

  string(): string {
    if (this.value === undefined) return '';
    if (typeof this.value !== 'string') throw this.wrong('a string');
    return this.value;
  }

  bool(): boolean | undefined {
    if (this.value !== undefined && typeof this.value !== 'boolean') throw this.wrong('true or false');
    return this.value;
  }

  int(): number | bigint | undefined {
    const { value } = this;
    if (value !== undefined && typeof value !== 'number' && typeof value !== 'bigint') throw this.wrong('an integer');
    return value;
  }

  /** The CEL value of a map. */
  map(): AnyMap {
    if (this.value === undefined || !isMap(this.value)) throw this.wrong('an object');
    return this.value;
  }

  private wrong(expected: string): CelRuntimeError {
    return new CelRuntimeError(`${this.path || 'the object'} must be ${expected}`);
  }
}
