import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import type { IncomingMessage } from 'node:http';
import { after, afterEach, before, test } from 'node:test';
import { faultOf, joined, sealOf } from '../../src/recording/storage/cases.ts';
import type { S3Storage, S3StorageOptions } from '../../src/recording/storage/s3.ts';
import { answerWith, type Fault, type FaultProxy, first, startFaultProxy } from './fault-proxy.ts';
import { type S3Server, startS3Server } from './s3-server.ts';

let server: S3Server;
/** Its ETags are checksums of another kind, as those of objects under keys of KMS are no MD5 either. */
let otherETags: S3Server;
let proxy: FaultProxy;
let otherProxy: FaultProxy;
const opened: S3Storage[] = [];
before(async () => {
  server = await startS3Server();
  await server.makeBucket('locked', true);
  proxy = await startFaultProxy(server);
  otherETags = await startS3Server({ args: ['--data-integrity-etag'] });
  await otherETags.makeBucket('locked', true);
  otherProxy = await startFaultProxy(otherETags);
});
after(async () => {
  for (const each of [proxy, otherProxy, server, otherETags]) await each?.stop();
});
afterEach(async () => {
  for (const each of [proxy, otherProxy]) {
    each.fault = undefined;
    each.amend = undefined;
    each.seen.length = 0;
  }
  for (const each of opened.splice(0)) await each.close();
});

let count = 0;
function fresh(more: Partial<S3StorageOptions> = {}, store = server, through = proxy) {
  const prefix = `case-${++count}/`;
  const options = { lockMode: 'Governance', prefix, ...more } as const;
  const storage = store.storage('locked', options, { endpoint: through.endpoint, attempts: 1 });
  opened.push(storage);
  return { storage, prefix };
}

const KEY = 'recordings/shop/000001.jsonl.zst';
const content = randomBytes(100_000);
const part = { number: 1, firstSeq: 1, lastSeq: 9, bytes: content.length };
const sealing = (bytes = content) => sealOf(bytes, Date.now() + 3_600_000);
const isPut = ({ method, url }: IncomingMessage) => method === 'PUT' && !url!.includes('?');
const truncated = (bytes: Buffer) => bytes.subarray(0, -1);
const longer = (bytes: Buffer) => Buffer.concat([bytes, Buffer.from('x')]);
const flipped = (bytes: Buffer) => {
  const other = Buffer.from(bytes);
  other[other.length >> 1]! ^= 1;
  return other;
};

/** Stores something else under the name than was sent, and answers 200. */
function stores(change: (bytes: Buffer) => Buffer, etag: string | undefined): Fault {
  return first(1, isPut, async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const client = server.client('locked');
    const kept = Object.entries(incoming.headers).filter(([name]) => /^x-amz-(?:meta|object-lock)-/.test(name));
    const headers = Object.fromEntries(kept) as Record<string, string>;
    const key = decodeURIComponent(incoming.url!.slice('/locked/'.length));
    const body = change(Buffer.concat(chunks));
    await client.send({ operation: 'instead', method: 'PUT', key, headers, body, expect: [200] });
    await client.close();
    outgoing.writeHead(200, { 'content-length': '0', ...(etag === undefined ? {} : { etag }) }).end();
    return 'handled' as const;
  });
}

/** Answers 200, and keeps nothing. */
const keepsNothing = (etag: string | undefined): Fault =>
  first(1, isPut, (incoming, outgoing) => {
    incoming.resume();
    outgoing.writeHead(200, { 'content-length': '0', ...(etag === undefined ? {} : { etag }) }).end();
    return 'handled';
  });

const ACKNOWLEDGED = [
  ['without an ETag', undefined],
  ['with the ETag of something else', `"${'0'.repeat(32)}"`],
  ['with an ETag that is no MD5', '"CRC64NVME-jymiLGOHSP8="'],
  ['with an empty ETag', '""'],
] as const;
const LIES = [
  ['never stored', keepsNothing],
  ['stored without its end', (etag: string | undefined) => stores(truncated, etag)],
  ['stored with more at its end', (etag: string | undefined) => stores(longer, etag)],
  ['stored with one bit changed', (etag: string | undefined) => stores(flipped, etag)],
] as const;

for (const [what, lie] of LIES) {
  for (const [how, etag] of ACKNOWLEDGED) {
    test(`a part that was ${what}, acknowledged ${how}, does not count as stored`, async () => {
      const { storage } = fresh();
      proxy.fault = lie(etag);
      assert.equal(await faultOf(storage.appendPart(KEY, part, content)), 'Corrupt');
      // The shipper sends the same part again.
      await storage.appendPart(KEY, part, content);
      await storage.sealParts(KEY, sealing());
      assert.ok(content.equals(await joined(storage.get(KEY))));
    });
  }
}

