import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { faultOf, joined, sealOf } from '../../src/recording/storage/cases.ts';
import type { S3Answer, S3Client, S3Request } from '../../src/recording/storage/s3-client.ts';
import { findText, parseAnswer } from '../../src/recording/storage/s3-xml.ts';
import { type S3Server, startS3Server } from './s3-server.ts';

const KEY = 'recordings/shop-1/000001.jsonl.zst';
const BYPASS = { 'x-amz-bypass-governance-retention': 'true' };
const sealed = Buffer.from('what the agent did');
const forged = Buffer.from('what the agent would rather have done');

let server: S3Server;
let client: S3Client;
before(async () => {
  server = await startS3Server();
  await server.makeBucket('locked', true);
  client = server.client('locked', { attempts: 1 });
});
after(async () => {
  await client?.close();
  await server?.stop();
});

/** A sealed segment, and requests to it by an account that may do everything. */
async function seal(mode: 'Governance' | 'Compliance', prefix: string) {
  const shadowed: string[] = [];
  const storage = server.storage('locked', { lockMode: mode, prefix, onShadowed: (key) => void shadowed.push(key) });
  await storage.putSealed(KEY, sealed, sealOf(sealed, Date.now() + 3_600_000));
  const ask = (wanted: Omit<S3Request, 'key' | 'expect' | 'operation'>): Promise<S3Answer> =>
    client.send({
      operation: 'attack',
      key: `${prefix}${KEY}`,
      expect: [200, 204, 400, 403, 404, 405, 409, 412],
      ...wanted,
    });
  const { headers } = await ask({ method: 'HEAD' });
  const versionId = headers['x-amz-version-id']!;
  const isRead = async (): Promise<void> => {
    assert.equal((await joined(storage.get(KEY))).toString(), sealed.toString());
    const listed: string[] = [];
    for await (const { key, bytes } of storage.list('recordings/')) listed.push(`${key} ${bytes}`);
    assert.deepEqual(listed, [`${KEY} ${sealed.length}`]);
  };
  return { storage, ask, versionId, isRead, shadowed };
}

test('Compliance: the sealed version outlives whoever has the right to lift a Governance lock, and asks for it', async () => {
  const { storage, ask, versionId, isRead } = await seal('Compliance', 'bypass-compliance/');
  const lifted =
    '<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2030-01-01T00:00:00Z</RetainUntilDate></Retention>';
  const attempts = {
    'delete it': { method: 'DELETE', query: { versionId }, headers: BYPASS },
    'make it Governance': {
      method: 'PUT',
      query: { versionId, retention: '' },
      headers: BYPASS,
      body: Buffer.from(lifted),
    },
    'unlock it': {
      method: 'PUT',
      query: { versionId, retention: '' },
      headers: BYPASS,
      body: Buffer.from('<Retention/>'),
    },
  } as const;
  for (const [what, attempt] of Object.entries(attempts)) {
    const { status } = await ask(attempt);
    assert.ok(status >= 400, `${what}: ${status}`);
    await isRead();
  }
  assert.equal(await faultOf(storage.remove(KEY)), 'Locked');
  await storage.close();
});

test('Governance: the sealed version goes with that right asked for, and not without', async () => {
  const { storage, ask, versionId, isRead } = await seal('Governance', 'bypass-governance/');
  const plain = await ask({ method: 'DELETE', query: { versionId } });
  assert.ok(plain.status >= 400, `${plain.status}`);
  await isRead();
  const lifted = await ask({ method: 'DELETE', query: { versionId }, headers: BYPASS });
  assert.equal(lifted.status, 204);
  assert.equal(await faultOf(joined(storage.get(KEY))), 'NotFound');
  await storage.close();
});

for (const mode of ['Governance', 'Compliance'] as const) {
  test(`${mode}: an object that is copied onto it is a version of its own; the sealed one is read, and it is said`, async () => {
    const prefix = `copy-${mode.toLowerCase()}/`;
    const { storage, ask, isRead, shadowed } = await seal(mode, prefix);
    await client.send({ operation: 'forge', method: 'PUT', key: `${prefix}forged`, body: forged, expect: [200] });
    const copied = await ask({ method: 'PUT', headers: { 'x-amz-copy-source': `/locked/${prefix}forged` } });
    assert.equal(copied.status, 200, copied.body.toString());
    assert.equal((await ask({ method: 'GET' })).body.toString(), forged.toString(), 'a plain reader sees the forgery');
    await isRead();
    assert.ok(shadowed.includes(KEY));
    assert.equal(await faultOf(storage.remove(KEY)), 'Locked');
    await storage.close();
  });

  test(`${mode}: so is a multipart upload that is completed onto it`, async () => {
    const { storage, ask, isRead, shadowed } = await seal(mode, `multipart-${mode.toLowerCase()}/`);
    const created = await ask({ method: 'POST', query: { uploads: '' } });
    const uploadId = findText(parseAnswer(created.body.toString())!, 'UploadId')!;
    const sent = await ask({ method: 'PUT', query: { uploadId, partNumber: '1' }, body: forged });
    const part = `<Part><PartNumber>1</PartNumber><ETag>${sent.headers['etag']}</ETag></Part>`;
    const body = Buffer.from(`<CompleteMultipartUpload>${part}</CompleteMultipartUpload>`);
    const completed = await ask({ method: 'POST', query: { uploadId }, body });
    assert.equal(completed.status, 200, completed.body.toString());
    assert.equal((await ask({ method: 'GET' })).body.toString(), forged.toString(), 'a plain reader sees the forgery');
    await isRead();
    assert.ok(shadowed.includes(KEY));
    assert.equal(await faultOf(storage.remove(KEY)), 'Locked');
    await storage.close();
  });
}
