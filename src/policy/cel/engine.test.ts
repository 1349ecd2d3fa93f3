import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  Budget,
  CelCompileError,
  CelDouble,
  CelRuntimeError,
  type CelValue,
  type CustomFunction,
  compile,
  DYN,
  fault,
  INT,
  isMap,
  Lazy,
  LazyMap,
  listOf,
  mapGet,
  mapOf,
  objectOf,
  STRING,
} from './engine.ts';

const variables = { object: DYN, oldObject: DYN };
const evaluate = (source: string, object: CelValue = null): CelValue =>
  compile(source, { variables }).evaluate({ object, oldObject: null });

describe('compile', () => {
  test('gives the variables that an expression reads, and not those of its macros', () => {
    const { references } = compile('object.spec.all(oldObject, oldObject == 1)', { variables });
    assert.deepEqual([...references], ['object']);
    assert.equal(compile('1 + 1', { variables }).references.size, 0);
    assert.deepEqual([...compile('[1].map(object, .object)', { variables }).references], ['object']);
  });

  test('gives the type of the result', () => {
    assert.deepEqual(compile('[1].map(x, string(x))', { variables }).resultType, listOf(STRING));
    assert.deepEqual(compile('object.x == 1', { variables }).resultType, { kind: 'bool' });
  });

  test('reports every mistake, in the order of the source, in code points', () => {
    const source = "'👋' + oops\n  + nope(1)";
    assert.throws(
      () => compile(source, { variables }),
      (error: CelCompileError) => {
        assert.ok(error instanceof CelCompileError);
        assert.deepEqual([error.line, error.column], [1, 7]);
        assert.deepEqual(
          error.issues.map((i) => [i.line, i.column]),
          [
            [1, 7],
            [2, 9],
          ],
        );
        return true;
      },
    );
  });

  test('a field that a declared object does not have is a mistake, one of dyn is not', () => {
    const environment = {
      variables: { request: objectOf('Request', { verb: STRING, labels: mapOf(STRING, STRING) }) },
    };
    assert.throws(() => compile("request.verbs == 'get'", environment), /undefined field 'verbs'/);
    assert.throws(() => compile('request.verb == 1', environment), /no matching overload/);
    const program = compile("request.verb == 'get' && request.labels.all(k, v, v != '')", environment);
    assert.equal(program.evaluate({ request: { verb: 'get', labels: { a: 'b' } } }), true);
  });
});

describe('custom functions', () => {
  const images: CustomFunction = {
    name: 'images',
    parameters: [DYN],
    result: listOf(STRING),
    implementation: ([object]) => {
      const found = object !== undefined && isMap(object) ? mapGet(object, 'images') : undefined;
      return found ?? fault('no images');
    },
    cost: () => 7,
  };
  const environment = { variables, functions: [images, { ...images, name: 'pod.images', member: false }] };

  test('are type-checked, called and charged', () => {
    const program = compile("images(object).exists(i, i.startsWith('a'))", environment);
    const budget = new Budget();
    assert.equal(program.evaluate({ object: { images: ['b', 'ab'] } }, budget), true);
    const without = new Budget();
    compile("object.images.exists(i, i.startsWith('a'))", environment).evaluate(
      { object: { images: ['b', 'ab'] } },
      without,
    );
    // The call costs 7 and its argument 1; the field would have cost 2.
    assert.equal(budget.cost - without.cost, 6);
    assert.throws(() => compile('images(object) == 1', environment), CelCompileError);
    assert.throws(() => compile('images()', environment), CelCompileError);
  });

  test('their errors are CEL errors, thrown or returned, and can be absorbed', () => {
    const throwing: CustomFunction = {
      ...images,
      name: 'fails',
      implementation: () => {
        throw new CelRuntimeError('it fails');
      },
    };
    const both = { variables, functions: [images, throwing] };
    assert.throws(() => compile('images(object)', both).evaluate({ object: {} }), /no images/);
    assert.throws(() => compile('fails(object)', both).evaluate({ object: {} }), /it fails/);
    assert.equal(compile('fails(object) == [] || true', both).evaluate({ object: {} }), true);
  });

  test('cannot take the place of one of Kubernetes', () => {
    assert.throws(() => compile('1', { variables, functions: [{ ...images, name: 'size' }] }), /exists already/);
  });

  test('a member is called on its receiver', () => {
    const double: CustomFunction = {
      name: 'twice',
      member: true,
      parameters: [INT],
      result: INT,
      implementation: ([n]) => (typeof n === 'number' ? n * 2 : fault('too large')),
    };
    assert.equal(compile('3.twice()', { variables, functions: [double] }).evaluate({}), 6);
  });
});

describe('activation', () => {
  test('a lazy value is worked out once for all expressions, and only if it is read', () => {
    let calls = 0;
    const object = new Lazy(() => {
      calls++;
      return { a: 1 };
    });
    assert.equal(compile('true || object.a == 1', { variables }).evaluate({ object }), true);
    assert.equal(calls, 0);
    assert.equal(compile('object.a == 1 && object.a < 2', { variables }).evaluate({ object }), true);
    assert.equal(compile('object.a', { variables }).evaluate({ object }), 1);
    assert.equal(calls, 1);
  });

  test('the error of a lazy value is a CEL error', () => {
    const failing = new LazyMap(
      new Map([
        [
          'bad',
          () => {
            throw new CelRuntimeError('cannot be known');
          },
        ],
        ['good', () => 1],
      ]),
    );
    assert.throws(() => compile('object.bad', { variables }).evaluate({ object: failing }), /cannot be known/);
    assert.equal(compile('object.bad == 1 || object.good == 1', { variables }).evaluate({ object: failing }), true);
    assert.equal(compile('has(object.good) && !has(object.other)', { variables }).evaluate({ object: failing }), true);
  });

  test('a variable that is not given is an error', () => {
    assert.throws(() => compile('object', { variables }).evaluate({}), CelRuntimeError);
  });

  test('names that every JavaScript object has are no keys', () => {
    for (const name of ['constructor', 'toString', '__proto__', 'hasOwnProperty']) {
      assert.equal(evaluate(`has(object.${name})`, {}), false);
      assert.throws(() => evaluate(`object.${name}`, {}), /no such key/);
      assert.equal(evaluate(`'${name}' in object`, {}), false);
      assert.equal(evaluate(`object[?'${name}'].hasValue()`, {}), false);
    }
    assert.equal(evaluate('object.__proto__', JSON.parse('{"__proto__": 5}') as CelValue), 5);
  });

  test('numbers of TypeScript are ints; a double is a CelDouble', () => {
    assert.equal(evaluate('type(object) == int', 2), true);
    assert.equal(evaluate('type(object) == double', new CelDouble(2)), true);
    assert.equal(evaluate('object + 1', 9007199254740991), 9007199254740992n);
    assert.equal(evaluate('object - 1', 9007199254740992n), 9007199254740991);
  });
});
