/** Where a load client sends, and what it says there. */
export interface Endpoint {
  readonly name: string;
  /** `https://127.0.0.1:…`; kubectl proxy's has no TLS. */
  readonly url: string;
  readonly caPem: string | undefined;
  /** Flat (name, value, …): the credential, and the impersonated names where the client itself is the one to say them. */
  readonly headers: readonly string[];
}

export type Protocol = 'HTTP/1.1' | 'HTTP/2';