/** Objects that were read through a proxy, piece by piece. */
const readsOf = ({ seen }: FaultProxy) =>
  seen.filter((each) => /^GET \/locked\/[^?]*(?:\?versionId=[^&]*)?$/.test(each)).length;

test('an answer that shows what was stored is enough: nothing is asked beyond it, nothing read back', async () => {
  const { storage } = fresh();
  await storage.appendPart(KEY, part, content);
  assert.equal(proxy.seen.length, 1, `${proxy.seen}`);
  await storage.putSealed(KEY, content, sealing());
  const big = randomBytes(18_000_000);
  await storage.putSealed('recordings/shop/000002.jsonl.zst', big, sealing(big));
  assert.equal(readsOf(proxy), 0, `${proxy.seen}`);
});

test('a store whose ETags are no MD5: parts and seals are read back, and hold', async () => {
  const { storage } = fresh({}, otherETags, otherProxy);
  await storage.appendPart(KEY, part, content);
  assert.deepEqual([otherProxy.seen.length, readsOf(otherProxy)], [2, 1]);
  await storage.sealParts(KEY, sealing());
  assert.equal(readsOf(otherProxy), 3, 'the part, for its seal, and what was sealed');
  const big = randomBytes(18_000_000);
  await storage.putSealed('recordings/shop/000002.jsonl.zst', big, sealing(big));
  assert.equal(readsOf(otherProxy), 6, 'three pieces');
  assert.ok(big.equals(await joined(storage.get('recordings/shop/000002.jsonl.zst'))));
});

test('ETags that look like an MD5 and are none, as in a bucket whose default is a key of KMS: read back, and no lie', async () => {
  const { storage } = fresh();
  proxy.amend = (_, headers) => ({ ...headers, etag: `"${'0'.repeat(32)}"` });
  await storage.appendPart(KEY, part, content);
  await storage.sealParts(KEY, sealing());
  assert.equal(readsOf(proxy), 3, `${proxy.seen}`);
});

for (const [what, change] of [
  ['one bit changed', flipped],
  ['another length', truncated],
] as const) {
  test(`a seal that was stored with ${what} is found out, whatever the store says of it`, async () => {
    const { storage } = fresh();
    const stored = stores(change, undefined);
    proxy.fault = async (incoming, outgoing) => {
      if (incoming.method !== 'HEAD' || !incoming.url!.includes('versionId')) return await stored(incoming, outgoing);
      const headers = { 'content-length': String(content.length), 'x-amz-meta-sha256': sealOf(content).sha256 };
      outgoing.writeHead(200, headers).end();
      return 'handled';
    };
    assert.equal(await faultOf(storage.putSealed(KEY, content, sealing())), 'Corrupt');
  });
}

test('something else that lies there under the digest of what is to be sealed does not pass for it', async () => {
  const { storage, prefix } = fresh();
  const client = server.client('locked');
  const headers = { 'x-amz-meta-sha256': sealOf(content).sha256 };
  const key = `${prefix}${KEY}`;
  await client.send({ operation: 'first', method: 'PUT', key, headers, body: flipped(content), expect: [200] });
  await client.close();
  await storage.appendPart(KEY, part, content);
  assert.equal(await faultOf(storage.putSealed(KEY, content, sealing())), 'Exists');
  assert.equal(await faultOf(storage.sealParts(KEY, sealing())), 'Exists');
  assert.equal((await storage.parts(KEY)).length, 1, 'the parts stay');
});

for (const lockMode of ['Governance', 'Compliance'] as const) {
  test(`sealed, and nobody heard of it (${lockMode}): the next attempt, later, finds it sealed, and locks it for longer`, async () => {
    const { storage } = fresh({ lockMode });
    proxy.fault = first(1, ({ method, url }) => method === 'HEAD' && url!.includes('versionId'), answerWith(500));
    const until = Date.now() + 3_600_000;
    assert.equal(await faultOf(storage.putSealed(KEY, content, sealOf(content, until))), 'Unavailable');
    const later = until + 60_000;
    await storage.putSealed(KEY, content, sealOf(content, later));
    const locked = await storage.remove(KEY).catch((error: Error) => error.message);
    assert.match(String(locked), new RegExp(new Date(later).toISOString().slice(0, 16)));
    // What is locked for long enough is left as it is.
    proxy.seen.length = 0;
    await storage.putSealed(KEY, content, sealOf(content, until));
    assert.ok(!proxy.seen.some((each) => each.startsWith('PUT')), `${proxy.seen}`);
  });
}
