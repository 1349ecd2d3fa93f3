import { createHash, randomBytes } from 'node:crypto';

const REDIRECT = 'http://127.0.0.1/done';

/** The client that `signIn` is, as the provider must know it. */
export const SIGN_IN_CLIENT = {
  client_id: 'person',
  token_endpoint_auth_method: 'none' as const,
  application_type: 'native' as const,
  redirect_uris: [REDIRECT],
};

/**
 * Signs a person in at an `oidc-provider` with its development pages, as a browser does: authorization code with PKCE.
 * @returns the ID token
 */
export async function signIn(url: string, person: string): Promise<string> {
  const verifier = randomBytes(32).toString('base64url');
  const query = new URLSearchParams({
    client_id: SIGN_IN_CLIENT.client_id,
    response_type: 'code',
    scope: 'openid email',
    redirect_uri: REDIRECT,
    code_challenge: createHash('sha256').update(verifier).digest('base64url'),
    code_challenge_method: 'S256',
  });
  const cookies = new Map<string, string>();
  let next = `${url}/auth?${query}`;
  let prompt = 'login';
  for (let step = 0; step < 12 && !next.startsWith(REDIRECT); step += 1) {
    const page = new URL(next).pathname.startsWith('/interaction/');
    const answer = await fetch(next, {
      redirect: 'manual',
      headers: { cookie: [...cookies].map((pair) => pair.join('=')).join('; ') },
      ...(page ? { method: 'POST', body: new URLSearchParams({ prompt, login: person, password: 'any' }) } : {}),
    });
    if (page) prompt = 'consent';
    for (const line of answer.headers.getSetCookie()) {
      const [name, value] = line.split(';', 1)[0]!.split('=', 2);
      cookies.set(name!, value ?? '');
    }
    const location = answer.headers.get('location');
    if (location === null) throw new Error(`the sign-in stopped with ${answer.status}: ${await answer.text()}`);
    next = new URL(location, url).href;
  }
  const answer = await fetch(`${url}/token`, {
    method: 'POST',
    body: new URLSearchParams({
      grant_type: 'authorization_code',
      client_id: SIGN_IN_CLIENT.client_id,
      code: new URL(next).searchParams.get('code') ?? '',
      redirect_uri: REDIRECT,
      code_verifier: verifier,
    }),
  });
  const { id_token: token } = (await answer.json()) as { id_token?: string };
  if (token === undefined) throw new Error(`the provider answered ${answer.status} without an ID token`);
  return token;
}
