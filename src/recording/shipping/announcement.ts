import { layout } from '../segment.ts';
import { type Storage, StorageError } from '../storage/storage.ts';

/** What a replica says of itself in the store, so that another one knows what to seal when it is gone. */
export interface Announcement {
  readonly replica: string;
  /** Names of the recordings that it has open. */
  readonly recordings: readonly string[];
  /** Recordings that it has ended a chain of, and has not yet looked whether it was the last. */
  readonly joining?: readonly string[] | undefined;
  /** The recording that it sealed last, and the SHA-256 of its manifest file. */
  readonly lastSealed?: { readonly name: string; readonly sha256: string } | undefined;
}

export interface FoundAnnouncement extends Announcement {
  readonly key: string;
  /** Unix milliseconds, by the store's clock. */
  readonly modifiedAt: number;
}

const MAX_BYTES = 4 << 20;

export async function writeAnnouncement(
  storage: Storage,
  announcement: Announcement,
  signal?: AbortSignal,
): Promise<void> {
  const key = layout.announcement(announcement.replica);
  await storage.putMutable(key, Buffer.from(`${JSON.stringify(announcement)}\n`), signal);
}

/** All that can be read; what is no announcement is passed over. */
export async function readAnnouncements(storage: Storage, signal?: AbortSignal): Promise<FoundAnnouncement[]> {
  const found: FoundAnnouncement[] = [];
  for await (const { key, bytes, modifiedAt } of storage.list(layout.announcements, signal)) {
    if (!key.endsWith('.json') || bytes > MAX_BYTES) continue;
    const announcement = await readAnnouncement(storage, key, signal);
    if (announcement !== undefined) found.push({ ...announcement, key, modifiedAt });
  }
  return found;
}

export async function readAnnouncement(
  storage: Storage,
  key: string,
  signal?: AbortSignal,
): Promise<Announcement | undefined> {
  const chunks: Buffer[] = [];
  try {
    for await (const chunk of storage.get(key, undefined, signal)) chunks.push(chunk);
  } catch (error) {
    if (error instanceof StorageError && error.fault === 'NotFound') return undefined;
    throw error;
  }
  try {
    const value = JSON.parse(Buffer.concat(chunks).toString('utf8')) as Partial<Announcement> | null;
    const { replica, recordings, joining, lastSealed } = value ?? {};
    const sound =
      typeof replica === 'string' &&
      isNames(recordings) &&
      (joining === undefined || isNames(joining)) &&
      (lastSealed === undefined || (typeof lastSealed.name === 'string' && typeof lastSealed.sha256 === 'string'));
    return sound ? { replica, recordings, joining, lastSealed } : undefined;
  } catch {
    return undefined;
  }
}

function isNames(value: unknown): value is string[] {
  return Array.isArray(value) && value.every((name) => typeof name === 'string');
}
