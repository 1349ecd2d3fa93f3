import { chainName, manifestNumber, RECORDING_NAME, segmentNumber } from '../segment.ts';

/** Where the gateway shows its store to those who may read recordings (docs/recording-readers.md). */
export const RECORDINGS_ENDPOINT = '/sallyport/v1/recordings';

/** One line of a listing: an object of the store, an open segment of it, or what ended the listing before its end. */
export type ListedObject =
  | { readonly key: string; readonly bytes: number; readonly modifiedAt: number; readonly content?: string | undefined }
  | { readonly key: string; readonly open: true }
  | { readonly end: true }
  | { readonly error: string };

/** Manifests up to this size come with the listing, in base64: a question for each of them would take minutes. */
export const MOST_INLINE = 64 << 10;

/** What of a store is read through a gateway: recordings, and the public keys of those who sealed them. */
export interface ReadableKey {
  readonly key: string;
  /** Undefined: a public key. */
  readonly recording: string | undefined;
  readonly isManifest: boolean;
}

/** @returns undefined for anything else that may lie in a store */
export function readableKey(key: string): ReadableKey | undefined {
  if (/^keys\/[0-9a-f]{1,64}\.pem$/.test(key)) return { key, recording: undefined, isManifest: false };
  const [folder, name = '', ...path] = key.split('/');
  if (folder !== 'recordings' || name.length > 253 || !RECORDING_NAME.test(name)) return undefined;
  const [file = '', chain] = path.reverse();
  if (path.length > 2 || (chain !== undefined && chainName(`${name}.${chain}`) === undefined)) return undefined;
  const number = manifestNumber(file);
  const isManifest = number !== undefined && (chain === undefined || number === 1);
  return isManifest || segmentNumber(file) !== undefined ? { key, recording: name, isManifest } : undefined;
}

/** Below what something may be listed: all recordings, one of them, one of its chains, the keys. */
export function readablePrefix(prefix: string): { readonly recording: string | undefined } | undefined {
  if (prefix === 'recordings/' || prefix === 'keys/') return { recording: undefined };
  const [, name, chain] = /^recordings\/([^/]{1,253})\/(?:([^/]{1,253})\/)?$/.exec(prefix) ?? [];
  if (name === undefined || !RECORDING_NAME.test(name)) return undefined;
  return chain === undefined || chainName(`${name}.${chain}`) !== undefined ? { recording: name } : undefined;
}
