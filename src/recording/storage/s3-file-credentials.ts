import { readFile } from 'node:fs/promises';
import { type CredentialSource, type Credentials, checked } from './s3-key-pair.ts';

/** Milliseconds for which keys from files are used before the files are looked at again. */
const LOOK_AGAIN = 6 * 60_000;

export interface KeyFiles {
  readonly accessKeyIDFile: string;
  readonly secretAccessKeyFile: string;
  readonly sessionTokenFile?: string | undefined;
}

/** Keys of a mounted Secret: one file for each part, read again when they may have been rotated. */
export class RereadCredentials implements CredentialSource {
  readonly description: string;
  readonly #files: KeyFiles;

  constructor(files: KeyFiles) {
    this.#files = files;
    this.description = `keys of ${files.accessKeyIDFile}`;
  }

  async load(): Promise<Credentials> {
    const { accessKeyIDFile, secretAccessKeyFile, sessionTokenFile } = this.#files;
    const [accessKeyID, secretAccessKey, sessionToken] = await Promise.all([
      readFile(accessKeyIDFile, 'utf8'),
      readFile(secretAccessKeyFile, 'utf8'),
      sessionTokenFile === undefined ? undefined : readFile(sessionTokenFile, 'utf8'),
    ]);
    return checked({
      accessKeyID: accessKeyID.trim(),
      secretAccessKey: secretAccessKey.trim(),
      sessionToken: sessionToken?.trim() || undefined,
      expiresAt: Date.now() + LOOK_AGAIN,
    });
  }
}
