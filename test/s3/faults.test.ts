import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { after, afterEach, before, test } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';
import { faultOf, joined, sealOf } from '../../src/recording/storage/cases.ts';
import type { S3StorageOptions } from '../../src/recording/storage/s3.ts';
import type { S3ClientOptions } from '../../src/recording/storage/s3-client.ts';
import type { StorageError } from '../../src/recording/storage/storage.ts';
import { smallDisk } from '../recording/small-disk.ts';
import { answerWith, type Fault, type FaultProxy, first, startFaultProxy } from './fault-proxy.ts';
import { type S3Server, startS3Server } from './s3-server.ts';

let server: S3Server;
let proxy: FaultProxy;
const opened: { close(): Promise<void> }[] = [];
before(async () => {
  server = await startS3Server();
  await server.makeBucket('locked', true);
  proxy = await startFaultProxy(server);
});
after(async () => {
  await proxy?.stop();
  await server?.stop();
});
afterEach(async () => {
  proxy.fault = undefined;
  proxy.seen.length = 0;
  for (const each of opened.splice(0)) await each.close();
});

let count = 0;
function fresh(client: Partial<S3ClientOptions> = {}, more: Partial<S3StorageOptions> = {}) {
  const attempts: string[] = [];
  const prefix = `case-${++count}/`;
  const through = {
    endpoint: proxy.endpoint,
    onAttempt: (what: string, code: string) => void attempts.push(`${what} ${code}`),
  };
  const storage = server.storage('locked', { lockMode: 'Governance', prefix, ...more }, { ...through, ...client });
  opened.push(storage);
  return { storage, attempts };
}

const KEY = 'recordings/shop/000001.jsonl.zst';
const content = randomBytes(100_000);
const sealing = () => sealOf(content, Date.now() + 3_600_000);
const isPut = ({ method, url }: { method?: string | undefined; url?: string | undefined }) =>
  method === 'PUT' && !url!.includes('?');

test('500, 503 with Retry-After and 429 are tried again, with pauses', async () => {
  const { storage, attempts } = fresh();
  let puts = 0;
  const faults = [
    answerWith(500),
    answerWith(503, 'SlowDown', { 'retry-after': '1' }),
    answerWith(429, 'TooManyRequests'),
  ];
  proxy.fault = first(3, isPut, (incoming, outgoing) => faults[puts++]!(incoming, outgoing));
  const begun = performance.now();
  await storage.putSealed(KEY, content, sealing());
  assert.ok(performance.now() - begun > 1_000, 'Retry-After is honoured');
  assert.deepEqual(
    attempts.filter((each) => each.startsWith('PutObject')),
    ['PutObject 500', 'PutObject 503', 'PutObject 429', 'PutObject 200'],
  );
  assert.ok(content.equals(await joined(storage.get(KEY))));
});

test('a store that answers 500 for good is unavailable, and nothing is taken for sealed', async () => {
  const { storage, attempts } = fresh({ attempts: 3 });
  proxy.fault = answerWith(500);
  assert.equal(await faultOf(storage.putSealed(KEY, content, sealing())), 'Unavailable');
  assert.equal(attempts.length, 3);
  proxy.fault = undefined;
  await storage.putSealed(KEY, content, sealing());
});

test('no answer: given up in time, and tried again', async () => {
  const { storage, attempts } = fresh({ timeout: 300, attempts: 3 });
  proxy.fault = first(1, isPut, () => 'handled');
  await storage.putSealed(KEY, content, sealing());
  assert.deepEqual(
    attempts.filter((each) => each.startsWith('PutObject')),
    ['PutObject timeout', 'PutObject 200'],
  );
});

