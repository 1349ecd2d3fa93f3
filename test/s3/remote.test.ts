import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SAMPLE_IDENTITY } from '../../src/recording/cases/sample-recording.ts';
import { layout } from '../../src/recording/segment.ts';
import { Shipper } from '../../src/recording/shipping/shipper.ts';
import { newSigningKey, readSigningKey } from '../../src/recording/signing-key.ts';
import { Spool } from '../../src/recording/spool/spool.ts';
import { joined } from '../../src/recording/storage/cases.ts';
import { unpackSegment } from '../../src/recording/zstd-frames.ts';
import { eventLine } from '../recording/made-recording.ts';
import { type FaultProxy, startFaultProxy } from './fault-proxy.ts';
import { type S3Server, startS3Server } from './s3-server.ts';

const home = mkdtempSync(join(tmpdir(), 'sallyport-remote-'));
let server: S3Server;
let proxy: FaultProxy;
before(async () => {
  server = await startS3Server();
  await server.makeBucket('recordings', true);
  proxy = await startFaultProxy(server);
});
after(async () => {
  await proxy?.stop();
  await server?.stop();
  rmSync(home, { recursive: true, force: true });
});

test('durability Remote: a line whose part was acknowledged and not kept is not kept until the store has it', async () => {
  const storage = server.storage('recordings', {}, { endpoint: proxy.endpoint, attempts: 1 });
  let shipper: Shipper | undefined;
  const spool = await Spool.open({
    folder: home,
    durability: 'Remote',
    maxBytes: 64 << 20,
    minFreeBytes: 0,
    segmentBytes: 1 << 20,
    segmentAge: 3_600_000,
    events: { grown: (recording) => shipper?.grown(recording) },
  });
  const failures: string[] = [];
  shipper = new Shipper({
    spool,
    storage,
    key: readSigningKey(newSigningKey()),
    replica: 'a',
    remoteTimeout: 60_000,
    events: { failed: (error) => void failures.push(error.message) },
  });
  await shipper.start();
  let lost = 0;
  proxy.fault = (incoming, outgoing) => {
    if (incoming.method !== 'PUT' || !incoming.url!.includes('.open/') || lost === 2) return 'pass';
    lost += 1;
    incoming.resume();
    outgoing.writeHead(200, { 'content-length': '0' }).end();
    return 'handled';
  };
  const recording = spool.create({ ...SAMPLE_IDENTITY, name: 'one' });
  await recording.append([eventLine('ResponseComplete', { requestURI: '/the/line' })], 1_000);
  // Another replica's view, at the moment at which the request goes on.
  const other = server.storage('recordings');
  const parts = other.readParts(layout.segment('one', 1));
  assert.match((await joined(unpackSegment(parts))).toString(), /\/the\/line/);
  assert.equal(lost, 2);
  assert.equal(failures.length, 2);
  assert.match(failures[0]!, /said that it was stored, and does not give back what was sent$/);
  await shipper.stop(1_000);
  await spool.close();
  await Promise.all([storage.close(), other.close()]);
});
