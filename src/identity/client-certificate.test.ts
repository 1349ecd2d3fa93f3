import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import {
  connect as connectHTTP2,
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
} from 'node:http2';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import {
  type Authority,
  issueCertificate,
  type Leaf,
  type LeafOptions,
  makeAuthority,
} from '../../test/identity/certificates.ts';
import { identityMethods } from '../config/identity.ts';
import { SallyportError } from '../errors.ts';
import { type Authenticator, createAuthenticator } from './authenticator.ts';
import { ClientCertificates } from './client-certificate.ts';

const HOUR = 3_600_000;

/** A real TLS server as the gateway runs it: certificates asked for, judged by the identity room. */
describe('a client certificate', () => {
  const folder = mkdtempSync(join(tmpdir(), 'sallyport-certificates-'));
  const caFile = join(folder, 'ca.crt');
  const denylistFile = join(folder, 'denied');
  let authority: Authority;
  let stranger: Authority;
  let server: Http2SecureServer;
  let port = 0;
  let authenticator: Authenticator;

  before(async () => {
    [authority, stranger] = await Promise.all([makeAuthority('agents'), makeAuthority('agents')]);
    const serving = await issueCertificate(authority, { commonName: 'gateway', serverAuth: true });
    writeFileSync(caFile, authority.certificate);
    writeFileSync(denylistFile, '# none yet\n');
    authenticator = createAuthenticator(
      identityMethods.parse({ clientCertificates: { caFile, denylistFile, usernamePrefix: 'cert:' } }),
      {},
    );
    server = createSecureServer({
      allowHTTP1: true,
      cert: serving.certificate,
      key: serving.key,
      ca: authority.certificate,
      requestCert: true,
      rejectUnauthorized: false,
    });
    server.on('request', (request, response) => {
      const input = {
        rawHeaders: request.rawHeaders,
        target: request.url ?? '/',
        socket: ((request as Http2ServerRequest).stream?.session?.socket ?? request.socket) as TLSSocket,
      };
      authenticator.authenticate(input).then(
        (caller) => response.end(JSON.stringify({ caller, resumed: input.socket.isSessionReused?.() })),
        (error: SallyportError) =>
          response.end(
            JSON.stringify({
              code: error.code,
              cause: String(error.cause),
              resumed: input.socket.isSessionReused?.(),
            }),
          ),
      );
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    port = (server.address() as AddressInfo).port;
  });

  after(async () => {
    await authenticator.close();
    server.close();
    rmSync(folder, { recursive: true });
  });

  interface Answer {
    caller?: { username: string; groups: string[]; method: string; issuer: string };
    code?: string;
    cause?: string;
    resumed?: boolean;
  }

  /** One request over HTTP/1.1 on a connection of its own; gives the TLS session too. */
  function ask(
    leaf: Leaf | undefined,
    options: { session?: Buffer; headers?: string; version?: 'TLSv1.2' | 'TLSv1.3' } = {},
  ): Promise<{ answer: Answer; session: Buffer | undefined }> {
    return new Promise((resolve, reject) => {
      let session: Buffer | undefined;
      let text = '';
      const version = options.version ?? 'TLSv1.3';
      const socket = connect({
        host: '127.0.0.1',
        port,
        rejectUnauthorized: false,
        minVersion: version,
        maxVersion: version,
        ...(leaf === undefined ? {} : { cert: leaf.certificate, key: leaf.key }),
        ...(options.session === undefined ? {} : { session: options.session }),
      });
      socket.on('session', (ticket) => (session = ticket));
      socket.on('error', reject);
      socket.on('data', (chunk) => (text += chunk.toString()));
      socket.on('end', () => {
        socket.destroy();
        resolve({ answer: JSON.parse(text.slice(text.indexOf('{'), text.lastIndexOf('}') + 1)) as Answer, session });
      });
      socket.write(`GET / HTTP/1.1\r\nHost: gateway\r\n${options.headers ?? ''}Connection: close\r\n\r\n`);
    });
  }

  const good: LeafOptions = { commonName: 'deployer', organizations: ['ci', 'ops'], clientAuth: true };

  it('names its caller: CN and every O', async () => {
    const { answer } = await ask(await issueCertificate(authority, good));
    assert.equal(answer.caller?.username, 'cert:deployer');
    assert.deepEqual(
      answer.caller?.groups.toSorted((a, b) => a.localeCompare(b)),
      ['ci', 'ops'],
    );
    assert.equal(answer.caller?.method, 'ClientCertificate');
    assert.equal(answer.caller?.issuer, 'x509');
  });

  it('works over HTTP/2', async () => {
    const leaf = await issueCertificate(authority, good);
    const client = connectHTTP2(`https://127.0.0.1:${port}`, {
      rejectUnauthorized: false,
      cert: leaf.certificate,
      key: leaf.key,
    });
    const stream = client.request({ ':path': '/' });
    let text = '';
    for await (const chunk of stream) text += String(chunk);
    client.close();
    assert.equal((JSON.parse(text) as Answer).caller?.username, 'cert:deployer');
  });

  const refused: [string, LeafOptions, string, ('SP_NOT_AUTHENTICATED' | 'SP_CREDENTIAL_EXPIRED')?][] = [
    ['no EKU', { commonName: 'deployer' }, 'clientAuth'],
    ['serverAuth only', { commonName: 'deployer', serverAuth: true }, 'clientAuth'],
    ['an authority’s own', { ...good, authority: true }, 'authority’s own'],
    ['no common name', { organizations: ['ci'], clientAuth: true }, 'common name'],
    ['two common names', { ...good, commonName: ['deployer', 'admin'] }, 'common name'],
    ['an empty common name', { ...good, commonName: '' }, 'common name'],
    ['a trailing space', { ...good, commonName: 'deployer ' }, 'username'],
    ['a line break that would be another attribute', { ...good, commonName: 'x\nO=system:masters' }, 'username'],
    ['letters beyond ASCII', { ...good, commonName: 'déployer' }, 'username'],
    ['a group under system:', { ...good, organizations: ['system:masters'] }, 'group'],
    ['an empty group', { ...good, organizations: ['ci', ''] }, 'organisation'],
    ['not yet valid', { ...good, notBefore: new Date(Date.now() + HOUR / 2) }, 'not valid yet'],
    ['expired', { ...good, notAfter: new Date(Date.now() - HOUR / 2) }, 'expired', 'SP_CREDENTIAL_EXPIRED'],
  ];
  for (const [what, options, cause, code = 'SP_NOT_AUTHENTICATED'] of refused) {
    it(`is refused: ${what}`, async () => {
      const { answer } = await ask(await issueCertificate(authority, options));
      assert.equal(answer.code, code, JSON.stringify(answer));
      assert.ok(answer.cause?.includes(cause), answer.cause);
    });
  }

  it('is refused from another authority of the same name, expired too', async () => {
    for (const options of [good, { ...good, notAfter: new Date(Date.now() - HOUR / 2) }]) {
      const { answer } = await ask(await issueCertificate(stranger, options));
      assert.equal(answer.code, 'SP_NOT_AUTHENTICATED');
      assert.ok(answer.cause?.includes('not issued'), answer.cause);
    }
  });

  it('is refused from below: a leaf of a leaf that calls itself the authority', async () => {
    const middle = { ...(await makeAuthority('agents')), name: 'agents' };
    const { answer } = await ask(await issueCertificate(middle, good));
    assert.equal(answer.code, 'SP_NOT_AUTHENTICATED');
  });

  it('is refused beside a token, and no credential is none', async () => {
    const leaf = await issueCertificate(authority, good);
    const { answer } = await ask(leaf, { headers: 'Authorization: Bearer abc\r\n' });
    assert.ok(answer.cause?.includes('a token and a client certificate'), answer.cause);
    assert.ok((await ask(undefined)).answer.cause?.includes('no credential'));
  });

  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    it(`is judged again when its TLS session is resumed (${version})`, async (t) => {
      const leaf = await issueCertificate(authority, good);
      const first = await ask(leaf, { version });
      assert.equal(first.answer.caller?.username, 'cert:deployer');
      assert.ok(first.session, 'the server gave no session');
      const second = await ask(leaf, { version, session: first.session });
      assert.equal(second.answer.resumed, true, 'the session was not resumed: this test would show nothing');
      assert.equal(second.answer.caller?.username, 'cert:deployer');
      // Denied meanwhile: a resumed handshake verifies nothing, the identity room does.
      writeFileSync(denylistFile, `# lost laptop\n${leaf.serial.toUpperCase()}\n`);
      t.after(() => writeFileSync(denylistFile, ''));
      const strict = createAuthenticator(
        identityMethods.parse({ clientCertificates: { caFile, denylistFile, usernamePrefix: 'cert:' } }),
        {},
      );
      const former = authenticator;
      authenticator = strict;
      t.after(() => (authenticator = former));
      const third = await ask(leaf, { version, session: second.session ?? first.session });
      assert.equal(third.answer.resumed, true);
      assert.equal(third.answer.code, 'SP_NOT_AUTHENTICATED');
      assert.ok(third.answer.cause?.includes('denied'), third.answer.cause);
    });
  }
});

describe('a client certificate on a connection that stays open', () => {
  it('ends when it expires, when it is denied, and when its authority goes', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-certificates-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const [authority, successor] = await Promise.all([makeAuthority('agents'), makeAuthority('next')]);
    const leaf = await issueCertificate(authority, { commonName: 'deployer', clientAuth: true });
    const caFile = join(folder, 'ca.crt');
    const denylistFile = join(folder, 'denied');
    writeFileSync(caFile, authority.certificate);
    writeFileSync(denylistFile, '');
    let now = Date.now();
    const errors: unknown[] = [];
    const { clientCertificates } = identityMethods.parse({ clientCertificates: { caFile, denylistFile } });
    const certificates = new ClientCertificates(
      clientCertificates!,
      { usernames: [], groups: [] },
      () => now,
      (_path, error) => errors.push(error),
      0,
    );
    const { X509Certificate } = await import('node:crypto');
    const socket = { authorized: true, getPeerX509Certificate: () => new X509Certificate(leaf.certificate) };
    const settled = async (expected: RegExp | undefined) => {
      // The first look finds the changed file in the background, the next one judges by it.
      for (let round = 0; round < 100; round += 1) {
        let cause = '';
        try {
          certificates.identify(socket);
        } catch (error) {
          cause = String((error as SallyportError).cause);
        }
        if (expected === undefined ? cause === '' : expected.test(cause)) return;
        await new Promise((resolve) => setTimeout(resolve, 10));
      }
      assert.fail(`never ${expected}`);
    };
    assert.equal(certificates.identify(socket), certificates.identify(socket), 'judged once for a connection');
    writeFileSync(denylistFile, `0x${leaf.serial}\n`);
    await settled(/denied/);
    writeFileSync(denylistFile, 'no serial\n');
    while (errors.length === 0) {
      await settled(/denied/);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    await settled(/denied/);
    writeFileSync(denylistFile, '');
    await settled(undefined);
    writeFileSync(caFile, successor.certificate);
    await settled(/not issued/);
    writeFileSync(caFile, `${successor.certificate}\n${authority.certificate}`);
    await settled(undefined);
    now += HOUR;
    assert.throws(
      () => certificates.identify(socket),
      (error: SallyportError) => error.code === 'SP_CREDENTIAL_EXPIRED' || error.code === 'SP_NOT_AUTHENTICATED',
    );
  });

  it('needs what TLS said, too', async (t) => {
    const folder = mkdtempSync(join(tmpdir(), 'sallyport-certificates-'));
    t.after(() => rmSync(folder, { recursive: true }));
    const authority = await makeAuthority('agents');
    const leaf = await issueCertificate(authority, { commonName: 'deployer', clientAuth: true });
    const caFile = join(folder, 'ca.crt');
    writeFileSync(caFile, authority.certificate);
    const { X509Certificate } = await import('node:crypto');
    const certificates = new ClientCertificates(
      identityMethods.parse({ clientCertificates: { caFile } }).clientCertificates!,
      { usernames: [], groups: [] },
      Date.now,
      () => {},
    );
    const certificate = new X509Certificate(leaf.certificate);
    assert.throws(
      () => certificates.identify({ authorized: false, getPeerX509Certificate: () => certificate }),
      SallyportError,
    );
    writeFileSync(caFile, leaf.certificate);
    assert.throws(
      () =>
        new ClientCertificates(
          identityMethods.parse({ clientCertificates: { caFile } }).clientCertificates!,
          { usernames: [], groups: [] },
          Date.now,
          () => {},
        ),
      /no authority/,
    );
  });
});
