import type { KeyObject } from 'node:crypto';
import { createReadStream, existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { escapeLine } from '../errors.ts';
import { describeFinding, type VerifyReport } from '../recording/finding.ts';
import { layout, RECORDING_NAME } from '../recording/segment.ts';
import { readPublicKeys } from '../recording/signing-key.ts';
import { FilesystemStorage } from '../recording/storage/filesystem.ts';
import type { Storage } from '../recording/storage/storage.ts';
import { type RecordingFiles, verifySuccession } from '../recording/verify.ts';
import { verifyStored } from '../recording/verify-joint.ts';
import { CommandError, type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';
import { locatorOf, STORE_OPTIONS, STORE_USAGE, withStore } from './recording-store.ts';
import { verifyEach } from './verify-threads.ts';

const USAGE = `sallyport recording verify NAME... | DIR [--store STORE] [--key FILE]... [-o text|json]

Checks recordings without a server: every line's hash, every segment, the manifest and its signature, and says what was changed,
removed, reordered, put in or cut off, and where. DIR is one recording's folder, or a store's: then all of it is checked, and that
no recording is missing which another one names.

Where NAME is:
${STORE_USAGE}
  --key FILE      public keys that are trusted (PEM). Without one the keys that lie in the store are taken: enough against an
                  accident, not against someone who can write there.

Exits with 0 where all is sound, 1 where it is not.
`;

/** `sallyport recording verify`: needs no server, and trusts nothing but the keys that it is given. */
export async function runVerify(args: readonly string[], io: CommandIO): Promise<number> {
  let sound = true;
  const code = await runCommand({ name: 'recording', usage: USAGE }, args, io, async () => {
    const options = {
      ...STORE_OPTIONS,
      key: { type: 'string', multiple: true },
      output: { type: 'string', short: 'o' },
    } as const;
    const { values, positionals } = readArguments(args, options, 1_000);
    const output = values.output ?? 'text';
    if (output !== 'text' && output !== 'json') throw usageError('--output is text or json');
    const [first] = positionals;
    if (first === undefined) throw usageError('which recording, or which folder?');
    const given = (values.key ?? []).map(readKeys);
    const reports: VerifyReport[] = [];
    const tell = (report: VerifyReport): void => {
      reports.push(report);
      sound &&= report.sound;
      if (output === 'text') io.stdout(describe(report));
    };

    const isFolder = positionals.length === 1 && existsSync(first) && statSync(first).isDirectory();
    let note = given.length === 0;
    if (isFolder && !existsSync(join(first, 'recordings'))) {
      const store = new FilesystemStorage(resolve(first, '..', '..'));
      const keys = await trusted(given, store);
      tell(await verifyStored(folderOf(first), (id) => keys.get(id)));
    } else {
      const place = isFolder ? { store: first } : values;
      await withStore(place, io, async (storage) => {
        const keys = await trusted(given, storage);
        const names = isFolder ? await namesIn(storage) : positionals;
        const wrong = names.find((name) => !RECORDING_NAME.test(name));
        if (wrong !== undefined) throw usageError(`${JSON.stringify(wrong)} is no name of a recording`);
        for await (const report of verifyEach(names, { storage, locator: locatorOf(place, io), keys, io }))
          tell(report);
      });
    }
    const missing = isFolder && reports.length > 1 ? verifySuccession(reports) : [];
    sound &&= missing.length === 0;
    note &&= reports.some((report) => report.keyID !== undefined);
    if (output === 'json') {
      io.stdout(`${JSON.stringify({ sound, missing, recordings: reports }, null, 2)}\n`);
    } else {
      for (const line of missing) io.stdout(`MISSING  ${escapeLine(line)}\n`);
      if (note) io.stderr('note: the keys are those that lie beside the recordings; give yours with --key\n');
    }
  });
  return code === 0 && !sound ? 1 : code;
}

function describe(report: VerifyReport): string {
  const { recording, sound, state, segments, lines, bytes, findings, findingCount, unknownOutcomes, keyID } = report;
  const parts = report.chains === undefined ? '' : `${report.chains.length} chains, `;
  const lead = `${escapeLine(recording)}: ${parts}${segments} segments, ${lines} lines, ${bytes} bytes`;
  const signed = keyID === undefined ? '' : `, signed by ${keyID}`;
  const unknown = unknownOutcomes === 0 ? '' : `; the outcome of ${unknownOutcomes} requests is not known`;
  if (sound && state === 'Open' && keyID !== undefined) {
    const unnamed = report.unnamed!.map((chain) => escapeLine(chain)).join(', ');
    return `OPEN     ${lead}${signed}; sound as far as it goes. No manifest names ${unnamed} yet: open, or put there${unknown}\n`;
  }
  if (sound && state === 'Open') return `OPEN     ${lead}; sound as far as it goes, not sealed${unknown}\n`;
  if (sound) return `SOUND    ${lead}${signed}${state === 'Incomplete' ? '; Incomplete' : ''}${unknown}\n`;
  const more = findingCount - findings.length;
  return [
    `ALTERED  ${lead}`,
    ...findings.map((finding) => `  ${escapeLine(describeFinding(finding))}`),
    ...(more > 0 ? [`  and ${more} more`] : []),
    '',
  ].join('\n');
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

async function namesIn(storage: Storage): Promise<string[]> {
  const names = new Set<string>();
  for await (const { key } of storage.list(layout.recordings)) names.add(key.split('/')[1]!);
  return [...names].sort((a, b) => (a < b ? -1 : 1));
}

/** Files, those of chains with their folder; parts of open segments are none. */
function filesBelow(path: string): string[] {
  const found: string[] = [];
  for (const entry of readdirSync(path, { withFileTypes: true })) {
    if (entry.name.endsWith('.open')) continue;
    if (!entry.isDirectory()) found.push(entry.name);
    else
      for (const file of readdirSync(join(path, entry.name)))
        if (!file.endsWith('.open')) found.push(`${entry.name}/${file}`);
  }
  return found;
}

/** A recording's folder, wherever it was copied to. */
function folderOf(folder: string): RecordingFiles {
  const path = resolve(folder);
  return {
    name: basename(path),
    list: async () => filesBelow(path),
    read: (file) => createReadStream(join(path, file), { highWaterMark: 256 << 10 }) as AsyncIterable<Buffer>,
  };
}
