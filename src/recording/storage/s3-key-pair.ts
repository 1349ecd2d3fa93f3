/** A key pair as SigV4 wants it. */
export interface Credentials {
  readonly accessKeyID: string;
  readonly secretAccessKey: string;
  readonly sessionToken: string | undefined;
  /** Milliseconds since 1970; Infinity for a key that does not end. */
  readonly expiresAt: number;
}

/** Where a key pair comes from. */
export interface CredentialSource {
  /** For messages: which way it was found; no secret in it. */
  readonly description: string;
  /** @throws Error with one line saying what is missing; never the key. */
  load(signal: AbortSignal): Promise<Credentials>;
}

/** @throws Error where one of the two is empty or could not stand in a header. */
export function checked(keys: Credentials): Credentials {
  for (const [name, value] of Object.entries(keys)) {
    if (name === 'expiresAt' || value === undefined) continue;
    if (typeof value !== 'string' || !/^[\x21-\x7e]{1,8192}$/.test(value)) {
      throw new Error(`the ${name} is empty, or no single line of printable characters`);
    }
  }
  return keys;
}
