import { countLine, NO_COUNTS, sumCounts } from '../counts.ts';
import type { RecordingCounts, RecordingIdentity } from '../line.ts';
import { layout, manifestNumber } from '../segment.ts';
import type { Storage } from '../storage/storage.ts';
import { chainLines, contentOf, readJointManifest, readManifest } from '../stored-recording.ts';
import { linesOf } from '../timeline-lines.ts';

/** Whose it is; `replica` where one alone wrote it. */
export type Identity = Omit<RecordingIdentity, 'replica'> & { readonly replica?: string };

/** What a store says of one recording. */
export interface CatalogueEntry {
  readonly name: string;
  /** `Open`: not sealed yet. `Unreadable`: what is there is no recording; `verify` says why. */
  readonly state: 'Complete' | 'Incomplete' | 'Open' | 'Unreadable';
  readonly identity: Identity | undefined;
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
  for await (const { name, sealedAt, chains } of namesIn(storage, signal)) {
    // A seal before `since` needs no look at its manifest: nothing in it is younger.
    if (filter.since !== undefined && sealedAt !== undefined && sealedAt < filter.since - 60_000) continue;
    const kind = chains ? 'Joint' : sealedAt === undefined ? 'Open' : 'Sealed';
    const entry = entryOf(storage, name, kind, filter, signal);
    entry.catch(() => {});
    pending.push(entry);
    if (pending.length >= PARALLEL) yield* found();
  }
  while (pending.length > 0) yield* found();
}

interface Found {
  name: string;
  /** The time of its last manifest; undefined while something of it is open. */
  sealedAt: number | undefined;
  /** It consists of chains. */
  chains: boolean;
}

/** Every recording's name; sealed ones and open ones. */
async function* namesIn(storage: Storage, signal: AbortSignal | undefined): AsyncGenerator<Found> {
  const open = new Map<string, { chains: boolean }>();
  for await (const key of storage.listOpen(layout.recordings, signal)) {
    open.set(nameOf(key), { chains: partsOf(key).length > 2 });
  }
  let found: Found | undefined;
  const whole = (): Found => {
    const known = open.get(found!.name);
    open.delete(found!.name);
    const { chains, ...rest } = found!;
    if (known === undefined || !(known.chains || chains)) return found!;
    return { ...rest, sealedAt: undefined, chains: true };
  };
  for await (const { key, modifiedAt } of storage.list(layout.recordings, signal)) {
    const [name = '', file = '', ...inChain] = partsOf(key);
    if (found !== undefined && found.name !== name) yield whole();
    if (found?.name !== name) found = { name, sealedAt: undefined, chains: false };
    if (inChain.length > 0) found.chains = true;
    // A chain that was sealed later is not in the manifest yet; what is younger than `since` is looked at.
    const isManifest = manifestNumber(inChain[0] ?? file) !== undefined;
    if (isManifest) found.sealedAt = Math.max(found.sealedAt ?? 0, modifiedAt);
  }
  if (found !== undefined) yield whole();
  for (const [name, { chains }] of open) yield { name, sealedAt: undefined, chains };
}

function partsOf(key: string): string[] {
  return key.slice(layout.recordings.length).split('/');
}

function nameOf(key: string): string {
  return key.slice(layout.recordings.length).split('/', 1)[0]!;
}

async function entryOf(
  storage: Storage,
  name: string,
  kind: 'Open' | 'Sealed' | 'Joint',
  filter: CatalogueFilter,
  signal: AbortSignal | undefined,
): Promise<CatalogueEntry | undefined> {
  let entry: CatalogueEntry;
  try {
    entry = await ENTRIES[kind](storage, name, signal);
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

/** A recording of several chains is sealed where its last manifest names all that are there; what it does not name is counted. */
async function jointEntry(storage: Storage, name: string, signal: AbortSignal | undefined): Promise<CatalogueEntry> {
  const { manifests, chains } = await contentOf(storage, name, signal);
  const last = manifests.at(-1);
  const manifest = last === undefined ? undefined : (await readJointManifest(storage, name, last, signal))?.manifest;
  const named = new Set(manifest?.chains.map((chain) => chain.name));
  const rest = [...chains].filter(([chain]) => !named.has(chain));
  if (manifest !== undefined && rest.length === 0) {
    const { state, recording, counts, endTime } = manifest;
    return { name, state, identity: recording, counts, endTime };
  }
  let identity: Identity | undefined = manifest?.recording;
  let counts = manifest?.counts ?? NO_COUNTS;
  for (const [chain, { sealed }] of rest) {
    const entry = await ENTRIES[sealed ? 'Sealed' : 'Open'](storage, `${name}.${chain}`, signal);
    counts = sumCounts(counts, entry.counts ?? NO_COUNTS);
    if (entry.identity === undefined) continue;
    const { replica: _, ...own } = { ...entry.identity, name };
    if (identity === undefined || own.startTime < identity.startTime) identity = own;
  }
  return { name, state: 'Open', identity, counts, endTime: undefined };
}

/** Nobody has counted it yet: its lines are read. */
async function openEntry(storage: Storage, name: string, signal: AbortSignal | undefined): Promise<CatalogueEntry> {
  let identity: RecordingIdentity | undefined;
  let counts: RecordingCounts = NO_COUNTS;
  for await (const { line } of chainLines(storage, name, signal)) {
    if (line.kind === 'Segment') identity ??= line.recording;
    counts = countLine(counts, line);
  }
  return { name, state: 'Open', identity, counts, endTime: undefined };
}

const ENTRIES = { Open: openEntry, Sealed: sealedEntry, Joint: jointEntry } as const;

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