test('an answer that comes drop by drop is given up in time', async () => {
  const { storage } = fresh({ timeout: 1_500, attempts: 1 });
  await storage.putSealed(KEY, content, sealing());
  proxy.fault = (incoming, outgoing) => {
    incoming.resume();
    outgoing.writeHead(200, { 'content-length': '1000' });
    const timer = setInterval(() => outgoing.write('x'), 50);
    outgoing.once('close', () => clearInterval(timer));
    return 'handled';
  };
  const begun = performance.now();
  assert.equal(await faultOf(joined(storage.get(KEY, { offset: 0, length: 1_000 }))), 'Unavailable');
  assert.ok(performance.now() - begun < 5_000);
});

test('the store is gone and comes back: nobody is there, then all is as it was', async () => {
  const { storage } = fresh({ endpoint: server.endpoint, attempts: 2, timeout: 1_000 });
  await storage.appendPart(KEY, { number: 1, firstSeq: 1, lastSeq: 9, bytes: content.length }, content);
  await server.kill();
  assert.equal(await faultOf(storage.putMutable('replicas/a.json', Buffer.from('{}'))), 'Unavailable');
  const back = (async () => {
    await delay(400);
    await server.restart();
  })();
  const { storage: patient } = fresh({ endpoint: server.endpoint, attempts: 12 }, { prefix: `case-${count}/` });
  await patient.sealParts(KEY, sealing());
  await back;
  assert.ok(content.equals(await joined(patient.get(KEY))));
});

test('closed in the middle of a part: sent again, and the object is whole', async () => {
  const { storage, attempts } = fresh({ attempts: 5 });
  const pieces = Array.from({ length: 5 }, () => randomBytes(4_000_000));
  for (const [index, piece] of pieces.entries()) {
    await storage.appendPart(
      KEY,
      { number: index + 1, firstSeq: index + 1, lastSeq: index + 1, bytes: piece.length },
      piece,
    );
  }
  const whole = Buffer.concat(pieces);
  proxy.fault = first(
    2,
    ({ url }) => url!.includes('partNumber=2'),
    (incoming) => {
      let seen = 0;
      incoming.on('data', (chunk: Buffer) => {
        seen += chunk.length;
        if (seen > 2_000_000) incoming.socket.destroy();
      });
      return 'handled';
    },
  );
  await storage.sealParts(KEY, sealOf(whole, Date.now() + 3_600_000));
  assert.equal(attempts.filter((each) => each.startsWith('UploadPart')).length, 5 - 2 + 2);
  const digest = createHash('sha256');
  for await (const chunk of storage.get(KEY)) digest.update(chunk);
  assert.equal(digest.digest('hex'), sealOf(whole).sha256);
});

test('the answer of a seal is lost after the store has taken it: the next attempt finds it sealed', async () => {
  const { storage } = fresh({ attempts: 4 });
  proxy.fault = first(1, isPut, async (incoming, outgoing) => {
    // Passed on whole, and the answer thrown away.
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const { request } = await import('node:https');
    await new Promise<void>((resolve) => {
      const forwarded = request(
        new URL(incoming.url!, server.endpoint),
        { method: incoming.method, headers: incoming.headers, ca: server.ca },
        (answer) => {
          assert.equal(answer.statusCode, 200);
          answer.resume().once('end', resolve);
        },
      );
      forwarded.end(Buffer.concat(chunks));
    });
    outgoing.destroy();
    return 'handled' as const;
  });
  await storage.putSealed(KEY, content, sealing());
  assert.ok(content.equals(await joined(storage.get(KEY))));
});

