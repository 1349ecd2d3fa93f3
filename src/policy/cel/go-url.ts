/** URLs as Go's net/url reads them, which is what Kubernetes' `url()` and `isURL()` mean; WHATWG's differ in most corners. */
export interface GoURL {
  readonly scheme: string;
  readonly opaque: string;
  readonly userinfo: string | undefined;
  /** With the port; unescaped. */
  readonly host: string;
  readonly path: string;
  readonly rawPath: string;
  readonly rawQuery: string;
  readonly forceQuery: boolean;
  readonly fragment: string;
}

type Mode = 'path' | 'host' | 'query' | 'userinfo' | 'fragment';

const UNRESERVED = /[A-Za-z0-9\-_.~]/;
const UNESCAPED: Readonly<Record<Mode, string>> = {
  path: '$&+,/:;=@',
  host: '!$&\'()*+,;=:[]<>"',
  query: '',
  userinfo: '$&+,;=',
  fragment: '$&+,/:;=?@!()*',
};

const stays = (character: string, mode: Mode): boolean =>
  UNRESERVED.test(character) || UNESCAPED[mode].includes(character);

function percentEncode(text: string, mode: Mode): string {
  let out = '';
  for (const character of text) {
    if (character.length === 1 && character < '\x80' && stays(character, mode)) out += character;
    else {
      for (const byte of Buffer.from(character, 'utf8')) out += `%${byte.toString(16).toUpperCase().padStart(2, '0')}`;
    }
  }
  return out;
}

/** Undefined: a bad escape, or a character that the part may not have. */
function percentDecode(text: string, mode: Mode): string | undefined {
  if (/%(?![0-9a-fA-F]{2})/.test(text)) return undefined;
  if (mode === 'host') {
    // In a host only bytes beyond ASCII may be escaped, and `%25` for a zone.
    if (/%(?:[0-7][0-9a-fA-F])/.test(text.replaceAll('%25', ''))) return undefined;
    for (const character of text.replace(/%[0-9a-fA-F]{2}/g, '')) {
      if (character < '\x80' && !stays(character, 'host')) return undefined;
    }
  }
  const plain = mode === 'query' ? text.replaceAll('+', ' ') : text;
  if (!plain.includes('%')) return plain;
  const bytes: number[] = [];
  const encoded = Buffer.from(plain, 'utf8');
  for (let i = 0; i < encoded.length; i++) {
    if (encoded[i] === 0x25) {
      bytes.push(Number.parseInt(encoded.toString('latin1', i + 1, i + 3), 16));
      i += 2;
    } else bytes.push(encoded[i]!);
  }
  return Buffer.from(bytes).toString('utf8');
}

const MAX_LENGTH = 65_536;

/** An absolute URL or an absolute path, as the target of a request: what `isURL` accepts. */
export const isRequestURL = (text: string): boolean => parse(text, true) !== undefined;

/** The parts of what `isRequestURL` accepts; undefined for everything else. */
export function parseURL(text: string): GoURL | undefined {
  if (!isRequestURL(text)) return undefined;
  const hash = text.indexOf('#');
  const parsed = parse(hash === -1 ? text : text.slice(0, hash), false);
  if (parsed === undefined || hash === -1) return parsed;
  const fragment = percentDecode(text.slice(hash + 1), 'fragment');
  return fragment === undefined ? undefined : { ...parsed, fragment };
}

