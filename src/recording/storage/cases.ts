import assert from 'node:assert/strict';
import { createHash, randomBytes } from 'node:crypto';
import { type SealOptions, type Storage, StorageError, type StorageFault } from './storage.ts';

/** What every storage is asked, whatever it is made of. */
export interface StorageCase {
  readonly name: string;
  /** Asks for a lock, which a bucket without object lock cannot give. */
  readonly locks?: true;
  run(storage: Storage, names: Names): Promise<void>;
}

/** Keys that no other case uses. */
export interface Names {
  /** Of a recording's folder, with a slash at its end. */
  readonly folder: string;
  /** For `retainUntil`; what is locked stays behind in the store of the test. */
  readonly retainUntil: number;
}

export function sealOf(content: Buffer, retainUntil?: number): SealOptions {
  return { sha256: createHash('sha256').update(content).digest('hex'), retainUntil };
}

export async function joined(chunks: AsyncIterable<Buffer>): Promise<Buffer> {
  const all: Buffer[] = [];
  for await (const chunk of chunks) all.push(chunk);
  return Buffer.concat(all);
}

export async function faultOf(work: Promise<unknown>): Promise<StorageFault | undefined> {
  try {
    await work;
    return undefined;
  } catch (error) {
    assert.ok(error instanceof StorageError, `${error}`);
    assert.ok(!error.message.includes('\n'), 'one line');
    return error.fault;
  }
}

async function keysOf(listing: AsyncIterable<{ key: string } | string>): Promise<string[]> {
  const keys: string[] = [];
  for await (const each of listing) keys.push(typeof each === 'string' ? each : each.key);
  return keys;
}

const part = (number: number, bytes: number) => ({ number, firstSeq: number * 10 - 9, lastSeq: number * 10, bytes });