const LIES: readonly { name: string; fault: () => FaultProxy['fault'] }[] = [
  {
    name: 'takes nothing and answers 200',
    fault: () =>
      first(1, isPut, (incoming, outgoing) => {
        incoming.resume();
        outgoing.writeHead(200, { 'content-length': '0' }).end();
        return 'handled';
      }),
  },
  {
    name: 'answers with the ETag of something else',
    fault: () =>
      first(1, isPut, (incoming, outgoing) => {
        incoming.resume();
        outgoing.writeHead(200, { etag: `"${'0'.repeat(32)}"`, 'content-length': '0' }).end();
        return 'handled';
      }),
  },
  {
    name: 'says of what it holds that it is shorter',
    fault: () => (incoming, outgoing) => {
      if (incoming.method !== 'HEAD' || incoming.url!.includes('?versionId') === false) return 'pass';
      outgoing.writeHead(200, { 'content-length': '99', 'x-amz-meta-sha256': sealOf(content).sha256 }).end();
      return 'handled';
    },
  },
  {
    name: 'does not lock',
    fault: () => (incoming, outgoing) =>
      incoming.url!.includes('retention')
        ? answerWith(404, 'NoSuchObjectLockConfiguration')(incoming, outgoing)
        : 'pass',
  },
];

for (const { name, fault } of LIES) {
  test(`a store that lies is found out: it ${name}`, async () => {
    const { storage } = fresh({ attempts: 1 });
    proxy.fault = fault();
    assert.ok(['Corrupt', 'Refused'].includes((await faultOf(storage.putSealed(KEY, content, sealing())))!));
  });
}

test('a store that lies is found out: the parts that it gives back are not those that it was given', async () => {
  const { storage } = fresh({ attempts: 1 });
  await storage.appendPart(KEY, { number: 1, firstSeq: 1, lastSeq: 1, bytes: content.length }, content);
  const changed = Buffer.from(content);
  changed[50_000]! ^= 1;
  proxy.fault = (incoming, outgoing) => {
    if (incoming.method !== 'GET' || !incoming.url!.includes('000001-1-1')) return 'pass';
    outgoing.writeHead(206, { 'content-range': `bytes 0-99999/${changed.length}`, 'content-length': changed.length });
    outgoing.end(changed);
    return 'handled';
  };
  assert.equal(await faultOf(storage.sealParts(KEY, sealing())), 'Corrupt');
  proxy.fault = undefined;
  assert.equal((await storage.parts(KEY)).length, 1);
  await storage.sealParts(KEY, sealing());
});

test('bytes that are changed on the way are refused by the store, which checks what was signed', async () => {
  const { storage } = fresh({ attempts: 1 });
  proxy.fault = first(1, isPut, async (incoming, outgoing) => {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk as Buffer);
    const bytes = Buffer.concat(chunks);
    bytes[10]! ^= 1;
    const { request } = await import('node:https');
    const forwarded = request(
      new URL(incoming.url!, server.endpoint),
      { method: incoming.method, headers: incoming.headers, ca: server.ca },
      (answer) => {
        outgoing.writeHead(answer.statusCode!, answer.headers);
        answer.pipe(outgoing);
      },
    );
    forwarded.end(bytes);
    return 'handled' as const;
  });
  assert.equal(await faultOf(storage.putSealed(KEY, content, sealing())), 'Corrupt');
});

test('CompleteMultipartUpload that fails inside a 200 is no success; its parts are given up', async () => {
  const { storage } = fresh({ attempts: 1 });
  const big = randomBytes(18_000_000);
  proxy.fault = first(
    1,
    ({ method, url }) => method === 'POST' && url!.includes('uploadId='),
    answerWith(200, 'InternalError'),
  );
  assert.equal(await faultOf(storage.putSealed(KEY, big, sealOf(big, Date.now() + 3_600_000))), 'Unavailable');
  assert.ok(proxy.seen.some((each) => each.startsWith('DELETE') && each.includes('uploadId=')));
});

test('expired keys are asked for anew, once', async () => {
  const { CurrentCredentials } = await import('../../src/recording/storage/s3-credentials.ts');
  let loads = 0;
  const credentials = new CurrentCredentials({
    description: 'test',
    load: async () => ({ ...server.keys, sessionToken: undefined, expiresAt: Date.now() + 3_600_000 + loads++ }),
  });
  const { storage } = fresh({ credentials });
  proxy.fault = first(1, isPut, answerWith(400, 'ExpiredToken'));
  await storage.putSealed(KEY, content, sealing());
  assert.equal(loads, 2);
});

