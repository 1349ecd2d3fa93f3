import { createHash, randomBytes } from 'node:crypto';
import { type Storage, StorageError } from './storage/storage.ts';

const KEY = 'keys/store';
const SHAPE = /^[0-9a-f]{32}\n$/;

/**
 * The name that a store has for itself, given by whoever came first and never changed: replicas that see the same one write into the
 * same store, and may write one recording together; with a volume for each they see different ones.
 * @throws StorageError
 */
export async function storeIdentity(storage: Storage, signal?: AbortSignal): Promise<string> {
  const known = await read(storage, signal);
  if (known !== undefined) return known;
  const drawn = Buffer.from(`${randomBytes(16).toString('hex')}\n`);
  try {
    await storage.putSealed(KEY, drawn, { sha256: createHash('sha256').update(drawn).digest('hex') }, signal);
  } catch (error) {
    if (!(error instanceof StorageError && error.fault === 'Exists')) throw error;
  }
  const there = await read(storage, signal);
  if (there === undefined) throw new StorageError('Corrupt', `${KEY} does not hold the name of a store`);
  return there;
}

async function read(storage: Storage, signal?: AbortSignal): Promise<string | undefined> {
  const pieces: Buffer[] = [];
  let size = 0;
  try {
    for await (const piece of storage.get(KEY, undefined, signal)) {
      size += piece.length;
      if (size > 64) throw new StorageError('Corrupt', `${KEY} does not hold the name of a store`);
      pieces.push(piece);
    }
  } catch (error) {
    if (error instanceof StorageError && error.fault === 'NotFound') return undefined;
    throw error;
  }
  const text = Buffer.concat(pieces).toString('latin1');
  if (!SHAPE.test(text)) throw new StorageError('Corrupt', `${KEY} does not hold the name of a store`);
  return text.trim();
}
