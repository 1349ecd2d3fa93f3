import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../errors.ts';
import { bearerToken, MAX_TOKEN_LENGTH } from './credential.ts';

const token = ['aGVhZA', 'Ym9keQ', 'c2ln'].join('.');
const protocolOf = (text: string) => `base64url.bearer.authorization.k8s.io.${Buffer.from(text).toString('base64url')}`;
const upgrade = ['Upgrade', 'websocket'];

function read(rawHeaders: string[], target = '/api/v1/pods') {
  return bearerToken({ rawHeaders, target });
}

describe('the credential of a request', () => {
  const taken: [string, string[], string?][] = [
    ['Bearer', ['Authorization', `Bearer ${token}`]],
    ['bearer in other cases, as Kubernetes', ['AUTHORIZATION', `bEaReR ${token}`]],
    ['an opaque token', ['authorization', 'Bearer abc-_~+/=='], 'abc-_~+/=='],
    ['a WebSocket’s sub-protocol', [...upgrade, 'Sec-WebSocket-Protocol', `v5.channel.k8s.io, ${protocolOf(token)}`]],
    [
      'a sub-protocol in a header line of its own',
      ['Sec-WebSocket-Protocol', 'v4.channel.k8s.io', ...upgrade, 'sec-websocket-protocol', protocolOf(token)],
    ],
  ];
  for (const [what, headers, expected] of taken) it(`is ${what}`, () => assert.equal(read(headers), expected ?? token));

  it('is none where there is none', () => {
    assert.equal(read([]), undefined);
    assert.equal(read([...upgrade, 'Sec-WebSocket-Protocol', 'v5.channel.k8s.io']), undefined);
    assert.equal(read(['X-Authorization', `Bearer ${token}`], '/a?continue=access&limit=%35'), undefined);
  });

  const refused: [string, string[], string?][] = [
    ['an empty header', ['Authorization', '']],
    ['Bearer alone', ['Authorization', 'Bearer']],
    ['Bearer and a space', ['Authorization', 'Bearer ']],
    ['Bearer and two spaces', ['Authorization', `Bearer  ${token}`]],
    ['a tab for a space', ['Authorization', `Bearer\t${token}`]],
    ['a trailing space', ['Authorization', `Bearer ${token} `]],
    ['a leading space', ['Authorization', ` Bearer ${token}`]],
    ['two tokens with a space', ['Authorization', `Bearer ${token} ${token}`]],
    ['two tokens with a comma', ['Authorization', `Bearer ${token},${token}`]],
    ['two credentials with a comma', ['Authorization', `Bearer ${token}, Bearer ${token}`]],
    ['the same header twice', ['Authorization', `Bearer ${token}`, 'Authorization', `Bearer ${token}`]],
    ['the header twice in two cases', ['Authorization', `Bearer ${token}`, 'authorization', `Bearer ${token}x`]],
    ['an empty header beside a good one', ['Authorization', '', 'Authorization', `Bearer ${token}`]],
    ['Basic', ['Authorization', 'Basic YTpi']],
    ['Basic beside Bearer', ['Authorization', 'Basic YTpi', 'Authorization', `Bearer ${token}`]],
    ['a token without its scheme', ['Authorization', token]],
    ['quotes', ['Authorization', `Bearer "${token}"`]],
    ['a letter beyond ASCII', ['Authorization', `Bearer ${token}é`]],
    ['a token over 16 KiB', ['Authorization', `Bearer ${'a'.repeat(MAX_TOKEN_LENGTH + 1)}`]],
    ['access_token in the query', [], `/api?access_token=${token}`],
    ['access_token beside a header', ['Authorization', `Bearer ${token}`], `/api?a=b&access_token=x`],
    ['access_token, encoded', [], '/api?acc%65ss_token=x'],
    ['access_token in capitals', [], '/api?Access_Token=x'],
    ['access_token after a semicolon', [], '/api?a=b;access_token=x'],
    ['access_token without a value', [], '/api?access_token'],
    [
      'a header and a sub-protocol, though they agree',
      [
        'Authorization',
        `Bearer ${token}`,
        ...upgrade,
        'Sec-WebSocket-Protocol',
        `v5.channel.k8s.io,${protocolOf(token)}`,
      ],
    ],
    [
      'two sub-protocols',
      [...upgrade, 'Sec-WebSocket-Protocol', `v5.channel.k8s.io,${protocolOf('a')},${protocolOf('b')}`],
    ],
    ['a sub-protocol without an upgrade', ['Sec-WebSocket-Protocol', `v5.channel.k8s.io,${protocolOf(token)}`]],
    ['a sub-protocol alone', [...upgrade, 'Sec-WebSocket-Protocol', protocolOf(token)]],
    ['an empty sub-protocol', [...upgrade, 'Sec-WebSocket-Protocol', `v5.channel.k8s.io,${protocolOf('')}`]],
    ['a padded sub-protocol', [...upgrade, 'Sec-WebSocket-Protocol', `v5.channel.k8s.io,${protocolOf('a')}==`]],
    [
      'no base64url',
      [...upgrade, 'Sec-WebSocket-Protocol', 'v5.channel.k8s.io,base64url.bearer.authorization.k8s.io.a*b'],
    ],
    [
      'a sub-protocol in capitals',
      [...upgrade, 'Sec-WebSocket-Protocol', `v5,${protocolOf(token).replace('bearer', 'Bearer')}`],
    ],
    ['a hidden line break', [...upgrade, 'Sec-WebSocket-Protocol', `v5.channel.k8s.io,${protocolOf('a\r\nb')}`]],
    ['hidden bytes', [...upgrade, 'Sec-WebSocket-Protocol', `v5.channel.k8s.io,${protocolOf('aé')}`]],
  ];
  for (const [what, headers, target] of refused) {
    it(`is refused: ${what}`, () => {
      assert.throws(
        () => read(headers, target),
        (error: unknown) => error instanceof SallyportError && error.code === 'SP_NOT_AUTHENTICATED',
      );
    });
  }

  it('is read or refused with one message, whatever stands in the headers, and never quoted', () => {
    const name = fc.constantFrom('Authorization', 'authorization', 'Sec-WebSocket-Protocol', 'Upgrade', 'Host');
    const piece = fc.oneof(
      fc.constantFrom('Bearer ', 'bearer', ' ', ',', 'websocket', 'v5.channel.k8s.io', protocolOf('xyzzy'), 'xyzzy'),
      fc.string({ maxLength: 8 }),
    );
    const value = fc.array(piece, { maxLength: 5 }).map((parts) => parts.join(''));
    const headers = fc.array(fc.tuple(name, value), { maxLength: 5 }).map((pairs) => pairs.flat());
    fc.assert(
      fc.property(headers, fc.webPath(), (rawHeaders, path) => {
        try {
          const found = read(rawHeaders, path);
          assert.ok(found === undefined || /^[A-Za-z0-9\-._~+/]+=*$/.test(found));
        } catch (error) {
          assert.ok(error instanceof SallyportError);
          assert.equal(error.message, 'the credential was not accepted');
          assert.ok(!String(error.cause).includes('xyzzy'));
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
