import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { Budget, type BudgetLimits, CelBudgetError, type CelValue, compile, DYN, Lazy } from './engine.ts';

const variables = { object: DYN };
/** Where a test is about cost, time does not count: the machine may be busy. */
const PATIENT: BudgetLimits = { expressionMilliseconds: 60_000, totalMilliseconds: 60_000 };
const run = (source: string, budget = new Budget(PATIENT), object: CelValue | Lazy = null): CelValue =>
  compile(source, { variables }).evaluate({ object }, budget);

function stops(exceeded: 'cost' | 'time', work: () => unknown): void {
  const started = performance.now();
  assert.throws(work, (error: CelBudgetError) => error instanceof CelBudgetError && error.exceeded === exceeded);
  // Far above the limits of the tests, far below what the work would have taken: it was stopped, not finished.
  assert.ok(performance.now() - started < 2_000);
}

describe('cost', () => {
  test('a loop over the limit is stopped, one below it answers', () => {
    stops('cost', () => run('lists.range(1000).all(i, lists.range(1000).all(j, i + j >= 0))'));
    assert.equal(run('lists.range(100).all(i, lists.range(100).all(j, i + j >= 0))'), true);
  });

  test('no operator absorbs it', () => {
    const loop = 'lists.range(10).all(i, i >= 0)';
    const small = (): Budget => new Budget({ ...PATIENT, expressionCost: 30 });
    for (const source of [
      `${loop} || true`,
      `!(${loop} && false)`,
      `[1].exists(x, ${loop} || true)`,
      `(${loop} ? true : false) || true`,
    ]) {
      stops('cost', () => run(source, small()));
      assert.equal(run(source), true);
    }
  });

  test('what one expression spent, the next of the same request cannot', () => {
    const budget = new Budget({ ...PATIENT, totalCost: 60 });
    run('[1, 2, 3].all(x, x > 0)', budget);
    assert.deepEqual([budget.cost, budget.totalCost], [16, 16]);
    run('[1, 2, 3].all(x, x > 0)', budget);
    run('[1, 2, 3].all(x, x > 0)', budget);
    stops('cost', () => run('[1, 2, 3].all(x, x > 0)', budget));
    stops('cost', () => run('true', budget));
    assert.equal(run('[1, 2, 3].all(x, x > 0)', new Budget({ ...PATIENT, totalCost: 60 })), true);
  });
});

describe('time', () => {
  test('what costs little and takes long is stopped', () => {
    const source = 'lists.range(100000).exists(i, i == 99999)';
    stops('time', () => run(source, new Budget({ expressionMilliseconds: 0.5 })));
    assert.equal(run(source, new Budget({ expressionMilliseconds: 10_000, totalMilliseconds: 10_000 })), true);
  });

  test('inside the long loops of the library too', () => {
    const object = Array.from({ length: 30_000 }, (_, i) => i);
    const generous = { expressionMilliseconds: 1, expressionCost: 1e12, totalCost: 1e12 };
    for (const source of [
      'object.distinct().size() > 0 || true',
      'sets.equivalent(object, object.reverse()) || true',
      'object.map(x, [object, object]) == object.map(x, [object, object]) || true',
      'object.sortBy(x, -x) == [] || true',
    ]) {
      stops('time', () => run(source, new Budget(generous), object));
    }
  });

  test('a request has a total of it', () => {
    const budget = new Budget({ totalMilliseconds: 2, expressionMilliseconds: 1_000 });
    stops('time', () => {
      for (let i = 0; i < 100_000; i++) run('lists.range(1000).all(i, i >= 0)', budget);
    });
  });

  test('many expressions too short to look at the clock look at it together', () => {
    const program = compile('[1, 2, 3].all(x, x > 0)', { variables });
    const budget = new Budget({ totalMilliseconds: 0, totalCost: 1e12 });
    stops('time', () => {
      for (let i = 0; i < 1_000_000; i++) program.evaluate({ object: null }, budget);
    });
  });

  test('a match that could not end in time is not begun', () => {
    const object = 'ab'.repeat(2_000_000);
    stops('time', () => run("object.find('(a|b)*c$') == ''", new Budget(), object));
    stops('time', () => run("object.findAll('(a|b)*?c').size() == 0", new Budget(), object));
    assert.equal(run("object.matches('^abab')", new Budget({ expressionMilliseconds: 1_000 }), object), true);
  });

  test('a pattern that backtracks elsewhere is linear', () => {
    const object = { text: `${'a'.repeat(5_000)}!`, pattern: '^(a+)+$' };
    assert.equal(run('object.text.matches(object.pattern)', new Budget(), object), false);
  });
});

describe('memory', () => {
  const doubled = (start: string, times: number): string =>
    Array.from({ length: times }, () => '.map(x, x + x)').reduce((e, m) => e + m, `[${start}]`);

  test('no value grows without end', () => {
    stops('cost', () => run('lists.range(2000000)'));
    stops('cost', () => run('lists.range(9223372036854775807)'));
    stops('cost', () => run(`${doubled('lists.range(100)', 40)}[0].size() > 0`));
    stops('cost', () =>
      run(
        `${doubled("'0123456789'", 40)}[0].size() > 0`,
        new Budget({ ...PATIENT, expressionCost: 1e12, totalCost: 1e12 }),
      ),
    );
    stops('cost', () => run("object.replace('', object).size() > 0", new Budget(PATIENT), 'x'.repeat(100_000)));
    stops('cost', () =>
      run(
        'lists.range(2000).map(i, object).flatten().size() > 0',
        new Budget(PATIENT),
        new Array<number>(1000).fill(1),
      ),
    );
    stops('cost', () =>
      run("'%s'.format([lists.range(1000).map(i, object)])", new Budget(PATIENT), 'x'.repeat(100_000)),
    );
    assert.throws(() => run("object.format([1.0]) == ''", new Budget(PATIENT), '%.100000000f'), /precision/);
    assert.throws(() => run("quantity(object) == quantity('1')", new Budget(PATIENT), '1e1000000000'));
  });
});

describe('evaluations inside evaluations', () => {
  test('a lazy variable pays for itself, and the request for both', () => {
    const budget = new Budget(PATIENT);
    const inner = compile('lists.range(100).all(i, i >= 0)', { variables });
    const object = new Lazy(() => inner.evaluate({ object: null }, budget));
    assert.equal(run('object', budget, object), true);
    assert.equal(budget.cost, 1);
    const alone = new Budget(PATIENT);
    inner.evaluate({ object: null }, alone);
    assert.equal(budget.totalCost, alone.cost + 1);
  });

  test('a spent budget inside stops the outside', () => {
    const budget = new Budget({ ...PATIENT, expressionCost: 100 });
    const inner = compile('lists.range(1000).all(i, i >= 0)', { variables });
    const object = new Lazy(() => inner.evaluate({ object: null }, budget));
    stops('cost', () => run('object || true', budget, object));
  });

  test('variables that ask for one another without end are stopped', () => {
    const budget = new Budget(PATIENT);
    const program = compile('object', { variables });
    const object: Lazy = new Lazy(() => program.evaluate({ object: new Lazy(() => loop()) }, budget));
    const loop = (): CelValue => program.evaluate({ object: new Lazy(loop) }, budget);
    stops('cost', () => run('object', budget, object));
    assert.equal(run('1 + 1', new Budget(PATIENT)), 2);
  });
});
