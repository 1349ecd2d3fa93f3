import { CommandError } from './command-io.ts';

export interface SignInOptions {
  readonly issuer: string;
  readonly clientID: string;
  readonly scopes: readonly string[];
  readonly redirectPorts: readonly number[];
  /** PEM of the issuer's authorities; absent: the system's. */
  readonly ca: string | undefined;
  readonly method: 'auto' | 'browser' | 'device';
  /** The person must really sign in now, whatever session the issuer remembers. */
  readonly fresh: boolean;
  /** Ask for a refresh token. */
  readonly offline: boolean;
  /** Milliseconds for the person. */
  readonly timeout: number;
}

export interface SignedIn {
  readonly idToken: string;
  readonly refreshToken: string | undefined;
}

export function scopeOf(options: SignInOptions): string {
  return [...new Set(['openid', ...options.scopes, ...(options.offline ? ['offline_access'] : [])])].join(' ');
}

/** What goes with every request for a sign-in. `max_age` makes the issuer say when the person signed in (auth_time). */
export function commonParameters(options: SignInOptions): Record<string, string> {
  const prompt = options.fresh ? ['login'] : [];
  // OIDC Core §11: a refresh token needs the person's consent.
  if (options.offline) prompt.push('consent');
  return {
    scope: scopeOf(options),
    max_age: options.fresh ? '0' : '86400',
    ...(prompt.length === 0 ? {} : { prompt: prompt.join(' ') }),
  };
}

export function idTokenOf(answer: { id_token?: string; refresh_token?: string }): SignedIn {
  if (answer.id_token === undefined) throw new CommandError('the issuer gave no ID token');
  return { idToken: answer.id_token, refreshToken: answer.refresh_token };
}
