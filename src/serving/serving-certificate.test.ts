import assert from 'node:assert/strict';
import { createServer, type Server } from 'node:https';
import type { AddressInfo } from 'node:net';
import { after, before, describe, it } from 'node:test';
import { connect, type TLSSocket } from 'node:tls';
import { type Authority, issueCertificate, makeAuthority } from '../../test/identity/certificates.ts';
import { createLog } from '../observe/log.ts';
import { Metrics } from '../observe/metrics.ts';
import { certificateSource } from './certificate-source.ts';
import { ServingCertificate } from './serving-certificate.ts';

/** The Secret as somebody has it at the moment. */
let data: Record<string, string> | undefined;
const secrets = { get: async () => (data === undefined ? undefined : { data, resourceVersion: '1' }) };
const said: string[] = [];
const log = createLog('info', { write: (line: string) => void said.push(line) });
const metrics = new Metrics('0');
let authority: Authority;
let certificate: ServingCertificate;
let server: Server;

const leaf = async () => {
  const { certificate: cert, key } = await issueCertificate(authority, { commonName: 'localhost', serverAuth: true });
  return { 'tls.crt': cert, 'tls.key': key };
};
const options = () => ({
  name: 'listen.tls',
  source: certificateSource({ secretName: 'sallyport-tls' }, secrets),
  log,
  metrics,
});

before(async () => {
  authority = await makeAuthority('serving test');
  const loading = ServingCertificate.load(options());
  // cert-manager makes the Secret before it fills it.
  data = { 'tls.crt': '', 'tls.key': '' };
  await new Promise((resolve) => setTimeout(resolve, 700));
  data = await leaf();
  certificate = await loading;
  server = createServer({ ...certificate.material }, (_request, response) => response.end('still here'));
  certificate.attach(server);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
after(() => {
  certificate.stop();
  server.close();
  server.closeAllConnections();
});

function open(ciphers?: string): Promise<TLSSocket> {
  const { port } = server.address() as AddressInfo;
  const trusted = { servername: 'localhost', ca: authority.certificate };
  return new Promise((resolve, reject) => {
    const socket = connect({ port, host: '127.0.0.1', ...trusted, ...(ciphers && { ciphers }) }, () => resolve(socket));
    socket.once('error', reject);
  });
}

async function serves(): Promise<string> {
  const socket = await open();
  const { serialNumber } = socket.getPeerX509Certificate()!;
  socket.destroy();
  return serialNumber;
}

describe('the certificate that serves', () => {
  it('was waited for, and that was said', () => {
    assert.match(said.join(), /not serving yet: tls.crt and tls.key of the Secret sallyport-tls/);
  });

  it('is exchanged for new connections; an open one goes on', async () => {
    const open1 = await open();
    const before = open1.getPeerX509Certificate()!.serialNumber;
    data = await leaf();
    await certificate.look();
    assert.notEqual(await serves(), before);
    const answered = new Promise<string>((resolve) => open1.once('data', (chunk: Buffer) => resolve(String(chunk))));
    open1.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
    assert.match(await answered, /still here/);
    open1.destroy();
  });

  it('stays while what would follow it cannot serve: gone, torn, nonsense', async () => {
    const good = await serves();
    for (const bad of [
      undefined,
      { ...(await leaf()), 'tls.key': data!['tls.key']! },
      { 'tls.crt': 'x', 'tls.key': 'y' },
    ]) {
      data = bad;
      await certificate.look();
      assert.equal(await serves(), good);
    }
    assert.equal(said.filter((line) => line.includes('goes on serving')).length, 3);
    await certificate.look();
    assert.equal(said.filter((line) => line.includes('goes on serving')).length, 3, 'the same is said once');
    data = await leaf();
    await certificate.look();
    assert.notEqual(await serves(), good);
  });

  it('comes with AES-128 before AES-256, after an exchange too; a client without AES or without AES-128 gets its own', async () => {
    const chosen = async (ciphers?: string) => {
      const socket = await open(ciphers);
      const { name } = socket.getCipher();
      socket.destroy();
      return name;
    };
    assert.equal(await chosen(), 'TLS_AES_128_GCM_SHA256', 'Node as a client offers AES-256 first');
    assert.equal(await chosen('TLS_AES_256_GCM_SHA384'), 'TLS_AES_256_GCM_SHA384');
    const chacha = 'TLS_CHACHA20_POLY1305_SHA256';
    assert.equal(await chosen(`${chacha}:TLS_AES_128_GCM_SHA256`), chacha);
  });

  it('has its end among the metrics', async () => {
    assert.match(await metrics.text(), /sallyport_certificate_expiry_timestamp_seconds\{certificate="listen.tls"\} \d/);
  });

  it('keeps a process from starting where it can never serve, and says which', async () => {
    data = { ...(await leaf()), 'tls.key': 'nonsense' };
    await assert.rejects(
      ServingCertificate.load(options()),
      /listen.tls: tls.crt and tls.key of the Secret sallyport-tls/,
    );
  });
});
