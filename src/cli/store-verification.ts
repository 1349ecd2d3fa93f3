import type { VerifyReport } from '../recording/finding.ts';
import { layout, RECORDING_NAME, recordingOf } from '../recording/segment.ts';
import { readAnnouncements } from '../recording/shipping/announcement.ts';
import { type Storage, StorageError } from '../recording/storage/storage.ts';
import { type LastSealed, verifySuccession } from '../recording/succession.ts';
import { storedFiles } from './stored-files.ts';
import { type VerifyPlace, verifyEach } from './verify-threads.ts';

export interface StoreVerification {
  readonly reports: readonly VerifyReport[];
  /** A line for each recording that is not there as another one, or a replica, names it. */
  readonly missing: readonly string[];
  /** What lies among the recordings and is part of none. */
  readonly foreign: readonly string[];
}

/**
 * Verifies all recordings of a store, and that none is missing which another one, or a replica, names. The store may be in use.
 * @param tell told of each recording; once more where it was sealed since
 */
export async function verifyStore(
  place: VerifyPlace,
  tell: (report: VerifyReport) => void,
): Promise<StoreVerification> {
  const { storage } = place;
  // Before the listing, which then has all that was sealed by now.
  const announced = await announcements(place);
  const { names, foreign } = await contents(storage);
  const reports = new Map<string, VerifyReport>();
  const verify = async (these: readonly string[]): Promise<void> => {
    for await (const report of verifyEach(these, place)) {
      const known = reports.get(report.recording);
      reports.set(report.recording, report);
      if (known === undefined || known.manifestSHA256 !== report.manifestSHA256) tell(report);
    }
  };
  await verify(names);
  const again = new Set<string>();
  for (;;) {
    const missed = verifySuccession([...reports.values()], announced);
    // Begun since the listing, or sealed since it was read, and named by what was read later: so each is looked at once more.
    const later = [...new Set(missed.map(({ name }) => recordingOf(name)))].filter((name) => !again.has(name));
    if (later.length === 0) return { reports: [...reports.values()], missing: missed.map(({ what }) => what), foreign };
    const there: string[] = [];
    for (const name of later) {
      again.add(name);
      if (isRecording(name) && (await storedFiles(storage, name)) !== undefined) there.push(name);
    }
    await verify(there);
  }
}

async function announcements({ storage, io }: VerifyPlace): Promise<readonly LastSealed[]> {
  try {
    return await readAnnouncements(storage);
  } catch (error) {
    // Whoever audits recordings need not be allowed to read anything else; a gateway shows nothing else.
    if (!(error instanceof StorageError && (error.fault === 'Refused' || error.fault === 'NotFound'))) throw error;
    io.stderr(
      'note: what replicas say that they sealed last cannot be read here, so that it is there was not checked\n',
    );
    return [];
  }
}

/** Names of recordings in their order, and what is none. */
async function contents(storage: Storage): Promise<{ names: string[]; foreign: string[] }> {
  const names = new Set<string>();
  const foreign = new Set<string>();
  const sort = (key: string): void => {
    const [, name = '', file] = key.split('/');
    if (file !== undefined && isRecording(name)) names.add(name);
    else foreign.add(`${layout.recordings}${name}`);
  };
  for await (const { key } of storage.list(layout.recordings)) sort(key);
  for await (const key of storage.listOpen(layout.recordings)) sort(key);
  return { names: [...names].sort((a, b) => (a < b ? -1 : 1)), foreign: [...foreign] };
}

/** Whether a recording of that name would be in the folder of that name; that of a chain is not. */
function isRecording(name: string): boolean {
  return RECORDING_NAME.test(name) && layout.recording(name) === `${layout.recordings}${name}/`;
}
