import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { SAMPLE_IDENTITY, sampleRecording } from '../recording/cases/sample-recording.ts';
import type { VerifyReport } from '../recording/finding.ts';
import { newSigningKey, readSigningKey } from '../recording/signing-key.ts';
import { FilesystemStorage } from '../recording/storage/filesystem.ts';
import { type VerifyPlace, verifyEach } from './verify-threads.ts';

const NAMES = Array.from({ length: 40 }, (_, index) => `many-${String(index).padStart(2, '0')}`);
const ALTERED = 'many-17';
let folder: string;
let place: VerifyPlace;

before(async () => {
  folder = mkdtempSync(join(tmpdir(), 'store-'));
  const key = readSigningKey(newSigningKey());
  const keys = new Map([[key.id, key.publicKey]]);
  place = { storage: new FilesystemStorage(folder), locator: folder, keys, io: { stderr: () => {} } };
  for (const name of NAMES) {
    const path = join(folder, 'recordings', name);
    mkdirSync(path, { recursive: true });
    const { files } = await sampleRecording(key, { segments: 1, identity: { ...SAMPLE_IDENTITY, name } });
    for (const [file, bytes] of files) {
      const changed = name === ALTERED && file.endsWith('.zst');
      writeFileSync(join(path, file), changed ? bytes.with(bytes.length - 20, bytes.at(-20)! ^ 1) : bytes);
    }
  }
});
after(() => rmSync(folder, { recursive: true }));

async function reports(names: readonly string[], threads: number, of = place): Promise<VerifyReport[]> {
  const found: VerifyReport[] = [];
  for await (const report of verifyEach(names, of, threads)) found.push(report);
  return found;
}

for (const threads of [1, 3]) {
  test(`${threads} at once: all, in their order, each fault at its own`, async () => {
    const found = await reports(NAMES, threads);
    assert.deepEqual(
      found.map(({ recording, sound }) => [recording, sound]),
      NAMES.map((name) => [name, name !== ALTERED]),
    );
  });

  test(`${threads} at once: one that is not there ends it, and what came before is told`, async () => {
    const told: string[] = [];
    await assert.rejects(async () => {
      for await (const { recording } of verifyEach(['many-00', 'many-01', 'nobody', 'many-02'], place, threads)) {
        told.push(recording);
      }
    }, /there is no recording nobody in /);
    assert.deepEqual(told, ['many-00', 'many-01']);
  });

  test(`${threads} at once: keys that are not those of the store`, async () => {
    const found = await reports(NAMES.slice(0, 3), threads, { ...place, keys: new Map() });
    assert.ok(found.every(({ sound }) => !sound));
  });
}

test('a store that cannot be opened in a thread is an error, and no report is missing in silence', async () => {
  await assert.rejects(reports(NAMES, 3, { ...place, locator: 's3://' }));
});
