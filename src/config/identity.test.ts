import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { identityMethods, urlProblem } from './identity.ts';

const issuer = (url: string, prefix: string, groups?: string) => ({
  issuer: url,
  audiences: ['sallyport'],
  claimMappings: {
    username: { claim: 'sub', prefix },
    ...(groups === undefined ? {} : { groups: { claim: 'groups', prefix: groups } }),
  },
});
const problems = (methods: object) => {
  const parsed = identityMethods.safeParse(methods);
  return parsed.success ? [] : parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`);
};
const [a, b] = ['https://a.example', 'https://b.example'];

describe('the identity configuration', () => {
  it('takes issuers whose names cannot meet', () => {
    assert.deepEqual(problems({ oidc: [issuer(a, ''), issuer(b, 'ci:')] }), []);
    assert.deepEqual(problems({ oidc: [issuer(a, 'a:', ''), issuer(b, 'b:', 'b:')] }), []);
    assert.deepEqual(
      problems({ oidc: [issuer(a, '')], clientCertificates: { caFile: 'x', usernamePrefix: 'c:' } }),
      [],
    );
  });

  const conflicts: [string, object, RegExp][] = [
    ['two issuers without a prefix', { oidc: [issuer(a, ''), issuer(b, '')] }, /would be one caller/],
    ['two issuers with one prefix', { oidc: [issuer(a, 'x:'), issuer(b, 'x:')] }, /would be one caller/],
    ['a prefix that begins another', { oidc: [issuer(a, 'x:'), issuer(b, 'x:y:')] }, /names of both could be one/],
    ['groups without a prefix', { oidc: [issuer(a, 'a:', ''), issuer(b, 'b:', '')] }, /would be one caller/],
    ['an issuer and certificates', { oidc: [issuer(a, '')], clientCertificates: { caFile: 'x' } }, /one caller/],
    ['an issuer listed twice', { oidc: [issuer(a, 'a:'), issuer(a, 'b:')] }, /listed twice/],
    ['a reserved prefix', { oidc: [issuer(a, 'system:')] }, /reserved/],
    ['the ServiceAccounts’ prefix', { oidc: [issuer(a, 'sa:')] }, /reserved/],
    ['a prefix without its end', { oidc: [issuer(a, 'corp')] }, /ends in one of/],
    ['a prefix with a space', { oidc: [issuer(a, ' x:')] }, /ends in one of/],
    ['plain HTTP', { oidc: [issuer('http://idp.example', '')] }, /https only/],
    ['plain HTTP to loopback, unasked', { oidc: [issuer('http://127.0.0.1:1', '')] }, /https only/],
    ['a user in the URL', { oidc: [issuer('https://u:p@idp.example', '')] }, /user information/],
    ['an HMAC', { oidc: [{ ...issuer(a, ''), algorithms: ['HS256'] }] }, /algorithms/],
    ['no algorithm', { oidc: [{ ...issuer(a, ''), algorithms: ['none'] }] }, /algorithms/],
    ['no audience', { oidc: [{ ...issuer(a, ''), audiences: [] }] }, /audiences/],
    ['a misspelt key', { oidc: [{ ...issuer(a, ''), audience: 'x' }] }, /audience/],
  ];
  for (const [what, methods, expected] of conflicts) {
    it(`refuses ${what}`, () => assert.match(problems(methods).join('\n'), expected));
  }

  it('allows plain HTTP to loopback alone', () => {
    for (const url of ['http://127.0.0.1:1/x', 'http://localhost/', 'http://[::1]:8/']) {
      assert.equal(urlProblem(url, true), undefined, url);
      assert.ok(urlProblem(url, false));
    }
    for (const url of ['http://127.0.0.1.example/', 'http://10.0.0.1/', 'file:///etc/passwd', 'http://a@127.0.0.1/']) {
      assert.ok(urlProblem(url, true), url);
    }
  });
});
