import { findBrowser } from './browser.ts';
import { CommandError, type CommandIO } from './command-io.ts';
import { discover, reason } from './issuer.ts';
import { signInByBrowser } from './sign-in-browser.ts';
import { signInByDevice } from './sign-in-device.ts';
import type { SignedIn, SignInOptions } from './sign-in-terms.ts';

/**
 * Has a person sign in: by their browser where one can be opened, else by a code that they enter on any device, else
 * not at all. Says on standard error what to do.
 * @throws CommandError
 */
export async function signIn(options: SignInOptions, io: CommandIO): Promise<SignedIn> {
  const provider = await discover(options);
  const device = provider.serverMetadata().device_authorization_endpoint !== undefined;
  const open = options.method === 'device' ? undefined : findBrowser(io.env);
  try {
    if (options.method === 'browser' || open !== undefined) return await signInByBrowser(provider, options, io, open);
    // A CI job that waits for a person waits for nobody.
    if (device && (options.method === 'device' || !isCI(io.env))) return await signInByDevice(provider, options, io);
  } catch (error) {
    throw error instanceof CommandError ? error : new CommandError(`the sign-in failed: ${reason(error)}`);
  }
  throw new CommandError(
    'nobody can sign in here: no browser can be opened, and there is no device flow (or this is a CI job).\n' +
      'Run the same command where a browser is (or with --sign-in browser, and open the printed address yourself), ' +
      'or give the ID token of a CI job with --token-file',
  );
}

function isCI(env: CommandIO['env']): boolean {
  return env['CI'] !== undefined && env['CI'] !== '' && env['CI'] !== 'false';
}
