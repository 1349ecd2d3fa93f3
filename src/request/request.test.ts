import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../errors.ts';
import { REQUEST_CASES } from './cases/all.ts';
import type { Operation } from './operation.ts';
import { parseRequest } from './request.ts';

const NOTHING: Partial<Operation> = {
  isResource: false,
  apiGroup: '',
  apiVersion: '',
  resource: '',
  subresource: '',
  namespace: '',
  name: '',
  fieldSelectorName: undefined,
  proxyPath: undefined,
  proxyTarget: undefined as never,
  dryRun: false,
  patchType: undefined,
  exec: undefined,
  portForward: undefined,
};

for (const { method, target, contentType, want } of REQUEST_CASES) {
  const shown = target.length > 90 ? `${target.slice(0, 90)}… (${target.length})` : target;
  test(`${method} ${JSON.stringify(shown)}${contentType ? ` as ${contentType}` : ''}`, () => {
    if (typeof want === 'string') {
      assert.throws(
        () => parseRequest(method, target, { contentType }),
        (error) => error instanceof SallyportError && error.code === want,
      );
      return;
    }
    const operation = parseRequest(method, target, { contentType });
    const expected = { ...NOTHING, ...want };
    for (const key of Object.keys(expected) as (keyof Operation)[]) {
      assert.deepEqual(operation[key], expected[key], key);
    }
    assert.equal(operation.isCollection, ['list', 'watch', 'deletecollection'].includes(operation.verb));
    assert.equal(operation.method, method);
  });
}

test('the table is as large as it claims to be, and has no row twice', () => {
  assert.ok(REQUEST_CASES.length >= 250, String(REQUEST_CASES.length));
  const keys = REQUEST_CASES.map((row) => `${row.method} ${row.target} ${row.contentType}`);
  assert.deepEqual(
    keys.filter((key, i) => keys.indexOf(key) !== i),
    [],
  );
});

const piece = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.constantFrom(
      'api',
      'apis',
      'v1',
      'apps',
      'namespaces',
      'shop',
      'pods',
      'web',
      'exec',
      'proxy',
      'watch',
      'status',
      'services',
      'portforward',
    ),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(
      '%2e',
      '..',
      '.',
      '%2F',
      '%5c',
      ';',
      '%3b',
      '%41',
      '%',
      '%zz',
      '',
      '%25',
      '%c3%a9',
      'https:web:1',
      '*',
      '%00',
    ),
  },
  { weight: 1, arbitrary: fc.string({ maxLength: 8 }) },
  { weight: 1, arbitrary: fc.string({ maxLength: 8 }).map((text) => encodeURIComponent(text.toWellFormed())) },
);
const parameter = fc
  .tuple(
    fc.oneof(
      fc.constantFrom('watch', 'w%61tch', 'command', 'ports', 'dryRun', 'fieldSelector', 'stdin', ''),
      fc.string({ maxLength: 5 }),
    ),
    fc.constantFrom('=', '', '=='),
    fc.oneof(
      fc.constantFrom('1', '0', 'All', 'false', '80,81', 'metadata.name=web', 'a+b', '%20', '%2B', ';', '%'),
      fc.string({ maxLength: 6 }).map((t) => encodeURIComponent(t.toWellFormed())),
    ),
  )
  .map((parts) => parts.join(''));
const anyTarget = fc
  .tuple(fc.array(piece, { maxLength: 9 }), fc.boolean(), fc.array(parameter, { maxLength: 4 }))
  .map(([pieces, hasQuery, query]) => `/${pieces.join('/')}${hasQuery ? `?${query.join('&')}` : ''}`);
const anyMethod = fc.constantFrom('GET', 'HEAD', 'POST', 'PUT', 'PATCH', 'DELETE');
const headers = { contentType: 'application/merge-patch+json' };

function attempt(method: string, target: string): Operation | undefined {
  try {
    return parseRequest(method, target, headers);
  } catch (error) {
    assert.ok(error instanceof SallyportError, String(error));
    return undefined;
  }
}

test('whatever is accepted reads the same again from its canonical form, which holds no second reading', () => {
  let accepted = 0;
  fc.assert(
    fc.property(anyMethod, anyTarget, (method, target) => {
      const operation = attempt(method, target);
      if (operation === undefined) return;
      accepted++;
      assert.doesNotMatch(operation.path, /\/\/|%2f|%5c|\\|%(?![0-9A-F]{2})|[^\x21-\x7e]/i);
      for (const segment of operation.path.slice(1).split('/')) {
        assert.doesNotMatch(decodeURIComponent(segment), /^\.{1,2}(?:;|$)/);
      }
      assert.doesNotMatch(operation.query, /[^\x21-\x7e]|;|#|\+|%(?![0-9A-F]{2})/);
      const canonical = operation.query === '' ? operation.path : `${operation.path}?${operation.query}`;
      assert.deepEqual(parseRequest(method, canonical, headers), operation);
    }),
    { numRuns: 20_000 },
  );
  assert.ok(accepted > 2000, `only ${accepted} targets were accepted: the property says little`);
});

test('a well-formed URL reader sees the same path and parameters in the canonical form', () => {
  fc.assert(
    fc.property(anyMethod, anyTarget, (method, target) => {
      const operation = attempt(method, target);
      if (operation === undefined) return;
      const url = new URL(`http://x${operation.path}?${operation.query}`);
      assert.equal(url.pathname, operation.path);
      if (operation.exec !== undefined && operation.subresource === 'exec') {
        assert.deepEqual(url.searchParams.getAll('command'), operation.exec.command);
      }
      const before = new URL(`http://x/${target.includes('?') ? target.slice(target.indexOf('?')) : ''}`).searchParams;
      assert.deepEqual([...url.searchParams], [...before]);
    }),
    { numRuns: 5000 },
  );
});

test('nothing but a SallyportError ever comes out', () => {
  fc.assert(
    fc.property(
      fc.string({ maxLength: 10 }),
      fc.oneof(
        fc.string(),
        fc.string({ unit: 'binary' }).map((t) => `/${t}`),
      ),
      (method, target) => {
        attempt(method, target);
        attempt('GET', target);
      },
    ),
    { numRuns: 5000 },
  );
});

test('the longest targets are read in linear time', () => {
  const targets = [
    `/${'a/'.repeat(4000)}`,
    `/api/v1/namespaces/shop/services/web/proxy/${'%41'.repeat(2600)}`,
    `/api/v1/pods?fieldSelector=${'metadata.name%3Dx,'.repeat(2600)}`,
    `/api/v1/pods?${'a&'.repeat(999)}`,
    `/api/v1/pods?a=${'+'.repeat(48_000)}`,
  ];
  for (const target of targets) {
    const start = performance.now();
    attempt('GET', target);
    assert.ok(performance.now() - start < 1000, target.slice(0, 60));
  }
});
