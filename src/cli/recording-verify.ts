import type { KeyObject } from 'node:crypto';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { escapeLine } from '../errors.ts';
import type { VerifyReport } from '../recording/finding.ts';
import { RECORDING_NAME } from '../recording/segment.ts';
import { readPublicKeys } from '../recording/signing-key.ts';
import { FilesystemStorage } from '../recording/storage/filesystem.ts';
import type { Storage } from '../recording/storage/storage.ts';
import { verifyStored } from '../recording/verify-joint.ts';
import { CommandError, type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';
import { isRecordingFolder, recordingFolder } from './recording-folder.ts';
import { locatorOf, STORE_OPTIONS, STORE_USAGE, withStore } from './recording-store.ts';
import { type StoreVerification, verifyStore } from './store-verification.ts';
import { describeReport } from './verify-text.ts';
import { verifyEach } from './verify-threads.ts';

const USAGE = `sallyport recording verify [NAME... | DIR] [--store STORE] [--sealed] [--key FILE]... [-o text|json]

Checks recordings without a server: every line's hash, every segment, the manifest and its signature, and says what was changed,
removed, reordered, put in or cut off, and where. DIR is one recording's folder, or a store's. Of a store's folder, and without NAME
of the whole store, all of it is checked, and that no recording is missing which another one, or a replica, names.

Where it is:
${STORE_USAGE}
  --sealed        all has to be sealed: what is still open, or has no manifest any more, is not sound. Without it what is open is
                  sound as far as it goes.
  --key FILE      public keys that are trusted (PEM). Without one the keys that lie in the store are taken: enough against an
                  accident, not against someone who can write there.

Exits with 0 where all is sound, 1 where it is not, or there is no recording.
`;

const OPTIONS = {
  ...STORE_OPTIONS,
  sealed: { type: 'boolean' },
  key: { type: 'string', multiple: true },
  output: { type: 'string', short: 'o' },
} as const;

/** `sallyport recording verify`: needs no server, and trusts nothing but the keys that it is given. */
export async function runVerify(args: readonly string[], io: CommandIO): Promise<number> {
  let sound = true;
  const code = await runCommand({ name: 'recording', usage: USAGE }, args, io, async () => {
    const { values, positionals } = readArguments(args, OPTIONS, 1_000);
    const { output = 'text', sealed = false, key = [] } = values;
    if (output !== 'text' && output !== 'json') throw usageError('--output is text or json');
    const given = key.map(readKeys);
    const reports: VerifyReport[] = [];
    const tell = (report: VerifyReport): void => {
      reports.push(report);
      sound &&= report.sound;
      if (output === 'text') io.stdout(describeReport(report, sealed));
    };

    const folder = folderOf(positionals, values);
    let store: StoreVerification | undefined;
    let place = folder;
    if (folder !== undefined && isRecordingFolder(folder)) {
      const keys = await trusted(given, new FilesystemStorage(resolve(folder, '..', '..')));
      const files = await recordingFolder(folder);
      if (files !== undefined) tell(await verifyStored(files, (id) => keys.get(id)));
    } else {
      const where = folder === undefined ? values : { store: folder };
      await withStore(where, io, async (storage) => {
        const wrong = folder === undefined ? positionals.find((name) => !RECORDING_NAME.test(name)) : undefined;
        if (wrong !== undefined) throw usageError(`${JSON.stringify(wrong)} is no name of a recording`);
        place = storage.locator;
        const from = { storage, locator: locatorOf(where, io), keys: await trusted(given, storage), io };
        if (folder !== undefined || positionals.length === 0) {
          store = await verifyStore(from, tell);
        } else for await (const report of verifyEach(positionals, from)) tell(report);
      });
    }
    const { reports: recordings, missing, foreign } = store ?? { reports, missing: [], foreign: [] };
    const unsealed = recordings.filter(({ state }) => state === 'Open').map(({ recording }) => recording);
    sound &&= missing.length === 0 && foreign.length === 0 && recordings.length > 0 && !(sealed && unsealed.length > 0);
    if (output === 'json') {
      io.stdout(`${JSON.stringify({ sound, missing, foreign, unsealed, recordings }, null, 2)}\n`);
    } else {
      for (const key of foreign) io.stdout(`FOREIGN  ${escapeLine(key)}: does not belong to a store of recordings\n`);
      for (const line of missing) io.stdout(`MISSING  ${escapeLine(line)}\n`);
      if (given.length === 0 && recordings.some(({ keyID }) => keyID !== undefined))
        io.stderr('note: the keys are those that lie beside the recordings; give yours with --key\n');
    }
    if (recordings.length === 0) throw new CommandError(`there is no recording in ${place}`);
  });
  return code === 0 && !sound ? 1 : code;
}

/** The folder that is meant; what stands beside --store or --gateway is a name. */
function folderOf(
  positionals: readonly string[],
  { store, gateway }: { readonly store?: string | undefined; readonly gateway?: string | undefined },
): string | undefined {
  const [first] = positionals;
  if (first === undefined || positionals.length > 1 || store !== undefined || gateway !== undefined) return undefined;
  return existsSync(first) && statSync(first).isDirectory() ? first : undefined;
}

function readKeys(file: string): Map<string, KeyObject> {
  try {
    return readPublicKeys(readFileSync(file, 'utf8'));
  } catch (error) {
    throw new CommandError(`--key ${file}: ${(error as Error).message}`, 2);
  }
}

/** The keys given, else those in the store. */
async function trusted(
  given: readonly ReadonlyMap<string, KeyObject>[],
  storage: Storage,
): Promise<ReadonlyMap<string, KeyObject>> {
  if (given.length > 0) return new Map(given.flatMap((keys) => [...keys]));
  const found = new Map<string, KeyObject>();
  for await (const { key, bytes } of storage.list('keys/')) {
    if (!key.endsWith('.pem') || bytes > 4_096) continue;
    const pieces: Buffer[] = [];
    for await (const piece of storage.get(key)) pieces.push(piece);
    try {
      for (const [id, publicKey] of readPublicKeys(Buffer.concat(pieces).toString('utf8'))) found.set(id, publicKey);
    } catch {
      // What signed a manifest is then not among the keys, and is said to be missing.
    }
  }
  return found;
}
