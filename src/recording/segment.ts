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

/** Where the parts of a recording lie in a store, below its root. */
export const layout = {
  manifest: (recording: string): string => `recordings/${recording}/manifest.json`,
  segment: (recording: string, number: number): string => `recordings/${recording}/${segmentName(number)}`,
  recording: (recording: string): string => `recordings/${recording}/`,
  recordings: 'recordings/',
  /** What a replica says of the recordings it has open; not part of what is sealed. */
  announcement: (replica: string): string => `replicas/${replica}.json`,
  announcements: 'replicas/',
} as const;