export const STORAGE_CASES: readonly StorageCase[] = [
  {
    name: 'a sealed object is read back whole, by range, and listed',
    async run(storage, { folder }) {
      const content = randomBytes(3_000_000);
      const key = `${folder}000001.jsonl.zst`;
      const sealed = await storage.putSealed(key, content, sealOf(content));
      assert.deepEqual(sealed, { key, bytes: content.length, sha256: sealOf(content).sha256 });
      assert.ok(content.equals(await joined(storage.get(key))));
      const middle = await joined(storage.get(key, { offset: 1_000_000, length: 70_000 }));
      assert.ok(middle.equals(content.subarray(1_000_000, 1_070_000)));
      const tail = await joined(storage.get(key, { offset: content.length - 5 }));
      assert.ok(tail.equals(content.subarray(-5)));
      assert.equal((await joined(storage.get(key, { offset: content.length }))).length, 0);
      assert.equal((await joined(storage.get(key, { offset: 7, length: 0 }))).length, 0);
      for await (const found of storage.list(folder)) {
        assert.equal(found.key, key);
        assert.equal(found.bytes, content.length);
        assert.ok(Math.abs(found.modifiedAt - Date.now()) < 120_000, `${found.modifiedAt}`);
      }
    },
  },
  {
    name: 'an empty object is one',
    async run(storage, { folder }) {
      const nothing = Buffer.alloc(0);
      await storage.putSealed(`${folder}empty`, nothing, sealOf(nothing));
      assert.equal((await joined(storage.get(`${folder}empty`))).length, 0);
      assert.deepEqual(await keysOf(storage.list(folder)), [`${folder}empty`]);
    },
  },
  {
    name: 'sealing the same once more is fine; sealing anything else there is refused, and changes nothing',
    async run(storage, { folder, retainUntil }) {
      const key = `${folder}manifest.json`;
      const first = Buffer.from('{"what":"was sealed"}');
      const other = Buffer.from('{"what":"is forged"}');
      await storage.putSealed(key, first, sealOf(first, retainUntil));
      await storage.putSealed(key, first, sealOf(first, retainUntil));
      assert.equal(await faultOf(storage.putSealed(key, other, sealOf(other, retainUntil))), 'Exists');
      assert.equal((await joined(storage.get(key))).toString(), first.toString());
    },
  },
  {
    name: 'of many who seal one name at once, one wins, and all the others are told',
    async run(storage, { folder }) {
      const key = `${folder}manifest.json`;
      const rivals = Array.from({ length: 6 }, (_, index) => Buffer.from(`{"by":"replica ${index}"}`));
      const faults = await Promise.all(rivals.map((each) => faultOf(storage.putSealed(key, each, sealOf(each)))));
      const winner = faults.indexOf(undefined);
      assert.notEqual(winner, -1);
      assert.equal(faults.filter((fault) => fault === 'Exists').length, rivals.length - 1, `${faults}`);
      assert.equal((await joined(storage.get(key))).toString(), rivals[winner]!.toString());
    },
  },
  {
    name: 'content that is not what its digest says is not sealed',
    async run(storage, { folder }) {
      const content = Buffer.from('what was meant');
      const key = `${folder}000001.jsonl.zst`;
      assert.equal(await faultOf(storage.putSealed(key, Buffer.from('what came'), sealOf(content))), 'Corrupt');
      assert.deepEqual(await keysOf(storage.list(folder)), []);
    },
  },
  {
    name: 'what is locked cannot be removed; what is not can',
    locks: true,
    async run(storage, { folder, retainUntil }) {
      const content = Buffer.from('kept');
      await storage.putSealed(`${folder}locked`, content, sealOf(content, retainUntil));
      assert.equal(await faultOf(storage.remove(`${folder}locked`)), 'Locked');
      assert.equal((await joined(storage.get(`${folder}locked`))).toString(), 'kept');
      await storage.putSealed(`${folder}free`, content, sealOf(content));
      await storage.remove(`${folder}free`);
      assert.deepEqual(await keysOf(storage.list(folder)), [`${folder}locked`]);
      assert.equal(await faultOf(joined(storage.get(`${folder}free`))), 'NotFound');
    },
  },
  {
    name: 'what is not there is not found',
    async run(storage, { folder }) {
      assert.equal(await faultOf(joined(storage.get(`${folder}nothing`))), 'NotFound');
      assert.equal(await faultOf(storage.remove(`${folder}nothing`)), 'NotFound');
      assert.deepEqual(await keysOf(storage.list(folder)), []);
      assert.deepEqual(await keysOf(storage.listOpen(folder)), []);
      assert.deepEqual(await storage.parts(`${folder}000001.jsonl.zst`), []);
      assert.equal(await faultOf(storage.sealParts(`${folder}000001.jsonl.zst`, sealOf(Buffer.alloc(0)))), 'NotFound');
    },
  },
  {
    name: 'a mutable object is replaced',
    async run(storage, { folder }) {
      const key = `replicas/${folder.split('/')[1]}.json`;
      await storage.putMutable(key, Buffer.from('one'));
      await storage.putMutable(key, Buffer.from('two'));
      assert.equal((await joined(storage.get(key))).toString(), 'two');
      assert.deepEqual(await keysOf(storage.list(key)), [key]);
      await storage.remove(key);
      assert.deepEqual(await keysOf(storage.list(key)), []);
    },
  },
  {
    name: 'an open segment grows by parts, is seen by others, and is sealed as their sum',
    locks: true,
    async run(storage, { folder, retainUntil }) {
      const key = `${folder}000001.jsonl.zst`;
      const pieces = [randomBytes(1_000), randomBytes(1), randomBytes(70_000)];
      for (const [index, piece] of pieces.entries()) {
        await storage.appendPart(key, part(index + 1, piece.length), piece);
      }
      assert.deepEqual(
        await storage.parts(key),
        pieces.map((piece, index) => part(index + 1, piece.length)),
      );
      const whole = Buffer.concat(pieces);
      assert.ok(whole.equals(await joined(storage.readParts(key))));
      assert.deepEqual(await keysOf(storage.list(folder)), []);
      assert.deepEqual(await keysOf(storage.listOpen(folder)), [key]);
      assert.deepEqual(await storage.sealParts(key, sealOf(whole, retainUntil)), {
        key,
        bytes: whole.length,
        sha256: sealOf(whole).sha256,
      });
      assert.ok(whole.equals(await joined(storage.get(key))));
      assert.deepEqual(await keysOf(storage.listOpen(folder)), []);
      assert.deepEqual(await storage.parts(key), []);
      // The answer may have been lost: once more is fine.
      assert.equal((await storage.sealParts(key, sealOf(whole, retainUntil))).bytes, whole.length);
      assert.equal(await faultOf(storage.remove(key)), 'Locked');
    },
  },
  {
    name: 'a part that is sent again is one part; behind a gap there is nothing',
    async run(storage, { folder }) {
      const key = `${folder}000007.jsonl.zst`;
      await storage.appendPart(key, part(1, 3), Buffer.from('abc'));
      await storage.appendPart(key, part(1, 3), Buffer.from('abc'));
      await storage.appendPart(key, part(3, 3), Buffer.from('ghi'));
      assert.deepEqual(await storage.parts(key), [part(1, 3)]);
      await storage.appendPart(key, part(2, 3), Buffer.from('def'));
      assert.equal((await joined(storage.readParts(key))).toString(), 'abcdefghi');
      assert.equal((await storage.parts(key)).length, 3);
      const whole = Buffer.from('abcdefghi');
      await storage.sealParts(key, sealOf(whole));
      assert.equal((await joined(storage.get(key))).toString(), 'abcdefghi');
    },
  },
  {
    name: 'parts that are not what they should be are not sealed, and stay',
    async run(storage, { folder }) {
      const key = `${folder}000001.jsonl.zst`;
      await storage.appendPart(key, part(1, 3), Buffer.from('abc'));
      assert.equal(await faultOf(storage.sealParts(key, sealOf(Buffer.from('abd')))), 'Corrupt');
      assert.equal((await storage.parts(key)).length, 1);
      assert.deepEqual(await keysOf(storage.list(folder)), []);
    },
  },
  {
    name: 'a segment of many megabytes is sealed and read piece by piece',
    locks: true,
    async run(storage, { folder, retainUntil }) {
      const key = `${folder}000001.jsonl.zst`;
      const pieces = Array.from({ length: 7 }, () => randomBytes(3_500_000));
      for (const [index, piece] of pieces.entries()) {
        await storage.appendPart(key, part(index + 1, piece.length), piece);
      }
      const whole = Buffer.concat(pieces);
      await storage.sealParts(key, sealOf(whole, retainUntil));
      const digest = createHash('sha256');
      for await (const chunk of storage.get(key)) {
        assert.ok(chunk.length <= 8 << 20);
        digest.update(chunk);
      }
      assert.equal(digest.digest('hex'), sealOf(whole).sha256);
      assert.equal(await faultOf(storage.remove(key)), 'Locked');
    },
  },
  {
    name: 'keys are listed in their order, also where one name begins with another',
    async run(storage, { folder }) {
      const names = [
        'b/manifest.json',
        'a/manifest.json',
        'a.x/manifest.json',
        'a-1/manifest.json',
        'a/000001.jsonl.zst',
      ];
      const content = Buffer.from('x');
      for (const name of names) await storage.putSealed(`${folder}${name}`, content, sealOf(content));
      const keys = await keysOf(storage.list(folder));
      assert.deepEqual(
        keys,
        names.map((name) => `${folder}${name}`).sort((a, b) => (a < b ? -1 : 1)),
      );
      assert.deepEqual(
        await keysOf(storage.list(`${folder}a/`)),
        keys.filter((key) => key.startsWith(`${folder}a/`)),
      );
    },
  },
];