test('our clock jumped by an hour: the store’s own is used for signing', async (context) => {
  const { storage, attempts } = fresh();
  const real = Date.now;
  context.mock.method(Date, 'now', () => real() - 3_600_000);
  await storage.putSealed(KEY, content, sealOf(content, real() + 3_600_000));
  assert.ok(
    attempts.some((each) => / 403$/.test(each)),
    `${attempts}`,
  );
  assert.ok(content.equals(await joined(storage.get(KEY))));
});

test('a signal ends it at once', async () => {
  const { storage } = fresh({ timeout: 60_000 });
  proxy.fault = () => 'handled';
  const abort = new AbortController();
  const ended = faultOf(storage.putSealed(KEY, content, sealing(), abort.signal));
  await delay(100);
  const begun = performance.now();
  abort.abort();
  await ended;
  assert.ok(performance.now() - begun < 500);
});

test('server-side encryption is asked for with every object, and a store that does not say so is refused', async () => {
  const encryption = { algorithm: 'aws:kms', kmsKeyID: 'alias/recordings', bucketKey: true } as const;
  const { storage } = fresh({ attempts: 1 }, { encryption });
  const asked: unknown[] = [];
  const withoutEncryption: Fault = (incoming) => {
    const { headers } = incoming;
    if (incoming.method === 'PUT' && !incoming.url!.includes('?')) {
      const named = ['', '-aws-kms-key-id', '-bucket-key-enabled'].map(
        (part) => headers[`x-amz-server-side-encryption${part}`],
      );
      asked.push(named);
    }
    return 'pass';
  };
  proxy.fault = withoutEncryption;
  const error = await storage.putSealed(KEY, content, sealing()).catch((thrown: unknown) => thrown as StorageError);
  // The server of this test has no keys of KMS: either it refuses, or it does not say that it encrypts.
  assert.ok(error instanceof Error, 'it is not taken for encrypted');
  assert.deepEqual(asked, [['aws:kms', 'alias/recordings', 'true']]);
});

test('no secret is in what a failure says', async () => {
  const { storage } = fresh({ attempts: 1 });
  proxy.fault = answerWith(403, 'SignatureDoesNotMatch');
  const error = (await storage.putSealed(KEY, content, sealing()).catch((thrown: unknown) => thrown)) as StorageError;
  assert.match(error.message, /answered 403 SignatureDoesNotMatch/);
  assert.ok(!JSON.stringify([error.message, error.stack, error.cause]).includes(server.keys.secretAccessKey));
});

test('out of space: said as such, and what is there stays', async (t) => {
  const disk = smallDisk('3m');
  if (typeof disk === 'string') return t.skip(disk);
  try {
    const [objects, sidecar] = [join(disk.path, 'objects'), join(disk.path, 'sidecar')];
    for (const folder of [objects, sidecar]) mkdirSync(folder);
    const small = await startS3Server({ folder: objects, args: ['--sidecar', sidecar] });
    try {
      await small.makeBucket('small', false);
      const storage = small.storage('small', {}, { attempts: 2 });
      const kept = randomBytes(500_000);
      await storage.putSealed('recordings/a/000001.jsonl.zst', kept, sealOf(kept));
      const faults: unknown[] = [];
      for (let index = 0; index < 6; index += 1) {
        const more = randomBytes(900_000);
        faults.push(await faultOf(storage.putSealed(`recordings/b/00000${index}.jsonl.zst`, more, sealOf(more))));
      }
      assert.equal(faults.at(-1), 'Full', `${faults}`);
      assert.ok(kept.equals(await joined(storage.get('recordings/a/000001.jsonl.zst'))));
      await storage.close();
    } finally {
      await small.stop();
    }
  } finally {
    disk.remove();
  }
});
