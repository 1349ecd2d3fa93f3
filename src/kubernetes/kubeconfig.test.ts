import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { KubeConfig } from '@kubernetes/client-node';
import { stringify } from 'yaml';
import { CertificateAuthority } from '../../test/cluster/certificates.ts';
import { tokenFile } from './credential.ts';
import { inCluster } from './in-cluster.ts';
import { locate } from './locate.ts';
import { ReloadedFile } from './reloaded-file.ts';

describe('the gateway’s own connection', () => {
  let folder: string;
  let ca: string;
  let client: { certPem: string; keyPem: string };
  const base64 = (text: string) => Buffer.from(text).toString('base64');

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'sallyport-kubeconfig-'));
    const authority = await CertificateAuthority.create('test');
    ca = authority.certPem;
    client = await authority.client({ user: 'gateway' });
    writeFileSync(join(folder, 'ca.crt'), ca);
    writeFileSync(join(folder, 'client.crt'), client.certPem);
    writeFileSync(join(folder, 'client.key'), client.keyPem);
    writeFileSync(join(folder, 'token'), 'from-the-file\n');
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  function write(cluster: object, user: object, more: object = {}): string {
    const path = join(folder, `config-${Math.random()}`);
    const config = {
      apiVersion: 'v1',
      kind: 'Config',
      clusters: [{ name: 'c', cluster: { server: 'https://127.0.0.1:6443', ...cluster } }],
      users: [{ name: 'u', user }],
      contexts: [{ name: 'x', context: { cluster: 'c', user: 'u' } }],
      'current-context': 'x',
      ...more,
    };
    writeFileSync(path, stringify(config));
    return path;
  }
  const open = (cluster: object, user: object, more?: object) => locate({ kubeconfig: write(cluster, user, more) });

  it('takes data and files, relative to the kubeconfig', () => {
    const data = open(
      { 'certificate-authority-data': base64(ca), 'tls-server-name': 'kubernetes' },
      { 'client-certificate-data': base64(client.certPem), 'client-key-data': base64(client.keyPem) },
    );
    assert.equal(data.server.href, 'https://127.0.0.1:6443/');
    assert.equal(data.serverName, 'kubernetes');
    assert.equal(data.ca(), ca);
    assert.deepEqual(data.clientCertificate(), { cert: client.certPem, key: client.keyPem });
    assert.equal(data.authorization(), undefined);
    const files = open(
      { 'certificate-authority': 'ca.crt' },
      { 'client-certificate': 'client.crt', 'client-key': 'client.key', tokenFile: 'token', token: 'older' },
    );
    assert.equal(files.ca(), ca);
    assert.deepEqual(files.clientCertificate(), { cert: client.certPem, key: client.keyPem });
    assert.equal(files.authorization(), 'Bearer from-the-file');
  });

  it('reads of a kubeconfig with several entries what the official client reads', () => {
    const path = write(
      {},
      { token: 'first' },
      {
        clusters: [
          { name: 'one', cluster: { server: 'https://one:1', 'certificate-authority-data': base64(ca) } },
          { name: 'two', cluster: { server: 'https://two:2', 'certificate-authority-data': base64(ca) } },
        ],
        users: [
          { name: 'a', user: { token: 'token-a' } },
          { name: 'b', user: { token: 'token-b' } },
        ],
        contexts: [
          { name: 'x', context: { cluster: 'one', user: 'b' } },
          { name: 'y', context: { cluster: 'two', user: 'a' } },
        ],
      },
    );
    for (const context of ['x', 'y']) {
      const official = new KubeConfig();
      official.loadFromFile(path);
      official.setCurrentContext(context);
      const own = locate({ kubeconfig: path, context });
      assert.equal(own.server.origin, new URL(official.getCurrentCluster()!.server).origin);
      assert.equal(own.authorization(), `Bearer ${official.getCurrentUser()!.token}`);
    }
    assert.equal(locate({ kubeconfig: path }).server.host, 'one:1');
  });

  it('refuses what would weaken TLS, run a program, lend an identity or leave a gap, and quotes no value', () => {
    const secret = `s${Math.random()}`;
    const token = { token: 'plain' };
    for (const [cluster, user, expected] of [
      [{ 'insecure-skip-tls-verify': true }, token, /insecure-skip-tls-verify is refused/],
      [{ server: 'http://127.0.0.1:8080' }, token, /must begin with https/],
      [{ server: 'https://user:pw@host' }, token, /password in it is refused/],
      [{ server: 'https://host/k8s/clusters/c-1' }, token, /path after the host/],
      [{ server: 'nonsense' }, token, /not a URL/],
      [{ 'proxy-url': 'http://proxy:1' }, token, /proxy-url is not supported/],
      [{}, { exec: { command: 'sh' } }, /exec would run a program/],
      [{}, { 'auth-provider': { name: 'gcp' } }, /auth-provider would run a program/],
      [{}, { ...token, as: 'system:masters' }, /as is refused/],
      [{}, { ...token, 'as-groups': ['system:masters'] }, /as-groups is refused/],
      [{}, { username: 'a', password: secret }, /username is no longer/],
      [{}, {}, /no credential/],
      [{}, { 'client-certificate': 'client.crt' }, /without its key/],
      [{}, { 'client-certificate': 'client.crt', 'client-key-data': base64(secret) }, /not a private key/],
      [{ 'certificate-authority-data': base64(secret) }, token, /no PEM certificate/],
      [{}, { token: `${secret} x` }, /not a bearer token/],
      [{}, { token: 7 }, /token is not a string/],
    ] as const) {
      assert.throws(
        () => open(cluster, user),
        (error: Error) => expected.test(error.message) && !error.message.includes(secret),
        String(expected),
      );
    }
    assert.throws(() => open({}, token, { 'current-context': 'gone' }), /no entry "gone" in contexts/);
    assert.throws(() => open({}, token, { 'current-context': '' }), /no current-context/);
    const broken = join(folder, 'broken');
    writeFileSync(broken, `users: [{user: {token: "${secret}}`);
    assert.throws(
      () => locate({ kubeconfig: broken }),
      (error: Error) => !error.message.includes(secret),
    );
  });

  it('in a pod it takes the ServiceAccount, over IPv6 too', () => {
    const environment = { KUBERNETES_SERVICE_HOST: 'fd00::1', KUBERNETES_SERVICE_PORT: '6443' };
    const pod = inCluster(environment, () => {}, folder);
    assert.equal(pod.server.href, 'https://[fd00::1]:6443/');
    assert.equal(pod.authorization(), 'Bearer from-the-file');
    assert.equal(pod.ca(), ca);
    assert.throws(() => inCluster({}, () => {}, folder), /set upstream\.kubeconfig/);
    assert.throws(() => inCluster(environment, () => {}, join(folder, 'no')), /set upstream\.kubeconfig/);
  });

  it('a rotated token is used without a restart; a bad one never is', async () => {
    const path = join(folder, 'rotating');
    const replace = (content: string) => {
      // As the kubelet does it: another file takes the name.
      writeFileSync(`${path}.new`, content);
      renameSync(`${path}.new`, path);
    };
    replace('one\n');
    const errors: unknown[] = [];
    const token = tokenFile(path, (error) => errors.push(error));
    assert.equal(token.current(), 'one');
    replace('two\n');
    await token.refresh();
    assert.equal(token.current(), 'two');
    assert.equal(token.revision, 1);
    for (const bad of ['', ' \n', 'a b', 'x'.repeat(2 << 20)]) {
      replace(bad);
      await token.refresh();
      assert.equal(token.current(), 'two');
    }
    rmSync(path);
    await token.refresh();
    assert.equal(token.current(), 'two');
    assert.equal(errors.length, 5);
    assert.throws(() => tokenFile(path, () => {}), /ENOENT/);
  });

  it('a file is looked at again when it is used, not more often than the interval', async () => {
    const path = join(folder, 'looked-at');
    writeFileSync(path, 'one');
    const file = new ReloadedFile(path, { interval: 50, validate: () => {} });
    writeFileSync(path, 'two');
    assert.equal(file.current(), 'one');
    await sleep(80);
    file.current();
    await sleep(50);
    assert.equal(file.current(), 'two');
  });

  it('a rotated CA changes the revision of the trust', async () => {
    const path = join(folder, 'other-ca.crt');
    writeFileSync(path, ca);
    const connection = open({ 'certificate-authority': path }, { token: 'plain' });
    const before = connection.trustRevision();
    writeFileSync(path, (await CertificateAuthority.create('next')).certPem);
    await connection.refresh();
    assert.notEqual(connection.trustRevision(), before);
    assert.notEqual(connection.ca(), ca);
  });
});
