import { countLine, NO_COUNTS } from '../counts.ts';
import type { RecordingCounts, RecordingIdentity } from '../line.ts';
import { layout } from '../segment.ts';
import type { Storage } from '../storage/storage.ts';
import { linesOf, readManifest } from '../stored-recording.ts';

/** What a store says of one recording. */
export interface CatalogueEntry {
  readonly name: string;
  /** `Open`: not sealed yet. `Unreadable`: what is there is no recording; `verify` says why. */
  readonly state: 'Complete' | 'Incomplete' | 'Open' | 'Unreadable';
  readonly identity: RecordingIdentity | undefined;
  readonly counts: RecordingCounts | undefined;
  readonly endTime: string | undefined;
  /** Why it cannot be read. */
  readonly problem?: string | undefined;
}

export interface CatalogueFilter {
  /** Part of the caller's name, or of the person's on whose behalf. */
  readonly caller?: string | undefined;
  readonly agent?: string | undefined;
  /** A namespace that one of its requests was in. */
  readonly namespace?: string | undefined;
  /** With at least one request that was refused. */
  readonly deniedOnly?: boolean | undefined;
  /** Unix milliseconds: ended at or after. */
  readonly since?: number | undefined;
  /** Unix milliseconds: begun before. */
  readonly until?: number | undefined;
}

/** Recordings that are read at once: a store far away answers in tens of milliseconds. */
const PARALLEL = 24;

/**
 * The recordings of a store, in the order of their names. Manifests are the index: each says whose it is, from when until when, and
 * counts. Only where a namespace is asked for, lines are read.
 */
export async function* catalogue(
  storage: Storage,
  filter: CatalogueFilter = {},
  signal?: AbortSignal,
): AsyncGenerator<CatalogueEntry> {
  const pending: Promise<CatalogueEntry | undefined>[] = [];
  const found = async function* (): AsyncGenerator<CatalogueEntry> {
    const entry = await pending.shift();
    if (entry !== undefined) yield entry;
  };
  for await (const { name, sealedAt } of namesIn(storage, signal)) {
    // A seal before `since` needs no look at its manifest: nothing in it is younger.
    if (filter.since !== undefined && sealedAt !== undefined && sealedAt < filter.since - 60_000) continue;
    const entry = entryOf(storage, name, sealedAt !== undefined, filter, signal);
    entry.catch(() => {});
    pending.push(entry);
    if (pending.length >= PARALLEL) yield* found();
  }
  while (pending.length > 0) yield* found();
}

/** Every recording's name, with the time of its manifest; sealed ones and open ones. */
async function* namesIn(
  storage: Storage,
  signal: AbortSignal | undefined,
): AsyncGenerator<{ name: string; sealedAt: number | undefined }> {
  const open = new Set<string>();
  for await (const key of storage.listOpen(layout.recordings, signal)) open.add(nameOf(key));
  let name = '';
  let sealedAt: number | undefined;
  for await (const { key, modifiedAt } of storage.list(layout.recordings, signal)) {
    const next = nameOf(key);
    if (next !== name && name !== '') yield { name, sealedAt };
    if (next !== name) sealedAt = undefined;
    name = next;
    open.delete(name);
    if (key === layout.manifest(name)) sealedAt = modifiedAt;
  }
  if (name !== '') yield { name, sealedAt };
  for (const each of open) yield { name: each, sealedAt: undefined };
}

function nameOf(key: string): string {
  return key.slice(layout.recordings.length).split('/', 1)[0]!;
}

async function entryOf(
  storage: Storage,
  name: string,
  sealed: boolean,
  filter: CatalogueFilter,
  signal: AbortSignal | undefined,
): Promise<CatalogueEntry | undefined> {
  let entry: CatalogueEntry;
  try {
    entry = sealed ? await sealedEntry(storage, name, signal) : await openEntry(storage, name, signal);
  } catch (error) {
    const problem = (error as Error).message;
    return { name, state: 'Unreadable', identity: undefined, counts: undefined, endTime: undefined, problem };
  }
  if (!matches(entry, filter)) return undefined;
  if (filter.namespace === undefined) return entry;
  for await (const { line } of linesOf(storage, name, signal)) {
    if (line.kind === 'Event' && line.objectRef?.namespace === filter.namespace) return entry;
  }
  return undefined;
}

async function sealedEntry(storage: Storage, name: string, signal: AbortSignal | undefined): Promise<CatalogueEntry> {
  const { manifest } = (await readManifest(storage, name, signal))!;
  const { state, recording, counts, endTime } = manifest;
  return { name, state, identity: recording, counts, endTime };
}

/** Nobody has counted it yet: its lines are read. */
async function openEntry(storage: Storage, name: string, signal: AbortSignal | undefined): Promise<CatalogueEntry> {
  let identity: RecordingIdentity | undefined;
  let counts: RecordingCounts = NO_COUNTS;
  for await (const { line } of linesOf(storage, name, signal)) {
    if (line.kind === 'Segment') identity ??= line.recording;
    counts = countLine(counts, line);
  }
  return { name, state: 'Open', identity, counts, endTime: undefined };
}

function matches({ identity, counts, endTime }: CatalogueEntry, filter: CatalogueFilter): boolean {
  const { caller, agent, deniedOnly, since, until } = filter;
  if (deniedOnly === true && (counts?.denied ?? 0) === 0) return false;
  if (agent !== undefined && identity?.caller.agent !== agent) return false;
  if (caller !== undefined) {
    const names = [identity?.user.username, identity?.caller.onBehalfOf];
    if (!names.some((name) => name?.includes(caller))) return false;
  }
  if (since !== undefined && endTime !== undefined && Date.parse(endTime) < since) return false;
  if (until !== undefined && identity !== undefined && Date.parse(identity.startTime) >= until) return false;
  return true;
}
