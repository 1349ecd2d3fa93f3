import assert from 'node:assert/strict';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { issueCertificate, makeAuthority } from '../../test/identity/certificates.ts';
import { LoopbackIssuer, makeKey } from '../../test/identity/issuer.ts';
import { discoverKeys, IssuerFetch } from './issuer-fetch.ts';

const soon = () => AbortSignal.timeout(3_000);

describe('fetching an issuer’s keys', () => {
  const issuer = new LoopbackIssuer();
  let fetch: IssuerFetch;

  before(async () => {
    issuer.keys.push(await makeKey('one'));
    await issuer.listen();
    fetch = new IssuerFetch({ ca: undefined, allowLoopbackHTTP: true });
  });
  after(async () => {
    await fetch.close();
    await issuer.close();
  });

  it('follows discovery', async () => {
    const { keys } = await discoverKeys(fetch, issuer.url, undefined, soon());
    assert.equal((keys as { kid: string }[])[0]?.kid, 'one');
  });

  it('refuses a document that names another issuer, if only by a slash', async () => {
    await assert.rejects(discoverKeys(fetch, `${issuer.url}/`, undefined, soon()), /another issuer/);
    await assert.rejects(
      discoverKeys(fetch, 'https://idp.example', `${issuer.url}/.well-known/openid-configuration`, soon()),
      /another issuer/,
    );
  });

  const answer =
    (status: number, body: () => string, headers = {}): LoopbackIssuer['takeOver'] =>
    (_request, response) => {
      response.writeHead(status, headers).end(body());
      return true;
    };
  const answers: [string, LoopbackIssuer['takeOver'], RegExp][] = [
    ['a redirect', answer(302, () => '', { location: '/jwks' }), /answered 302/],
    ['an error', answer(500, () => ''), /answered 500/],
    ['no JSON', answer(200, () => '<html>'), /JSON/],
    ['a list', answer(200, () => '[]'), /JSON object/],
    ['no jwks_uri', answer(200, () => JSON.stringify({ issuer: issuer.url })), /jwks_uri/],
    [
      'keys on plain HTTP elsewhere',
      answer(200, () => JSON.stringify({ issuer: issuer.url, jwks_uri: 'http://192.0.2.1/jwks' })),
      /https only/,
    ],
    [
      'keys in a file',
      answer(200, () => JSON.stringify({ issuer: issuer.url, jwks_uri: 'file:///etc/passwd' })),
      /https only/,
    ],
    [
      'an endless document',
      (_q, r) => {
        const more = () => {
          while (!r.destroyed && r.write('x'.repeat(65_536)));
        };
        r.on('drain', more);
        more();
        return true;
      },
      /more than/,
    ],
  ];
  for (const [what, takeOver, expected] of answers) {
    it(`refuses ${what}`, async (t) => {
      issuer.takeOver = takeOver;
      t.after(() => {
        issuer.takeOver = undefined;
      });
      await assert.rejects(discoverKeys(fetch, issuer.url, undefined, soon()), expected);
    });
  }

  it('gives up on an issuer that accepts and says nothing', async (t) => {
    issuer.takeOver = () => true;
    t.after(() => {
      issuer.takeOver = undefined;
    });
    await assert.rejects(discoverKeys(fetch, issuer.url, undefined, AbortSignal.timeout(100)));
  });

  it('refuses plain HTTP even to loopback unless told', async () => {
    const strict = new IssuerFetch({ ca: undefined, allowLoopbackHTTP: false });
    await assert.rejects(strict.json(`${issuer.url}/jwks`, soon()), /https only/);
    await strict.close();
  });

  it('trusts the given authority, and it alone', async (t) => {
    const [authority, other] = await Promise.all([makeAuthority('one'), makeAuthority('two')]);
    const leaf = await issueCertificate(authority, { commonName: 'localhost', serverAuth: true });
    const server = createServer({ cert: leaf.certificate, key: leaf.key }, (_request, response) =>
      response.end('{"a":1}'),
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    t.after(() => server.close());
    const url = `https://localhost:${(server.address() as AddressInfo).port}/`;
    const trusting = new IssuerFetch({ ca: authority.certificate, allowLoopbackHTTP: false });
    const mistrusting = new IssuerFetch({ ca: other.certificate, allowLoopbackHTTP: false });
    t.after(() => Promise.all([trusting.close(), mistrusting.close()]));
    assert.deepEqual(await trusting.json(url, soon()), { a: 1 });
    await assert.rejects(mistrusting.json(url, soon()));
  });
});
