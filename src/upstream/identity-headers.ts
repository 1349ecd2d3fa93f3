import { SallyportError } from '../errors.ts';
import { EXTRA_VIA, UPSTREAM_PREFIX, type UpstreamName } from '../identity/upstream-name.ts';

/** What Go's header reader leaves as it is: nothing to trim, nothing that is not printable ASCII. */
const UNTOUCHED = /^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/;

/** Built once for a caller and minute, not for a request. */
const blocks = new WeakMap<UpstreamName, { readonly via: string | undefined; readonly block: readonly string[] }>();

/**
 * The impersonation headers of a name, flat (name, value, …): one line for each group, since a joined line is one
 * group with a comma in it.
 * @param via the value of `sallyport.dev/via`
 * @throws SallyportError SP_INTERNAL when an extra key could not be sent as it is.
 */
export function identityHeaders(name: UpstreamName, via: string | undefined): readonly string[] {
  const known = blocks.get(name);
  if (known !== undefined && known.via === via) return known.block;
  const block = ['Impersonate-User', name.username];
  if (name.uid !== '') block.push('Impersonate-Uid', name.uid);
  for (const group of name.groups) block.push('Impersonate-Group', group);
  const extra = via === undefined ? name.extra : { ...name.extra, [EXTRA_VIA]: [via] };
  for (const [key, values] of Object.entries(extra)) {
    const header = `Impersonate-Extra-${encodeExtraKey(key)}`;
    for (const value of values) block.push(header, value);
  }
  blocks.set(name, { via, block });
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
    if (!UNTOUCHED.test(value)) fail('an identity header that Go would read otherwise');
    if (name === 'impersonate-user') users += 1;
    if ((name === 'impersonate-user' || name === 'impersonate-group') && !value.startsWith(UPSTREAM_PREFIX)) {
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
