import * as client from 'openid-client';
import { escapeLine } from '../errors.ts';
import { CommandError, type CommandIO } from './command-io.ts';
import { commonParameters, idTokenOf, type SignedIn, type SignInOptions } from './sign-in-terms.ts';

/** Device authorization grant (RFC 8628): the person enters a code on any device with a browser. */
export async function signInByDevice(
  provider: client.Configuration,
  options: SignInOptions,
  io: CommandIO,
): Promise<SignedIn> {
  const started = await client.initiateDeviceAuthorization(provider, commonParameters(options));
  const minutes = Math.max(1, Math.round(Math.min(started.expires_in, options.timeout / 1_000) / 60));
  const direct = started.verification_uri_complete;
  io.stderr(
    `To sign in, open ${escapeLine(started.verification_uri)} and enter the code ${escapeLine(started.user_code)}\n` +
      (direct === undefined ? '' : `  (or open ${escapeLine(direct)})\n`) +
      `This waits for ${minutes} min.\n`,
  );
  const limit = AbortSignal.timeout(options.timeout);
  try {
    return idTokenOf(await client.pollDeviceAuthorizationGrant(provider, started, undefined, { signal: limit }));
  } catch (error) {
    if (limit.aborted) throw new CommandError(`nobody signed in within ${minutes} min`);
    throw error;
  }
}