function parse(text: string, viaRequest: boolean): GoURL | undefined {
  const empty = {
    opaque: '',
    userinfo: undefined,
    host: '',
    rawPath: '',
    rawQuery: '',
    forceQuery: false,
    fragment: '',
  };
  if (text.length > MAX_LENGTH || /[\x00-\x1f\x7f]/.test(text) || (text === '' && viaRequest)) return undefined;
  if (text === '*') return { ...empty, scheme: '', path: '*' };
  const colon = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text);
  if (colon === null && text.startsWith(':')) return undefined;
  const scheme = colon?.[1]?.toLowerCase() ?? '';
  let rest = colon === null ? text : text.slice(colon[0].length);
  const question = rest.indexOf('?');
  const rawQuery = question === -1 ? '' : rest.slice(question + 1);
  const forceQuery = question !== -1 && rawQuery === '';
  if (question !== -1) rest = rest.slice(0, question);
  const query = { rawQuery, forceQuery };

  if (!rest.startsWith('/')) {
    if (scheme !== '') return { ...empty, ...query, scheme, opaque: rest, path: '' };
    if (viaRequest || rest.split('/', 1)[0]!.includes(':')) return undefined;
  }
  let authority = {};
  if (rest.startsWith('//') && (scheme !== '' || (!viaRequest && !rest.startsWith('///')))) {
    const slash = rest.indexOf('/', 2);
    const parsed = parseAuthority(slash === -1 ? rest.slice(2) : rest.slice(2, slash));
    if (parsed === undefined) return undefined;
    authority = parsed;
    rest = slash === -1 ? '' : rest.slice(slash);
  }
  const path = percentDecode(rest, 'path');
  if (path === undefined) return undefined;
  const rawPath = percentEncode(path, 'path') === rest ? '' : rest;
  return { ...empty, ...query, ...authority, scheme, path, rawPath };
}

function parseAuthority(authority: string): { userinfo: string | undefined; host: string } | undefined {
  const at = authority.lastIndexOf('@');
  const host = parseHost(authority.slice(at + 1));
  if (host === undefined) return undefined;
  if (at === -1) return { userinfo: undefined, host };
  const userinfo = authority.slice(0, at);
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(userinfo) || percentDecode(userinfo, 'userinfo') === undefined)
    return undefined;
  return { userinfo, host };
}

function parseHost(host: string): string | undefined {
  if (host.startsWith('[')) {
    const close = host.lastIndexOf(']');
    if (close === -1 || !validPort(host.slice(close + 1))) return undefined;
    return percentDecode(host, 'host');
  }
  const colon = host.indexOf(':');
  if (colon !== -1 && !validPort(host.slice(colon))) return undefined;
  return percentDecode(host, 'host');
}

const validPort = (text: string): boolean => text === '' || /^:[0-9]*$/.test(text);

export function hostnameOf({ host }: GoURL): string {
  const colon = host.lastIndexOf(':');
  const bare = colon !== -1 && validPort(host.slice(colon)) ? host.slice(0, colon) : host;
  return bare.startsWith('[') && bare.endsWith(']') ? bare.slice(1, -1) : bare;
}

export function portOf({ host }: GoURL): string {
  const colon = host.lastIndexOf(':');
  return colon !== -1 && validPort(host.slice(colon)) ? host.slice(colon + 1) : '';
}

/** The path as it was written, if that is a valid form of it, else escaped anew. */
export function escapedPathOf({ path, rawPath }: GoURL): string {
  const valid = rawPath !== '' && /^[A-Za-z0-9\-_.~!$&'()*+,;=:@[\]%/]*$/.test(rawPath);
  if (valid) return rawPath;
  return path === '*' ? '*' : percentEncode(path, 'path');
}

/** Pairs that cannot be decoded, or hold a semicolon, are left out. */
export function queryOf({ rawQuery }: GoURL): Map<string, string[]> {
  const values = new Map<string, string[]>();
  for (const pair of rawQuery.split('&')) {
    if (pair === '' || pair.includes(';')) continue;
    const equals = pair.indexOf('=');
    const key = percentDecode(equals === -1 ? pair : pair.slice(0, equals), 'query');
    const value = percentDecode(equals === -1 ? '' : pair.slice(equals + 1), 'query');
    if (key === undefined || value === undefined) continue;
    const known = values.get(key);
    if (known === undefined) values.set(key, [value]);
    else known.push(value);
  }
  return values;
}

export function formatURL(url: GoURL): string {
  let out = url.scheme === '' ? '' : `${url.scheme}:`;
  if (url.opaque !== '') out += url.opaque;
  else {
    if (url.host !== '' || url.userinfo !== undefined) {
      out += `//${url.userinfo === undefined ? '' : `${url.userinfo}@`}${percentEncode(url.host, 'host')}`;
    }
    out += escapedPathOf(url);
  }
  if (url.forceQuery || url.rawQuery !== '') out += `?${url.rawQuery}`;
  return url.fragment === '' ? out : `${out}#${percentEncode(url.fragment, 'fragment')}`;
}
