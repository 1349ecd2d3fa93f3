import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { encodeValue, sameEncoding, typeName } from '../policy/cel/encoding.ts';
import {
  Budget,
  CelBudgetError,
  CelCompileError,
  CelRuntimeError,
  type CelValue,
  compile,
  DYN,
  type Environment,
  isMap,
  mapEntries,
  mapGet,
  parseJson,
} from '../policy/cel/engine.ts';

/** The variables that a case may use; one that it does not give is null. */
const VARIABLES = ['object', 'oldObject', 'request', 'params'] as const;
const ENVIRONMENT: Environment = { variables: Object.fromEntries(VARIABLES.map((name) => [name, DYN])) };

export interface CelCase {
  readonly id: string;
  readonly group: string;
  readonly expression: string;
  readonly vars: CelValue;
  readonly expect: { readonly value?: unknown; readonly type?: string; readonly error?: string };
  readonly cost: number | undefined;
  readonly budget: boolean;
  readonly quirk: boolean;
}

export interface CelCaseResult {
  readonly passed: boolean;
  /** What came instead, for people. */
  readonly got: string;
  /** Cost that was counted, where the case says what Kubernetes counted. */
  readonly cost: number | undefined;
}

export async function readCelCases(file: string): Promise<{ cases: CelCase[]; objects: CelValue }> {
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line.trim() !== '');
  const cases = lines.map((line) => {
    const plain = JSON.parse(line) as Omit<CelCase, 'vars'>;
    const exact = parseJson(line);
    const vars = (isMap(exact) && mapGet(exact, 'vars')) || {};
    return { ...plain, vars, budget: plain.budget === true, quirk: plain.quirk === true };
  });
  const needed = cases.some(({ vars }) => isMap(vars) && mapEntries(vars).some(([, v]) => reference(v) !== undefined));
  const objects = needed ? parseJson(await readFile(join(dirname(file), 'objects.json'), 'utf8')) : {};
  return { cases, objects };
}

function reference(value: CelValue): string | undefined {
  const name = isMap(value) ? mapGet(value, '$ref') : undefined;
  return typeof name === 'string' ? name : undefined;
}

function activation(vars: CelValue, objects: CelValue): Record<string, CelValue> {
  const values: Record<string, CelValue> = {};
  for (const name of VARIABLES) {
    const given = isMap(vars) ? mapGet(vars, name) : undefined;
    const shared = given === undefined ? undefined : reference(given);
    const object = shared !== undefined && isMap(objects) ? mapGet(objects, shared) : given;
    if (shared !== undefined && object === undefined) throw new Error(`objects.json has no ${shared}`);
    values[name] = object ?? null;
  }
  return values;
}

/** Runs one case. Time is not what a case is about: only its cost is limited. */
export function runCelCase(test: CelCase, objects: CelValue): CelCaseResult {
  const budget = new Budget({ expressionMilliseconds: 60_000, totalMilliseconds: 60_000 });
  const fails = (kind: string, error: Error): CelCaseResult => ({
    passed: kind === (test.budget ? 'budget' : test.expect.error),
    got: `${kind} error: ${error.message}`,
    cost: kind === 'runtime' ? budget.cost : undefined,
  });
  try {
    const value = compile(test.expression, ENVIRONMENT).evaluate(activation(test.vars, objects), budget);
    const encoded = encodeValue(value);
    const passed =
      !test.budget &&
      test.expect.error === undefined &&
      typeName(value) === test.expect.type &&
      sameEncoding(encoded, test.expect.value);
    return { passed, got: `${typeName(value)} ${JSON.stringify(encoded)}`, cost: budget.cost };
  } catch (error) {
    if (error instanceof CelCompileError) return fails('compile', error);
    if (error instanceof CelRuntimeError) return fails('runtime', error);
    if (error instanceof CelBudgetError) return fails('budget', error);
    throw error;
  }
}

/**
 * `sallyport cel FILE.jsonl`: runs a file of CEL cases and says which fail, group by group, quirks apart.
 * @param out takes the lines of the report
 * @returns the exit code: 0 where all pass
 */
export async function runCelCases(file: string, out: (line: string) => void): Promise<number> {
  const { cases, objects } = await readCelCases(file);
  const groups = new Map<string, { passed: number; failed: number }>();
  let costs = { same: 0, other: 0 };
  let [passed, failed] = [0, 0];
  for (const test of cases) {
    const result = runCelCase(test, objects);
    const name = test.quirk ? `${test.group} (quirks)` : test.group;
    const group = groups.get(name) ?? { passed: 0, failed: 0 };
    groups.set(name, group);
    if (result.passed) {
      passed++;
      group.passed++;
    } else {
      failed++;
      group.failed++;
      const wanted = test.budget ? 'a budget error' : JSON.stringify(test.expect.value ?? test.expect.error ?? null);
      out(`FAIL ${test.id}: ${test.expression.slice(0, 200)}\n     wanted ${wanted}, got ${result.got.slice(0, 300)}`);
    }
    if (test.cost !== undefined && result.cost !== undefined) {
      costs = result.cost === test.cost ? { ...costs, same: costs.same + 1 } : { ...costs, other: costs.other + 1 };
    }
  }
  for (const [name, group] of groups) out(`${name}: ${group.passed} passed, ${group.failed} failed`);
  out(`cost counted as Kubernetes counts it in ${costs.same} of ${costs.same + costs.other} cases that say it`);
  out(`${passed} passed, ${failed} failed`);
  return failed === 0 ? 0 : 1;
}
