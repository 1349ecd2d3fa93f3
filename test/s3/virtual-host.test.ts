import assert from 'node:assert/strict';
import dns from 'node:dns';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { recordingStorage } from '../../src/config/recording-storage.ts';
import { joined, sealOf } from '../../src/recording/storage/cases.ts';
import { checkStorage, openStorage } from '../../src/recording/storage/open.ts';
import { REGION, type S3Server, startS3Server } from './s3-server.ts';

const DOMAIN = 's3.shop.test';
const KEY = 'recordings/shop/000001.jsonl.zst';
const content = Buffer.from('what the agent did');
const folder = mkdtempSync(join(tmpdir(), 'sallyport-virtual-host-'));
let server: S3Server;
before(async () => {
  server = await startS3Server({ virtualHosts: { domain: DOMAIN, buckets: ['locked'] } });
  await server.makeBucket('locked', true);
  writeFileSync(join(folder, 'id'), server.keys.accessKeyID);
  writeFileSync(join(folder, 'key'), server.keys.secretAccessKey, { mode: 0o600 });
});
after(async () => {
  await server?.stop();
  rmSync(folder, { recursive: true, force: true });
});

function open(pathStyle: boolean | undefined) {
  const credentials = { secret: { accessKeyIDFile: join(folder, 'id'), secretAccessKeyFile: join(folder, 'key') } };
  const endpoint = `https://${DOMAIN}:${server.endpoint.port}`;
  const objectLock = { mode: 'Compliance', retention: '1h' };
  const s3 = { bucket: 'locked', region: REGION, endpoint, pathStyle, caFile: server.caFile, objectLock, credentials };
  return openStorage(recordingStorage.parse({ s3: { ...s3, attempts: 1 } }));
}

for (const pathStyle of [undefined, true]) {
  const host = pathStyle ? DOMAIN : `locked.${DOMAIN}`;
  test(`pathStyle ${pathStyle ?? 'left out'}: requests go to ${host}, whose name is signed and is in its certificate`, async (context) => {
    const asked = new Set<string>();
    // No resolver knows these names; where they lead is all that is made up here.
    context.mock.method(
      dns,
      'lookup',
      (name: string, options: dns.LookupOptions, done: (...found: unknown[]) => void) => {
        asked.add(name);
        if (options.all === true) done(null, [{ address: '127.0.0.1', family: 4 }]);
        else done(null, '127.0.0.1', 4);
      },
    );
    const storage = open(pathStyle);
    assert.equal(await checkStorage(storage), undefined);
    await storage.putSealed(KEY, content, sealOf(content, Date.now() + 3_600_000));
    const listed: string[] = [];
    for await (const { key } of storage.list('recordings/')) listed.push(key);
    assert.deepEqual(listed, [KEY]);
    assert.equal((await joined(storage.get(KEY))).toString(), content.toString());
    assert.deepEqual([...asked], [host]);
    await storage.close();
    const client = server.client('locked');
    await client.send({ operation: 'HeadObject', method: 'HEAD', key: KEY, expect: [200] });
    await client.close();
  });
}
