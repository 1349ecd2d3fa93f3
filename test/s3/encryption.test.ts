import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { IncomingHttpHeaders, IncomingMessage } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { recordingStorage } from '../../src/config/recording-storage.ts';
import { faultOf, joined, sealOf } from '../../src/recording/storage/cases.ts';
import { openStorage } from '../../src/recording/storage/open.ts';
import type { Storage } from '../../src/recording/storage/storage.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { REGION, type S3Server, startS3Server } from './s3-server.ts';

const SSE = 'x-amz-server-side-encryption';
const folder = mkdtempSync(join(tmpdir(), 'sallyport-encryption-'));
let server: S3Server;
let proxy: FaultProxy;
const opened: Storage[] = [];
before(async () => {
  // No server of ours encrypts. This one takes the headers and, as a store with keys of KMS, has ETags that are no MD5.
  server = await startS3Server({ args: ['--data-integrity-etag'] });
  await server.makeBucket('locked', true);
  proxy = await startFaultProxy(server);
  writeFileSync(join(folder, 'id'), server.keys.accessKeyID);
  writeFileSync(join(folder, 'key'), server.keys.secretAccessKey, { mode: 0o600 });
});
after(async () => {
  await proxy?.stop();
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});
afterEach(async () => {
  proxy.fault = undefined;
  proxy.amend = undefined;
  proxy.seen.length = 0;
  for (const each of opened.splice(0)) await each.close();
});

let count = 0;
/** Opened as a gateway opens it, from its configuration. */
function configured(serverSideEncryption: Record<string, unknown> | undefined): Storage {
  const configuration = recordingStorage.parse({
    s3: {
      bucket: 'locked',
      prefix: `case-${++count}/`,
      region: REGION,
      endpoint: proxy.endpoint.origin,
      insecureLoopbackHTTP: true,
      pathStyle: true,
      objectLock: { mode: 'Governance', retention: '1h' },
      credentials: {
        secret: { accessKeyIDFile: join(folder, 'id'), secretAccessKeyFile: join(folder, 'key') },
      },
      attempts: 1,
      serverSideEncryption,
    },
  });
  const storage = openStorage(configuration);
  opened.push(storage);
  return storage;
}

const SEGMENT = 'recordings/shop/000001.jsonl.zst';
const LARGE = 'recordings/shop/000002.jsonl.zst';
const content = randomBytes(100_000);
const large = randomBytes(18_000_000);
const part = { number: 1, firstSeq: 1, lastSeq: 9, bytes: content.length };
const sealing = (bytes = content) => sealOf(bytes, Date.now() + 3_600_000);
const pathOf = ({ url }: IncomingMessage): string => url!.replace(/\?.*/, '');
const encryptionOf = (headers: IncomingHttpHeaders) =>
  Object.fromEntries(Object.entries(headers).filter(([name]) => name.startsWith(SSE)));
const begins = ({ method, url }: IncomingMessage): boolean =>
  (method === 'PUT' && !url!.includes('?')) || (method === 'POST' && url!.endsWith('?uploads='));

/** What the store was asked to encrypt, by name; its answers to HEAD say of each object what was asked for it, as S3's do. */
function encrypting(): Map<string, IncomingHttpHeaders> {
  const asked = new Map<string, IncomingHttpHeaders>();
  proxy.fault = (incoming) => {
    if (begins(incoming)) asked.set(pathOf(incoming), encryptionOf(incoming.headers));
    return 'pass';
  };
  proxy.amend = (incoming, headers) => {
    return incoming.method === 'HEAD' ? { ...headers, ...asked.get(pathOf(incoming)) } : headers;
  };
  return asked;
}

for (const [encryption, headers] of [
  [{ algorithm: 'AES256' }, { [SSE]: 'AES256' }],
  [
    { algorithm: 'aws:kms', kmsKeyID: 'alias/recordings', bucketKey: true },
    {
      [SSE]: 'aws:kms',
      [`${SSE}-aws-kms-key-id`]: 'alias/recordings',
      [`${SSE}-bucket-key-enabled`]: 'true',
    },
  ],
  [{ algorithm: 'aws:kms:dsse' }, { [SSE]: 'aws:kms:dsse' }],
] as const) {
  test(`${encryption.algorithm}: asked for with every object, in one request or in several, and believed where HEAD says so`, async () => {
    const asked = encrypting();
    const storage = configured(encryption);
    await storage.putMutable('replicas/a.json', Buffer.from('{}'));
    await storage.appendPart(SEGMENT, part, content);
    await storage.sealParts(SEGMENT, sealing());
    await storage.putSealed(LARGE, large, sealing(large));
    const names = ['replicas/a.json', `${SEGMENT}.open/000001-1-9`, SEGMENT, LARGE];
    assert.deepEqual(
      Object.fromEntries(asked),
      Object.fromEntries(names.map((name) => [`/locked/case-${count}/${name}`, headers])),
    );
    assert.ok(large.equals(await joined(storage.get(LARGE))));
  });

  test(`${encryption.algorithm}: a store whose HEAD does not say so has not sealed`, async () => {
    const storage = configured(encryption);
    assert.equal(await faultOf(storage.putSealed(SEGMENT, content, sealing())), 'Refused');
    // As another algorithm: what the bucket does by itself.
    const other = encryption.algorithm === 'AES256' ? 'aws:kms' : 'AES256';
    proxy.amend = (_, headers) => ({ ...headers, [SSE]: other });
    assert.equal(await faultOf(storage.putSealed(LARGE, large, sealing(large))), 'Refused');
  });
}

test('not configured, it is not asked for', async () => {
  const asked = encrypting();
  await configured(undefined).putSealed(SEGMENT, content, sealing());
  assert.deepEqual([...asked.values()], [{}]);
});

const readsOf = ({ seen }: FaultProxy) =>
  seen.filter((each) => /^GET \/locked\/[^?]*(?:\?versionId=[^&]*)?$/.test(each)).length;

test('with keys of KMS no ETag is an MD5: a checksum is asked for, and nothing has to be read back', async () => {
  encrypting();
  const storage = configured({ algorithm: 'aws:kms' });
  await storage.appendPart(SEGMENT, part, content);
  assert.equal(proxy.seen.length, 1, `${proxy.seen}`);
  await storage.putSealed(SEGMENT, content, sealing());
  assert.equal(readsOf(proxy), 0, `${proxy.seen}`);
});

test('with keys of KMS, and a store that knows no such checksum: read back', async () => {
  encrypting();
  const { amend } = proxy;
  proxy.amend = (incoming, headers) => {
    const { 'x-amz-checksum-sha256': _, ...rest } = amend!(incoming, headers);
    return rest;
  };
  const storage = configured({ algorithm: 'aws:kms' });
  await storage.appendPart(SEGMENT, part, content);
  assert.equal(readsOf(proxy), 1, `${proxy.seen}`);
  await storage.putSealed(SEGMENT, content, sealing());
  assert.equal(readsOf(proxy), 2, `${proxy.seen}`);
});

test('the checksum is asked for with keys of KMS only: there are stores that refuse it', async () => {
  const named: string[] = [];
  proxy.fault = ({ headers }) => {
    named.push(...Object.keys(headers).filter((name) => name.startsWith('x-amz-checksum')));
    return 'pass';
  };
  proxy.amend = (_, headers) => ({ ...headers, [SSE]: 'AES256' });
  for (const encryption of [undefined, { algorithm: 'AES256' }]) {
    const storage = configured(encryption);
    await storage.appendPart(SEGMENT, part, content);
    await storage.sealParts(SEGMENT, sealing());
  }
  assert.deepEqual(named, []);
});
