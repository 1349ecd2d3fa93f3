/** A part of a segment that is still written: whole zstd frames holding whole lines. */
export interface StoredPart {
  /** From 1, without gaps. */
  readonly number: number;
  readonly firstSeq: number;
  readonly lastSeq: number;
  readonly bytes: number;
}

export interface StoredObject {
  /** Below the store's root, segments joined by `/`. */
  readonly key: string;
  readonly bytes: number;
  /** Unix milliseconds. */
  readonly modifiedAt: number;
}

export interface ByteRange {
  readonly offset: number;
  /** To the end when left out. */
  readonly length?: number | undefined;
}

export interface SealOptions {
  /** Hex. What was stored is held against it, so that a store that lies is found out. */
  readonly sha256: string;
  /** Unix milliseconds until when nothing may delete or overwrite it; undefined: no lock. */
  readonly retainUntil?: number | undefined;
}

export interface SealedObject {
  readonly key: string;
  readonly bytes: number;
  readonly sha256: string;
}

/**
 * Where recordings are kept. Sealed objects are written once and never again; open segments grow by parts until they are
 * sealed. Every method may be called again after a failure: what is there already with the same content is success.
 * @throws StorageError
 */
export interface Storage {
  /** As people write it: `file:///var/lib/…`, `s3://bucket/prefix`. No credential is in it. */
  readonly locator: string;
  /** Puts a whole object, sealed at once (manifests). */
  putSealed(key: string, content: Buffer, options: SealOptions, signal?: AbortSignal): Promise<SealedObject>;
  /** Puts a small object that may be replaced (announcements). */
  putMutable(key: string, content: Buffer, signal?: AbortSignal): Promise<void>;
  /** Adds a part to the open segment that will have this key. When it resolves, another replica can read it. */
  appendPart(key: string, part: StoredPart, content: Buffer, signal?: AbortSignal): Promise<void>;
  /** The parts of an open segment in their order; those behind a gap are left out. */
  parts(key: string, signal?: AbortSignal): Promise<readonly StoredPart[]>;
  /** Joins the parts into the sealed object and lets go of them. @param sha256 of the joined parts */
  sealParts(key: string, options: SealOptions, signal?: AbortSignal): Promise<SealedObject>;
  /** The bytes of an open segment's parts, joined. */
  readParts(key: string, signal?: AbortSignal): AsyncIterable<Buffer>;
  /** Objects, sealed or mutable, whose key begins so, in the order of their keys. Open parts are not among them. */
  list(prefix: string, signal?: AbortSignal): AsyncIterable<StoredObject>;
  /** Keys of open segments that begin so. */
  listOpen(prefix: string, signal?: AbortSignal): AsyncIterable<string>;
  /** @throws StorageError `NotFound` */
  get(key: string, range?: ByteRange, signal?: AbortSignal): AsyncIterable<Buffer>;
  /** Removes an object. @throws StorageError `Locked` while its retention holds */
  remove(key: string, signal?: AbortSignal): Promise<void>;
  /** Removes what writers that were killed left of objects that never came to be, where the store can have such. */
  removeTemporaries?(signal?: AbortSignal): Promise<void>;
  close(): Promise<void>;
}

/** What may be done about it: `Unavailable` is tried again, the others need a person. */
export type StorageFault = 'NotFound' | 'Exists' | 'Locked' | 'Full' | 'Refused' | 'Unavailable' | 'Corrupt';

export class StorageError extends Error {
  readonly fault: StorageFault;

  constructor(fault: StorageFault, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'StorageError';
    this.fault = fault;
  }
}
