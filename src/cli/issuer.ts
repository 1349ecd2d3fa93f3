import * as client from 'openid-client';
import { Agent, fetch } from 'undici';
import { CommandError } from './command-io.ts';
import { type SignedIn, type SignInOptions, scopeOf } from './sign-in-terms.ts';

/** The issuer's configuration, found by discovery; a public client, every request bounded in time. */
export async function discover(options: SignInOptions): Promise<client.Configuration> {
  const url = new URL(options.issuer);
  const loopback = url.protocol === 'http:' && ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
  if (url.protocol !== 'https:' && !loopback) throw new CommandError(`the issuer ${options.issuer} is not https`);
  const agent = new Agent({ connections: 4, connect: { timeout: 10_000, ...(options.ca && { ca: options.ca }) } });
  try {
    return await client.discovery(url, options.clientID, undefined, client.None(), {
      timeout: 15,
      execute: loopback ? [client.allowInsecureRequests] : [],
      [client.customFetch]: (target, init) =>
        fetch(target, { ...(init as object), dispatcher: agent }) as unknown as Promise<Response>,
    });
  } catch (error) {
    throw new CommandError(`the issuer ${options.issuer} cannot be asked: ${reason(error)}`);
  }
}

/** A new ID token without the person. @returns undefined when the issuer does not take the refresh token any more. */
export async function refresh(options: SignInOptions, refreshToken: string): Promise<SignedIn | undefined> {
  const provider = await discover(options);
  try {
    const answer = await client.refreshTokenGrant(provider, refreshToken, { scope: scopeOf(options) });
    if (answer.id_token === undefined) return undefined;
    return { idToken: answer.id_token, refreshToken: answer.refresh_token ?? refreshToken };
  } catch (error) {
    if (error instanceof client.ResponseBodyError) return undefined;
    throw new CommandError(`the issuer ${options.issuer} cannot be asked: ${reason(error)}`);
  }
}

/** One line, without what the answer held besides: it may be a token. */
export function reason(error: unknown): string {
  if (error instanceof client.ResponseBodyError) return `${error.error} ${error.error_description ?? ''}`.trim();
  if (error instanceof client.AuthorizationResponseError) {
    return `${error.error} ${error.error_description ?? ''}`.trim();
  }
  const { cause } = error as Error;
  const code = (cause as NodeJS.ErrnoException | undefined)?.code ?? (error as NodeJS.ErrnoException).code;
  return code === undefined ? (error as Error).message : `${(error as Error).message} (${code})`;
}
