import { SallyportError } from '../errors.ts';

/** Who a request runs as at the API server: every name carries the reserved prefix. */
export interface UpstreamIdentity {
  readonly username: string;
  readonly uid: string;
  readonly groups: readonly string[];
  /** Keys lower-case, as the API server stores them. */
  readonly extra: ReadonlyMap<string, readonly string[]>;
}

/** The prefix that only this gate can assert; RBAC for agents hangs on it, and `system:` cannot be reached. */
export const RESERVED_PREFIX = 'sallyport:';

const HEADER_VALUE = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/;

/**
 * The impersonation headers of an identity, flat (name, value, …): one line for each group, since a joined line is one
 * group with a comma in it.
 * @throws SallyportError SP_INTERNAL when a name could be read by the API server as another one.
 */
export function identityHeaders(identity: UpstreamIdentity): string[] {
  const block = ['Impersonate-User', identity.username];
  if (identity.uid !== '') block.push('Impersonate-Uid', identity.uid);
  for (const group of identity.groups) block.push('Impersonate-Group', group);
  for (const [key, values] of identity.extra) {
    const name = `Impersonate-Extra-${encodeExtraKey(key)}`;
    for (const value of values) block.push(name, value);
  }
  return block;
}

/**
 * Asserted on the very block that is sent: exactly one user, reserved prefixes on user and groups, nothing that Go
 * would trim (`"system:masters "` is system:masters there), exactly one Authorization.
 * @throws SallyportError SP_INTERNAL; the request is then not sent.
 */
export function assertIdentity(headers: readonly string[]): void {
  let users = 0;
  let authorizations = 0;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase();
    const value = headers[i + 1]!;
    if (name === 'authorization') authorizations += 1;
    else if (name.startsWith('x-remote')) fail('a front-proxy header');
    if (!name.startsWith('impersonate')) continue;
    if (!HEADER_VALUE.test(value)) fail('an identity header that Go would read otherwise');
    if (name === 'impersonate-user') users += 1;
    if ((name === 'impersonate-user' || name === 'impersonate-group') && !value.startsWith(RESERVED_PREFIX)) {
      fail('a name outside the reserved prefix');
    }
  }
  if (users !== 1) fail('not exactly one user');
  if (authorizations > 1) fail('more than one credential');
}

function encodeExtraKey(key: string): string {
  if (!/^[a-z0-9]([-a-z0-9._/]*[a-z0-9])?$/.test(key)) fail('an extra key that is not lower-case');
  return key.replaceAll('/', '%2F');
}

function fail(what: string): never {
  throw new SallyportError('SP_INTERNAL', 'the identity of this request could not be asserted; nothing was sent', {
    cause: new Error(`identity block: ${what}`),
  });
}
