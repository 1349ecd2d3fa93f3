import { createServer, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as client from 'openid-client';
import { escapeLine } from '../errors.ts';
import type { OpenBrowser } from './browser.ts';
import { CommandError, type CommandIO } from './command-io.ts';
import { commonParameters, idTokenOf, type SignedIn, type SignInOptions } from './sign-in-terms.ts';

/**
 * Authorization code with PKCE and a loopback redirect (RFC 8252 §7.3): the code comes back to a port that only this
 * machine reaches, and is worth nothing without the verifier, which never leaves this process.
 */
export async function signInByBrowser(
  provider: client.Configuration,
  options: SignInOptions,
  io: CommandIO,
  open: OpenBrowser | undefined,
): Promise<SignedIn> {
  const verifier = client.randomPKCECodeVerifier();
  const state = client.randomState();
  const nonce = client.randomNonce();
  const server = createServer({ headersTimeout: 5_000, requestTimeout: 5_000, maxHeaderSize: 32_768 });
  try {
    const port = await listen(server, options.redirectPorts);
    const redirect = `http://127.0.0.1:${port}/callback`;
    const address = client.buildAuthorizationUrl(provider, {
      ...commonParameters(options),
      redirect_uri: redirect,
      response_type: 'code',
      code_challenge: await client.calculatePKCECodeChallenge(verifier),
      code_challenge_method: 'S256',
      state,
      nonce,
    });
    const returned = callback(server, state, redirect, options.timeout);
    const opened = open === undefined ? 'Open this address to sign in' : 'A browser opens to sign in; if not, open';
    io.stderr(`${opened}:\n  ${escapeLine(address.href)}\n`);
    open?.(address.href);
    const { url, answer } = await returned;
    try {
      const tokens = await client.authorizationCodeGrant(provider, url, {
        pkceCodeVerifier: verifier,
        expectedState: state,
        expectedNonce: nonce,
        idTokenExpected: true,
      });
      const signedIn = idTokenOf(tokens);
      page(answer, 200, 'You are signed in. You can close this window.');
      return signedIn;
    } catch (error) {
      page(answer, 400, 'The sign-in failed. The terminal says why.');
      throw error;
    }
  } finally {
    server.close();
    server.closeIdleConnections();
  }
}

async function listen(server: Server, ports: readonly number[]): Promise<number> {
  for (const port of ports.length === 0 ? [0] : ports) {
    const works = await new Promise<boolean>((resolve) => {
      server.once('error', () => resolve(false));
      server.listen(port, '127.0.0.1', () => resolve(true));
    });
    if (works) return (server.address() as AddressInfo).port;
  }
  throw new CommandError(`no free port on 127.0.0.1 for the sign-in (${ports.join(', ')})`);
}

/** The one request with our state; anything else that knocks is sent away and changes nothing. */
function callback(
  server: Server,
  state: string,
  redirect: string,
  timeout: number,
): Promise<{ url: URL; answer: ServerResponse }> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(
      () => reject(new CommandError(`nobody signed in within ${Math.round(timeout / 1_000)} seconds`)),
      timeout,
    );
    let taken = false;
    server.on('request', (request, answer) => {
      const url = URL.parse(request.url ?? '', redirect);
      const ours = url?.origin === new URL(redirect).origin && url.pathname === '/callback';
      if (request.method !== 'GET' || !ours || taken || url.searchParams.get('state') !== state) {
        page(answer, 404, 'Nothing here.');
        return;
      }
      taken = true;
      clearTimeout(timer);
      resolve({ url, answer });
    });
  });
}

/** Nothing of the request is in the page. */
function page(answer: ServerResponse, status: number, text: string): void {
  answer.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': "default-src 'none'",
    'referrer-policy': 'no-referrer',
    'cache-control': 'no-store',
    connection: 'close',
  });
  answer.end(`<!doctype html><title>Sallyport</title><p>${text}</p>\n`);
}
