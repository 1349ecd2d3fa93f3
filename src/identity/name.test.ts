import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type { Caller } from './caller.ts';
import { MAX_GROUPS, MAX_NAME_LENGTH, NameError, parseServiceAccount, validCaller, validName } from './name.ts';

const alice: Caller = {
  method: 'OIDC',
  issuer: 'https://idp.example',
  username: 'alice',
  uid: '',
  groups: [],
  serviceAccount: undefined,
  agent: undefined,
  onBehalfOf: undefined,
  session: undefined,
  expiresAt: 1,
  authTime: undefined,
};

describe('a valid name', () => {
  const refused: [string, unknown][] = [
    ['empty', ''],
    ['a space', ' '],
    ['a trailing space, which Go trims', 'system:masters '],
    ['a leading tab, which Go trims', '\tsystem:masters'],
    ['an inner tab', 'a\tb'],
    ['a line break, which splits headers', 'alice\r\nImpersonate-User: root'],
    ['a trailing line break', 'alice\n'],
    ['NUL', 'alice\0'],
    ['DEL', 'alice\x7f'],
    ['a letter beyond ASCII', 'älice'],
    ['a no-break space', 'alice\u00a0'],
    ['a look-alike', 'аlice'],
    ['too long', 'a'.repeat(MAX_NAME_LENGTH + 1)],
    ['a number', 7],
    ['an array', ['alice']],
    ['nothing', undefined],
    ['null', null],
  ];
  for (const [what, name] of refused) it(`is not ${what}`, () => assert.equal(validName(name), false));

  for (const name of ['a', 'alice@example.com', 'repo:acme/shop:ref:refs/heads/main', 'Jane Doe', 'a'.repeat(256)]) {
    it(`may be ${name.slice(0, 40)}`, () => assert.equal(validName(name), true));
  }

  it('is what a header carries unchanged: printable ASCII that trimming leaves alone', () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'grapheme-ascii' })), (text) => {
        const plain = text !== '' && text.trim() === text && /^[\x20-\x7e]+$/.test(text) && text.length <= 256;
        assert.equal(validName(text), plain);
      }),
      { numRuns: 2_000 },
    );
  });
});

describe('a caller', () => {
  const bad: [string, Partial<Caller>][] = [
    ['an empty username', { username: '' }],
    ['a username under system:', { username: 'system:admin' }],
    ['a username under system: in capitals', { username: 'SYSTEM:admin' }],
    ['a username that is a ServiceAccount', { username: 'system:serviceaccount:ci:deployer' }],
    ['a username that would be a ServiceAccount upstream', { username: 'sa:ci:deployer' }],
    ['a username with the gateway’s own prefix', { username: 'sallyport:alice' }],
    ['a group under system:', { groups: ['system:masters'] }],
    ['an empty group', { groups: [''] }],
    ['a group with outer space', { groups: ['admins '] }],
    ['a uid with a line break', { uid: 'a\nb' }],
    ['an empty agent', { agent: '' }],
    ['a person with a space in front', { onBehalfOf: ' bob' }],
    ['an empty session', { session: '' }],
    ['too many groups', { groups: Array.from({ length: MAX_GROUPS + 1 }, (_, index) => `g${index}`) }],
    ['no issuer', { issuer: '' }],
    ['no known end', { expiresAt: Number.NaN }],
    ['an account that is not its name', { username: 'alice', serviceAccount: { namespace: 'ci', name: 'deployer' } }],
    [
      'masters beside its account',
      {
        username: 'system:serviceaccount:ci:deployer',
        serviceAccount: { namespace: 'ci', name: 'deployer' },
        groups: ['system:masters'],
      },
    ],
  ];
  for (const [what, change] of bad) {
    it(`is refused with ${what}`, () => assert.throws(() => validCaller({ ...alice, ...change }), NameError));
  }

  it('never shows the value that was wrong', () => {
    const secret = `${'x'.repeat(8)} `;
    assert.throws(
      () => validCaller({ ...alice, username: secret }),
      (error: Error) => !error.message.includes('xxx'),
    );
  });

  it('is frozen, and its groups are a set', () => {
    const caller = validCaller({ ...alice, groups: ['a', 'b', 'a'] });
    assert.deepEqual(caller.groups, ['a', 'b']);
    assert.ok(Object.isFrozen(caller) && Object.isFrozen(caller.groups));
  });

  it('may be a ServiceAccount with the groups that the API server gives', () => {
    const username = 'system:serviceaccount:ci:deployer.prod';
    const caller = validCaller({
      ...alice,
      username,
      serviceAccount: parseServiceAccount(username),
      groups: ['system:serviceaccounts', 'system:serviceaccounts:ci', 'system:authenticated'],
    });
    assert.deepEqual(caller.serviceAccount, { namespace: 'ci', name: 'deployer.prod' });
  });
});

describe('a ServiceAccount’s name', () => {
  for (const name of [
    'system:serviceaccount:ci',
    'system:serviceaccount::x',
    'system:serviceaccount:ci:',
    'system:serviceaccount:ci:a:b',
    'system:serviceaccount:CI:a',
    'system:serviceaccount:ci:a\n',
    ' system:serviceaccount:ci:a',
    'system:serviceaccounts:ci:a',
    `system:serviceaccount:${'n'.repeat(64)}:a`,
  ]) {
    it(`is not ${JSON.stringify(name).slice(0, 50)}`, () => assert.equal(parseServiceAccount(name), undefined));
  }
});
