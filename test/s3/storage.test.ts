import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { faultOf, joined, STORAGE_CASES, sealOf } from '../../src/recording/storage/cases.ts';
import { type S3Server, startS3Server } from './s3-server.ts';

let server: S3Server;
before(async () => {
  server = await startS3Server();
  await server.makeBucket('locked', true);
  await server.makeBucket('plain', false);
});
after(() => server.stop());

const HOUR = 3_600_000;

for (const mode of ['Governance', 'Compliance'] as const) {
  for (const [index, { name, run }] of STORAGE_CASES.entries()) {
    test(`in a bucket with object lock (${mode}): ${name}`, async () => {
      const storage = server.storage('locked', { lockMode: mode, prefix: `${mode.toLowerCase()}/` });
      await run(storage, { folder: `recordings/case-${index}/`, retainUntil: Date.now() + HOUR });
      await storage.close();
    });
  }
}

for (const [index, { name, run }] of STORAGE_CASES.filter(({ locks }) => locks !== true).entries()) {
  test(`in a bucket without versions: ${name}`, async () => {
    const storage = server.storage('plain');
    await run(storage, { folder: `recordings/case-${index}/`, retainUntil: Date.now() + HOUR });
    await storage.close();
  });
}

for (const mode of ['Governance', 'Compliance'] as const) {
  test(`a sealed segment (${mode}) cannot be deleted or overwritten, by whatever request`, async () => {
    const shadowed: string[] = [];
    const options = { lockMode: mode, prefix: `attack-${mode}/`, onShadowed: (key: string) => void shadowed.push(key) };
    const storage = server.storage('locked', options);
    const client = server.client('locked');
    const key = 'recordings/shop-1/000001.jsonl.zst';
    const name = `attack-${mode}/${key}`;
    const content = Buffer.from('what the agent did');
    await storage.putSealed(key, content, sealOf(content, Date.now() + HOUR));

    const head = await client.send({ operation: 'HeadObject', method: 'HEAD', key: name, expect: [200] });
    const versionId = head.headers['x-amz-version-id']!;
    const attempts = {
      'delete the version': { method: 'DELETE', key: name, query: { versionId } },
      'take the lock away': {
        method: 'PUT',
        key: name,
        query: { retention: '', versionId },
        body: Buffer.from(
          '<Retention><Mode>GOVERNANCE</Mode><RetainUntilDate>2020-01-01T00:00:00Z</RetainUntilDate></Retention>',
        ),
      },
    } as const;
    for (const [what, attempt] of Object.entries(attempts)) {
      const answer = await client.send({ ...attempt, operation: what, expect: [200, 204, 400, 403, 409] });
      assert.ok(answer.status >= 400, `${what}: ${answer.status}`);
    }

    // S3 takes these, and they hide the object from a plain reader; not from ours, who is told.
    await client.send({ operation: 'over', method: 'PUT', key: name, body: Buffer.from('nothing'), expect: [200] });
    assert.equal((await joined(storage.get(key))).toString(), content.toString());
    await client.send({ operation: 'delete', method: 'DELETE', key: name, expect: [204] });
    const plain = await client.send({ operation: 'GetObject', method: 'GET', key: name, expect: [200, 404] });
    assert.equal(plain.status, 404);
    assert.equal((await joined(storage.get(key))).toString(), content.toString());
    const listed: string[] = [];
    for await (const found of storage.list('recordings/')) listed.push(`${found.key} ${found.bytes}`);
    assert.deepEqual(listed, [`${key} ${content.length}`]);
    assert.ok(shadowed.length >= 3);
    assert.equal(await faultOf(storage.remove(key)), 'Locked');
    await storage.putSealed(key, content, sealOf(content, Date.now() + HOUR - 60_000));
    await client.close();
    await storage.close();
  });
}

test('a reader that knows nothing of the lock reads the same', async () => {
  const writer = server.storage('locked', { lockMode: 'Governance', prefix: 'reader/' });
  const content = Buffer.from('sealed');
  await writer.putSealed('recordings/a/manifest.json', content, sealOf(content, Date.now() + HOUR));
  const client = server.client('locked');
  await client.send({ operation: 'delete', method: 'DELETE', key: 'reader/recordings/a/manifest.json', expect: [204] });
  const reader = server.storage('locked', { prefix: 'reader/' });
  assert.equal((await joined(reader.get('recordings/a/manifest.json'))).toString(), 'sealed');
  await Promise.all([writer.close(), client.close(), reader.close()]);
});

test('the start-up check: object lock asked for and off is refused; all as it should be is not', async () => {
  const good = server.storage('locked', { lockMode: 'Compliance', prefix: 'check/' });
  await good.check();
  const off = server.storage('plain', { lockMode: 'Compliance' });
  await assert.rejects(off.check(), /object lock .* is off in the bucket/);
  const absent = server.storage('absent', {}, { attempts: 1 });
  assert.ok(['NotFound', 'Refused'].includes((await faultOf(absent.check()))!));
  await Promise.all([good.close(), off.close(), absent.close()]);
});

test('a thousand objects and more are listed page by page', async () => {
  const storage = server.storage('locked', { prefix: 'many/' });
  const content = Buffer.from('x');
  const names = Array.from({ length: 1_050 }, (_, index) => `recordings/r-${String(index).padStart(5, '0')}/m`);
  for (let start = 0; start < names.length; start += 50) {
    await Promise.all(names.slice(start, start + 50).map((name) => storage.putSealed(name, content, sealOf(content))));
  }
  const listed: string[] = [];
  for await (const { key } of storage.list('recordings/')) listed.push(key);
  assert.deepEqual(listed, names);
  await storage.close();
});

test('wrong keys, another authority, a wrong region: refused or unreachable, each with its reason', async () => {
  const wrong = {
    accessKeyID: 'recorder',
    secretAccessKey: 'x'.repeat(40),
    sessionToken: undefined,
    expiresAt: Infinity,
  };
  const { CurrentCredentials } = await import('../../src/recording/storage/s3-credentials.ts');
  const credentials = new CurrentCredentials({ description: 'wrong', load: async () => wrong });
  const stranger = server.storage('locked', {}, { credentials, attempts: 1 });
  await assert.rejects(stranger.check(), /answered 403/);
  const distrustful = server.storage('locked', {}, { ca: undefined, attempts: 1 });
  await assert.rejects(distrustful.check(), /the connection broke off \((SELF_SIGNED|UNABLE_TO|DEPTH_ZERO)/);
  const elsewhere = server.storage('locked', {}, { region: 'us-east-1', attempts: 1 });
  await assert.rejects(elsewhere.check(), /answered 4\d\d/);
  await Promise.all([stranger.close(), distrustful.close(), elsewhere.close()]);
});
