import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../errors.ts';
import {
  FORWARDABLE_HEADERS,
  forwardableHeaders,
  identityHeader,
  MAX_HEADER_LINES,
  MAX_HEADERS_TOTAL,
} from './headers.ts';

const IDENTITY: [what: string, raw: string[], found: string][] = [
  ['plain', ['Impersonate-User', 'x'], 'impersonate-user'],
  ['group', ['impersonate-group', 'system:masters'], 'impersonate-group'],
  ['uid (CVE-2025-64484 kin)', ['Impersonate-Uid', '1'], 'impersonate-uid'],
  ['extra', ['Impersonate-Extra-scopes', 'x'], 'impersonate-extra-scopes'],
  ['unknown kin', ['Impersonate-Whatever', 'x'], 'impersonate-whatever'],
  ['bare', ['Impersonate', 'x'], 'impersonate'],
  ['underscore', ['Impersonate_User', 'x'], 'impersonate-user'],
  ['case', ['iMPERSONATE-uSER', 'x'], 'impersonate-user'],
  ['space', [' Impersonate-User\t', 'x'], 'impersonate-user'],
  ['front proxy', ['X-Remote-User', 'admin'], 'x-remote-user'],
  ['front proxy underscore', ['X_Remote_Group', 'admin'], 'x-remote-group'],
  ['front proxy extra', ['x-remote-extra-foo', 'admin'], 'x-remote-extra-foo'],
  ['empty value', ['Impersonate-User', ''], 'impersonate-user'],
  ['last of many', ['Accept', '*/*', 'Host', 'x', 'Impersonate-User', 'x'], 'impersonate-user'],
  ['in Connection (CVE-2021-31999)', ['Connection', 'Impersonate-User'], 'impersonate-user'],
  ['in Connection, among others', ['connection', 'keep-alive, impersonate_group ,close'], 'impersonate-group'],
  ['in Connection, upgrade', ['Connection', 'Upgrade,X-Remote-User'], 'x-remote-user'],
  ['in Trailer', ['Trailer', 'Impersonate-User'], 'impersonate-user'],
  ['in TE', ['TE', 'trailers;Impersonate-User'], 'impersonate-user'],
  ['in Upgrade', ['Upgrade', 'impersonate-user'], 'impersonate-user'],
  ['in Proxy-Connection', ['Proxy-Connection', 'x-remote-group'], 'x-remote-group'],
];

for (const [what, raw, found] of IDENTITY) {
  test(`identity header is found: ${what}`, () => assert.equal(identityHeader(raw), found));
}

test('headers that claim no identity pass', () => {
  for (const raw of [
    [],
    ['Accept', 'Impersonate-User'],
    ['X-Remoteness', 'x'],
    ['Impersonator', 'x'],
    ['Connection', 'Upgrade'],
    ['User-Agent', 'kubectl/v1.36 impersonate-user'],
  ]) {
    assert.equal(identityHeader(raw), undefined);
  }
});

const headerList = fc
  .array(
    fc.tuple(
      fc.oneof(
        fc.string({ maxLength: 30 }),
        fc.constantFrom(...FORWARDABLE_HEADERS, 'Authorization', 'Cookie', 'Proxy-Authorization', 'X-Forwarded-For'),
        fc.constantFrom(
          'Connection',
          'Upgrade',
          'Transfer-Encoding',
          'Audit-ID',
          'Host',
          'Content-Length',
          'Content_Type',
        ),
      ),
      fc.oneof(
        fc.string({ maxLength: 40 }),
        fc.string({ unit: 'binary', maxLength: 20 }),
        fc.constant('a\r\nImpersonate-User: x'),
      ),
    ),
    { maxLength: 30 },
  )
  .map((pairs) => pairs.flat());

test('for any header list the outgoing one holds only listed names, once each, and clean values', () => {
  fc.assert(
    fc.property(headerList, (raw) => {
      let out: string[];
      try {
        out = forwardableHeaders(raw);
      } catch (error) {
        assert.ok(error instanceof SallyportError && error.code === 'SP_BAD_REQUEST');
        return;
      }
      const names = out.filter((_, i) => i % 2 === 0);
      assert.equal(new Set(names).size, names.length);
      for (let i = 0; i < out.length; i += 2) {
        assert.ok(FORWARDABLE_HEADERS.includes(out[i]!), out[i]);
        assert.match(out[i + 1]!, /^[\t\x20-\x7e]*$/);
      }
      assert.equal(identityHeader(out), undefined);
    }),
    { numRuns: 2000 },
  );
});

test('any spelling of an identity header is found wherever it stands', () => {
  const spelled = fc
    .tuple(
      fc.constantFrom('impersonate-user', 'impersonate-extra-a', 'x-remote-user', 'x-remote-group'),
      fc.infiniteStream(fc.nat(2)),
    )
    .map(([name, choices]) =>
      [...name]
        .map((c) => {
          const choice = choices.next().value!;
          return choice === 0 ? c.toUpperCase() : choice === 1 && c === '-' ? '_' : c;
        })
        .join(''),
    );
  fc.assert(
    fc.property(headerList, spelled, fc.nat(), fc.boolean(), (raw, name, at, named) => {
      const list = [...raw];
      list.splice((at % (raw.length / 2 + 1)) * 2, 0, ...(named ? ['Connection', `close, ${name}`] : [name, 'x']));
      assert.notEqual(identityHeader(list), undefined);
    }),
  );
});

test('list headers become one line, a second line of a single header is refused', () => {
  assert.deepEqual(forwardableHeaders(['Accept', 'a/b', 'ACCEPT', 'c/d']), ['accept', 'a/b, c/d']);
  // A value that equals a name is not taken for that name.
  assert.deepEqual(forwardableHeaders(['User-Agent', 'accept', 'Accept', 'a/b', 'Accept', 'c/d']), [
    'user-agent',
    'accept',
    'accept',
    'a/b, c/d',
  ]);
  assert.throws(() => forwardableHeaders(['Content-Type', 'a/b', 'content-type', 'c/d']), { code: 'SP_BAD_REQUEST' });
});

test('a rewritten body brings its own content type', () => {
  assert.deepEqual(
    forwardableHeaders(['Content-Type', 'application/yaml', 'Accept', '*/*'], { contentType: 'application/json' }),
    ['accept', '*/*', 'content-type', 'application/json'],
  );
});

test('header lists are bounded in lines and size', () => {
  const lines = Array.from({ length: MAX_HEADER_LINES + 1 }, () => ['a', 'b']).flat();
  assert.throws(() => forwardableHeaders(lines), { code: 'SP_BAD_REQUEST' });
  const accepts = Array.from({ length: 10 }, () => ['accept', 'x'.repeat(MAX_HEADERS_TOTAL / 8)]).flat();
  assert.throws(() => forwardableHeaders(accepts), { code: 'SP_BAD_REQUEST' });
  assert.throws(() => forwardableHeaders(['user-agent', 'x'.repeat(10_000)]), { code: 'SP_BAD_REQUEST' });
});
