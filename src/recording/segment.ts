/** A segment's file name: number, six digits at least, so that names sort as they follow each other. */
export function segmentName(number: number): string {
  return `${String(number).padStart(6, '0')}.jsonl.zst`;
}

/** The number in a segment's name; undefined where it is none. */
export function segmentNumber(name: string): number | undefined {
  const digits = /^(\d{6,12})\.jsonl\.zst$/.exec(name)?.[1];
  if (digits === undefined) return undefined;
  const number = Number(digits);
  return number > 0 && segmentName(number) === name ? number : undefined;
}

/** Names of recordings are object names and folder names: DNS-1123 labels joined by dots, never a path. */
export const RECORDING_NAME = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$/;

const LABEL = /^[a-z0-9]([-a-z0-9]*[a-z0-9])?$/;

/**
 * A chain of a recording that several replicas write is named `RECORDING.CHAIN` and lies in the recording's folder; one that a
 * single replica writes for itself has no point in its name.
 */
export function chainName(name: string): { readonly recording: string; readonly chain: string } | undefined {
  const point = name.indexOf('.');
  if (point === -1) return undefined;
  const recording = name.slice(0, point);
  const chain = name.slice(point + 1);
  return LABEL.test(recording) && LABEL.test(chain) ? { recording, chain } : undefined;
}

/** The recording that lines belong to: itself, or the one that it is a chain of. */
export function recordingOf(name: string): string {
  return chainName(name)?.recording ?? name;
}

const MANIFEST = 'manifest.json';

/** The file of a recording's first, second … manifest: each time that all its chains have ended it is sealed anew. */
export function manifestFile(number: number): string {
  return number === 1 ? MANIFEST : `manifest-${String(number).padStart(6, '0')}.json`;
}

/** The number in a manifest's name; undefined where it is none. */
export function manifestNumber(file: string): number | undefined {
  if (file === MANIFEST) return 1;
  const number = Number(/^manifest-(\d{6,12})\.json$/.exec(file)?.[1] ?? Number.NaN);
  return number > 1 && manifestFile(number) === file ? number : undefined;
}

/** Where the parts of a recording, or of one of its chains, lie in a store, below its root. */
export const layout = {
  manifest: (name: string, number = 1): string => `${folder(name)}${manifestFile(number)}`,
  segment: (name: string, number: number): string => `${folder(name)}${segmentName(number)}`,
  recording: folder,
  recordings: 'recordings/',
  /** What a replica says of the recordings it has open; not part of what is sealed. */
  announcement: (replica: string): string => `replicas/${replica}.json`,
  announcements: 'replicas/',
} as const;

function folder(name: string): string {
  const { recording, chain } = chainName(name) ?? { recording: name, chain: undefined };
  return `recordings/${recording}/${chain === undefined ? '' : `${chain}/`}`;
}
