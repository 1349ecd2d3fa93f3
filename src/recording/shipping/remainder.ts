import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Line } from '../line.ts';
import type { Manifest } from '../manifest.ts';
import { layout } from '../segment.ts';
import type { Spool } from '../spool/spool.ts';
import type { SpooledRecording } from '../spool/spooled-recording.ts';
import type { Storage } from '../storage/storage.ts';
import { readManifest } from '../stored-recording.ts';
import { sealOptions } from './shipment.ts';

const BATCH = 200;

/**
 * A recording that another replica took for lost and sealed, while its writer was only cut off: what the store does not have of it
 * becomes a recording of its own, `NAME-rest`, of the same caller. Nothing is lost, and nothing sealed is touched.
 * @returns the new recording, or undefined while the other one has not written its manifest
 * @throws StorageError, SpoolError
 */
export async function keepRemainder(
  recording: SpooledRecording,
  spool: Spool,
  storage: Storage,
  signal: AbortSignal,
): Promise<{ rest: SpooledRecording | undefined; manifest: Manifest } | undefined> {
  const { name } = recording.identity;
  const found = await readManifest(storage, name, signal);
  if (found === undefined) return undefined;
  const { manifest } = found;
  // Whoever still writes into it is told that it has ended, and begins another one.
  await recording.finish('Stopped', new Date().toISOString());
  // Parts that were sent after it was sealed belong to nothing.
  for (const { name: segment, sha256 } of manifest.segments) {
    await storage.sealParts(`${layout.recording(name)}${segment}`, sealOptions(sha256, undefined), signal);
  }
  const rest = spool.recording(`${name}-rest`) ?? spool.create({ ...recording.identity, name: `${name}-rest` });
  let batch: Line[] = [];
  let size = 0;
  const keep = async (): Promise<void> => {
    if (batch.length > 0) await rest.append(batch, size);
    batch = [];
    size = 0;
  };
  for (const { path, lastSeq } of recording.segments) {
    if (lastSeq <= manifest.lines) continue;
    for await (const text of createInterface({ input: createReadStream(path), crlfDelay: Number.POSITIVE_INFINITY })) {
      const { seq, hash: _, ...line } = JSON.parse(text) as Line & { seq: number; hash: string };
      if (seq <= manifest.lines || line.kind === 'Segment' || line.kind === 'End') continue;
      batch.push(line as Line);
      size += text.length;
      if (batch.length >= BATCH) await keep();
    }
  }
  await keep();
  if (rest.seq === 0) {
    await spool.remove(rest);
    return { rest: undefined, manifest };
  }
  await rest.finish('Stopped', new Date().toISOString());
  return { rest, manifest };
}
