import type { S3Client } from './s3-client.ts';
import { listedVersions, type StoredVersion } from './s3-listing.ts';
import { childText, parseAnswer } from './s3-xml.ts';

/** What lies under one key: `first` was written first, `last` is what a plain reader sees. */
export interface KeptVersions {
  readonly key: string;
  readonly first: StoredVersion;
  readonly last: StoredVersion;
  /** Something was laid over the first one. */
  readonly shadowed: boolean;
}

/** Behind these names parts of open segments lie. */
export const PARTS = '.open/';

export interface VersionsOptions {
  readonly client: S3Client;
  readonly prefix: string;
  /** What to take for true where the account may not ask. */
  readonly expected: boolean;
  readonly onShadowed: (key: string) => void;
}

/**
 * Versions of a bucket that keeps them. Object lock holds a version, not a name: whoever may write or delete can lay another
 * version or a delete marker over a sealed object. So for what is sealed, the first version is the object.
 */
export class Versions {
  readonly #options: VersionsOptions;
  #kept: Promise<boolean> | undefined;

  constructor(options: VersionsOptions) {
    this.#options = options;
  }

  /** Versions are what object lock protects; a bucket keeps them or does not, whoever reads. */
  kept(signal: AbortSignal | undefined): Promise<boolean> {
    this.#kept ??= this.#ask(signal).catch((error: unknown) => {
      this.#kept = undefined;
      throw error;
    });
    return this.#kept;
  }

  async #ask(signal: AbortSignal | undefined): Promise<boolean> {
    const query = { versioning: '' };
    const answer = await this.#options.client.send(
      { operation: 'GetBucketVersioning', method: 'GET', key: '', query, expect: [200, 403, 404, 501] },
      signal,
    );
    if (answer.status === 403) return this.#options.expected;
    const xml = parseAnswer(answer.body.toString('utf8'));
    return xml !== undefined && childText(xml, 'Status') === 'Enabled';
  }

  /** Which version of a sealed object is meant: the first, whatever was laid over it. */
  async queryOf(key: string, signal: AbortSignal | undefined): Promise<Record<string, string>> {
    if (!isSealedKey(key) || !(await this.kept(signal))) return {};
    for await (const found of this.of(key, signal)) {
      if (found.key > key) break;
      if (found.key !== key) continue;
      if (found.shadowed) this.#options.onShadowed(key);
      return { versionId: found.first.versionID };
    }
    return {};
  }

  /** @param prefix of keys below the store's own prefix */
  async *of(prefix: string, signal: AbortSignal | undefined): AsyncGenerator<KeptVersions> {
    const { prefix: base } = this.#options;
    let key = '';
    let first: StoredVersion | undefined;
    let last: StoredVersion | undefined;
    let shadowed = false;
    for await (const version of listedVersions(this.#options.client, `${base}${prefix}`, signal)) {
      if (version.key !== key) {
        if (first !== undefined && last !== undefined) yield { key: key.slice(base.length), first, last, shadowed };
        key = version.key;
        first = undefined;
        last = version;
        shadowed = false;
      }
      // They come newest first: what lies behind the last delete marker and version is what was written first.
      if (first !== undefined || version.deleteMarker) shadowed = true;
      if (!version.deleteMarker) first = version;
    }
    if (first !== undefined && last !== undefined) yield { key: key.slice(base.length), first, last, shadowed };
  }
}

/** Of a recording's folder everything is written once; the parts of open segments are under names of their own. */
export function isSealedKey(key: string): boolean {
  return key.startsWith('recordings/') && !key.includes(PARTS);
}
