import assert from 'node:assert/strict';
import { createHmac } from 'node:crypto';
import { after, before, describe, it } from 'node:test';
import { CompactSign, exportSPKI, type JWTPayload, UnsecuredJWT } from 'jose';
import { type IssuerKey, LoopbackIssuer, makeKey } from '../../test/identity/issuer.ts';
import { identityMethods } from '../config/identity.ts';
import { SallyportError } from '../errors.ts';
import { type Authenticator, createAuthenticator } from './authenticator.ts';

/** Every bad token that the gateway is known to meet, in one table: its class, one message, and nothing of it shown. */

const MESSAGES: Record<string, string> = {
  SP_NOT_AUTHENTICATED: 'the credential was not accepted',
  SP_CREDENTIAL_EXPIRED: 'the credential has expired: sign in again',
};
const now = () => Math.floor(Date.now() / 1_000);
const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

describe('a bad token', () => {
  const issuer = new LoopbackIssuer();
  const stranger = new LoopbackIssuer();
  let rsa: IssuerKey;
  let ec: IssuerKey;
  let foreign: IssuerKey;
  let authenticator: Authenticator;

  before(async () => {
    [rsa, ec, foreign] = await Promise.all([makeKey('rsa', 'RS256'), makeKey('ec'), makeKey('ec')]);
    issuer.keys.push(rsa, ec);
    stranger.keys.push(foreign);
    await Promise.all([issuer.listen(), stranger.listen()]);
    authenticator = createAuthenticator(
      identityMethods.parse({
        oidc: [
          {
            issuer: issuer.url,
            audiences: ['sallyport'],
            insecureLoopbackHTTP: true,
            claimMappings: { groups: { claim: 'groups' }, agent: { claim: 'agent' } },
            requiredClaims: { tenant: ['one', 'two'] },
            requiredScopes: ['gateway.invoke'],
          },
          {
            issuer: stranger.url,
            audiences: ['sallyport'],
            insecureLoopbackHTTP: true,
            claimMappings: { username: { claim: 'sub', prefix: 'other:' } },
          },
        ],
      }),
      {},
    );
    while (!authenticator.ready().issuers.every(({ usable }) => usable)) await new Promise((r) => setTimeout(r, 10));
  });

  after(async () => {
    await authenticator.close();
    await Promise.all([issuer.close(), stranger.close()]);
  });

  const sign = (claims: JWTPayload = {}, header: Record<string, unknown> = {}, key = ec) =>
    issuer.sign({ tenant: 'one', scope: 'openid gateway.invoke', ...claims }, header, key);
  const bearer = (token: string) => ({ rawHeaders: ['Authorization', `Bearer ${token}`], target: '/api' });

  it('would be accepted if it were good: by EC and RSA keys, with a type, a list of audiences, within the skew', async () => {
    for (const token of [
      await sign(),
      await sign({}, {}, rsa),
      await sign({}, { typ: 'at+jwt' }),
      await sign({}, { typ: 'application/JWT' }),
      await sign({ aud: ['other', 'sallyport'] }),
      await sign({ exp: now() - 10 }),
      await sign({ iat: now() + 10, nbf: now() + 10 }),
      await sign({ scope: undefined, scp: ['gateway.invoke'] }),
      await sign({ tenant: ['nine', 'two'] }),
    ]) {
      assert.equal((await authenticator.authenticate(bearer(token))).username, 'alice');
    }
    const stray = await stranger.sign();
    assert.equal((await authenticator.authenticate(bearer(stray))).username, 'other:alice');
  });

  const tampered = async (change: (parts: string[]) => void, token?: string) => {
    const parts = (token ?? (await sign())).split('.');
    change(parts);
    return parts.join('.');
  };
  const hmac = async (secret: string | Buffer, alg = 'HS256') => {
    const payload = { iss: issuer.url, aud: 'sallyport', sub: 'root', tenant: 'one', scope: 'gateway.invoke' };
    const input = `${encode({ alg, kid: 'rsa' })}.${encode({ ...payload, iat: now(), exp: now() + 600 })}`;
    return `${input}.${createHmac('sha256', secret).update(input).digest('base64url')}`;
  };

  const table: [string, () => string | Promise<string>, ('SP_NOT_AUTHENTICATED' | 'SP_CREDENTIAL_EXPIRED')?][] = [
    // Malformed
    ['no JWT', () => 'abc'],
    ['dots only', () => '..'],
    ['a part missing', () => tampered((parts) => parts.pop())],
    ['a part more', () => tampered((parts) => parts.push('e30'))],
    ['an empty signature', () => tampered((parts) => parts.splice(2, 1, ''))],
    ['a payload that is no JSON', () => tampered((parts) => parts.splice(1, 1, 'AAAA'))],
    ['a payload that is a list', () => tampered((parts) => parts.splice(1, 1, encode([])))],
    ['a header that is no JSON', () => tampered((parts) => parts.splice(0, 1, 'AAAA'))],
    ['huge', () => sign({ pad: 'x'.repeat(20_000) })],
    [
      'nested deeply',
      () => tampered((parts) => parts.splice(1, 1, Buffer.from('['.repeat(9_000)).toString('base64url'))),
    ],
    // Signatures
    ['a changed payload', () => tampered((parts) => parts.splice(1, 1, encode({ iss: issuer.url, sub: 'root' })))],
    ['a changed signature', () => tampered((parts) => parts.splice(2, 1, Buffer.alloc(64, 7).toString('base64url')))],
    ['signed by a stranger’s key with the right kid', () => sign({}, {}, { ...foreign, kid: 'ec' })],
    ['signed by another configured issuer', () => sign({}, { kid: 'ec' }, foreign)],
    ['an unknown kid', () => sign({}, { kid: 'nobody' })],
    ['no kid, and two algorithms of keys swapped', () => sign({}, { kid: 'rsa' }, ec)],
    // Algorithms
    ['alg none', async () => new UnsecuredJWT({ iss: issuer.url, aud: 'sallyport', sub: 'root' }).encode()],
    ['alg none with a signature', () => tampered((parts) => parts.splice(0, 1, encode({ alg: 'none' })))],
    ['alg nOnE', () => tampered((parts) => parts.splice(0, 1, encode({ alg: 'nOnE', kid: 'ec' })))],
    ['alg missing', () => tampered((parts) => parts.splice(0, 1, encode({ kid: 'ec' })))],
    ['HS256 with the public key as its secret (PEM)', async () => hmac(await exportSPKI(rsa.publicKey))],
    ['HS256 with the public key as its secret (JWK)', () => hmac(JSON.stringify(rsa.jwk))],
    ['HS256 with an empty secret', () => hmac('')],
    ['RS256 that is an HMAC', async () => hmac(await exportSPKI(rsa.publicKey), 'RS256')],
    // Headers that would choose the key
    ['jwk in the header', () => sign({}, { kid: 'ec', jwk: foreign.jwk }, foreign)],
    ['jwk in the header, no kid', () => sign({}, { kid: undefined, jwk: foreign.jwk }, foreign)],
    ['jku in the header', () => sign({}, { kid: 'ec', jku: `${stranger.url}/jwks` }, foreign)],
    ['x5u in the header', () => sign({}, { kid: 'ec', x5u: `${stranger.url}/jwks` }, foreign)],
    ['x5c in the header', () => sign({}, { kid: 'ec', x5c: ['AAAA'] }, foreign)],
    ['kid that is a path', () => sign({}, { kid: '../../../../dev/null' }, foreign)],
    ['kid that is a URL', () => sign({}, { kid: `${stranger.url}/jwks#ec` }, foreign)],
    ['kid that is a query', () => sign({}, { kid: "ec' OR '1'='1" }, foreign)],
    ['kid of a prototype', () => sign({}, { kid: '__proto__' }, foreign)],
    [
      'a critical header',
      () => tampered((parts) => parts.splice(0, 1, encode({ alg: 'ES256', kid: 'ec', crit: ['b64'], b64: false }))),
    ],
    [
      'an unknown critical header',
      () => tampered((parts) => parts.splice(0, 1, encode({ alg: 'ES256', kid: 'ec', crit: ['x'], x: 1 }))),
    ],
    [
      'a JWT inside a JWT',
      async () =>
        new CompactSign(Buffer.from(await sign()))
          .setProtectedHeader({ alg: 'ES256', kid: 'ec', cty: 'JWT' })
          .sign(ec.privateKey),
    ],
    ['an encrypted one', () => `${encode({ alg: 'RSA-OAEP', enc: 'A256GCM' })}.e30.e30.e30.e30`],
    // Types
    ['a session token’s type', () => sign({}, { typ: 'sallyport-session+jwt' })],
    ['a logout token’s type', () => sign({}, { typ: 'logout+jwt' })],
    ['a DPoP proof’s type', () => sign({}, { typ: 'dpop+jwt' })],
    [
      'a logout token without its type',
      () => sign({ events: { 'http://schemas.openid.net/event/backchannel-logout': {} } }),
    ],
    ['bound to a key', () => sign({ cnf: { jkt: 'x' } })],
    // Claims
    ['another audience', () => sign({ aud: 'other' })],
    ['other audiences', () => sign({ aud: ['other', 'sallyport2'] })],
    ['an audience in capitals', () => sign({ aud: 'Sallyport' })],
    ['no audience', () => sign({ aud: undefined as never })],
    ['another issuer', () => sign({ iss: 'https://elsewhere.example' })],
    ['the other configured issuer’s name', () => sign({ iss: stranger.url })],
    ['its issuer with a slash', () => sign({ iss: `${issuer.url}/` })],
    ['no issuer', () => sign({ iss: undefined as never })],
    ['an issuer that is a list', () => sign({ iss: [issuer.url] as never })],
    ['no end', () => sign({ exp: undefined as never })],
    ['an end that is a text', () => sign({ exp: '9999999999' as never })],
    ['no beginning', () => sign({ iat: undefined as never })],
    ['issued in the future', () => sign({ iat: now() + 300 })],
    ['not valid yet', () => sign({ nbf: now() + 300 })],
    ['valid for a year', () => sign({ exp: now() + 365 * 86_400 })],
    ['no required claim', () => sign({ tenant: undefined })],
    ['another value of a required claim', () => sign({ tenant: 'three' })],
    ['no required scope', () => sign({ scope: 'openid' })],
    ['part of a required scope', () => sign({ scope: 'gateway.invoker' })],
    // Names
    ['no username', () => sign({ sub: undefined as never })],
    ['an empty username', () => sign({ sub: '' })],
    ['a username that is a list', () => sign({ sub: ['alice'] as never })],
    ['a username with a trailing space', () => sign({ sub: 'system:masters ' })],
    ['a username under system:', () => sign({ sub: 'system:admin' })],
    ['a username that is a ServiceAccount', () => sign({ sub: 'system:serviceaccount:ci:deployer' })],
    ['a username that splits headers', () => sign({ sub: 'alice\r\nImpersonate-Group: system:masters' })],
    ['a username beyond ASCII', () => sign({ sub: 'álice' })],
    ['a username of another issuer', () => sign({ sub: 'other:alice' })],
    ['a group under system:', () => sign({ groups: ['system:masters'] })],
    ['a group that is empty', () => sign({ groups: ['dev', ''] })],
    ['a group that is an object', () => sign({ groups: [{ name: 'dev' }] })],
    ['groups that are an object', () => sign({ groups: { dev: true } })],
    ['too many groups', () => sign({ groups: Array.from({ length: 257 }, (_, index) => `g${index}`) })],
    ['an empty agent', () => sign({ agent: '' })],
    // Expired: only a genuine one is told so
    ['expired', () => sign({ iat: now() - 900, exp: now() - 300 }), 'SP_CREDENTIAL_EXPIRED'],
    ['expired, signed by a stranger', () => sign({ iat: now() - 900, exp: now() - 300 }, { kid: 'ec' }, foreign)],
    ['expired, for another audience', () => sign({ iat: now() - 900, exp: now() - 300, aud: 'other' })],
    ['expired, unsigned', async () => new UnsecuredJWT({ iss: issuer.url, exp: 1 }).encode()],
  ];

  for (const [what, make, code = 'SP_NOT_AUTHENTICATED'] of table) {
    it(`is refused: ${what}`, async () => {
      const token = await make();
      // Twice: the second time from memory, which must not be kinder.
      for (const time of ['first', 'second']) {
        await assert.rejects(authenticator.authenticate(bearer(token)), (error: unknown) => {
          assert.ok(error instanceof SallyportError);
          assert.equal(error.code, code, `${time} time: ${error.cause}`);
          assert.equal(error.message, MESSAGES[code]);
          assertHidden(error, token);
          return true;
        });
      }
    });
  }

  it('does not send the gateway to any place that it names', () => {
    assert.deepEqual(
      stranger.asked.filter((path) => path !== '/.well-known/openid-configuration' && path !== '/jwks'),
      [],
    );
    assert.ok(stranger.asked.length <= 4, `the stranger was asked ${stranger.asked.length} times`);
  });

  it('of an unknown kid does not make the gateway ask its issuer again and again', async () => {
    const before = issuer.asked.length;
    for (let round = 0; round < 20; round += 1) {
      const token = await sign({ jti: String(round) }, { kid: `made-up-${round}` });
      await assert.rejects(authenticator.authenticate(bearer(token)));
    }
    assert.ok(issuer.asked.length - before <= 2, `asked ${issuer.asked.length - before} times`);
  });
});

/** Neither the token, nor a part of it, nor what it says, in anything that could be logged. */
function assertHidden(error: SallyportError, token: string): void {
  const shown = [error.message, error.stack, (error.cause as Error).stack, JSON.stringify(error.details)].join('\n');
  for (const part of token.split('.'))
    if (part.length > 12) assert.ok(!shown.includes(part), 'shows a part of the token');
  const claims = token.split('.')[1] ?? '';
  const decoded = Buffer.from(claims, 'base64url').toString();
  const subject = /"sub":"([^"]{6,})"/.exec(decoded)?.[1];
  if (subject !== undefined) assert.ok(!shown.includes(subject), 'shows the subject');
}
