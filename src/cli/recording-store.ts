import { recordingStorage } from '../config/recording-storage.ts';
import { configurationOf, openStorage } from '../recording/storage/open.ts';
import type { Storage } from '../recording/storage/storage.ts';
import { StorageError } from '../recording/storage/storage.ts';
import { readManifest, segmentsOf } from '../recording/stored-recording.ts';
import { CommandError, type CommandIO, usageError } from './command-io.ts';

export const STORE_OPTIONS = { store: { type: 'string' } } as const;

export const STORE_USAGE = `  --store STORE    a folder, file:///folder, or s3://bucket/prefix/?region=…&endpoint=…&pathStyle=true&caFile=…
                   (default: SALLYPORT_STORE). Keys come from where AWS' tools look; they are never in a locator.
`;

/** Opens the store that was named, does the work, and closes it. What a store says is not the command's fault: one line, no stack. */
export async function withStore<T>(
  values: { readonly store?: string | undefined },
  io: CommandIO,
  work: (storage: Storage) => Promise<T>,
): Promise<T> {
  const locator = values.store ?? io.env['SALLYPORT_STORE'];
  if (locator === undefined || locator === '') throw usageError('which store? --store, or SALLYPORT_STORE');
  let storage: Storage;
  try {
    const parsed = recordingStorage.safeParse(configurationOf(locator));
    if (!parsed.success) {
      throw new Error(parsed.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; '));
    }
    const shadowed = new Set<string>();
    storage = openStorage(parsed.data, {
      onShadowed: (key) => {
        if (shadowed.has(key)) return;
        shadowed.add(key);
        io.stderr(`note: something was laid over ${JSON.stringify(key)} in the store; the sealed object is read\n`);
      },
    });
  } catch (error) {
    throw new CommandError(`--store: ${(error as Error).message}`, 2);
  }
  try {
    return await work(storage);
  } catch (error) {
    if (error instanceof StorageError) throw new CommandError(error.message);
    throw error;
  } finally {
    await storage.close();
  }
}

/** @throws CommandError where the store has no such recording */
export async function requireRecording(storage: Storage, name: string): Promise<void> {
  if (!/^[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?$/.test(name))
    throw usageError(`${JSON.stringify(name)} is no name of a recording`);
  if ((await readManifest(storage, name)) !== undefined) return;
  if ((await segmentsOf(storage, name)).length > 0) return;
  throw new CommandError(`there is no recording ${name} in ${storage.locator}`);
}

/** `2h`, `90m`, `7d` before now, or a time in RFC 3339, as Unix milliseconds. */
export function timeOption(name: string, text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const [, amount, unit] = /^(\d{1,6})([smhd])$/.exec(text) ?? [];
  if (amount !== undefined)
    return Date.now() - Number(amount) * { s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 }[unit as 's']!;
  const time = /^\d{4}-\d\d-\d\d/.test(text) ? Date.parse(text) : Number.NaN;
  if (!Number.isFinite(time))
    throw usageError(`--${name} is a time (2026-01-31T12:00:00Z) or how long ago (90m, 2h, 7d)`);
  return time;
}
