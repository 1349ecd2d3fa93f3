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
  /** `file:/x` and not `file:///x` */
  readonly omitHost: boolean;
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

/** Why a text is no URL, in Go's words. */
export class URLError extends Error {}

/** @throws URLError a bad escape, or a character that the part may not have */
function percentDecode(text: string, mode: Mode): string {
  const bad = /%(?![0-9a-fA-F]{2}).{0,2}/s.exec(text);
  if (bad !== null) throw new URLError(`invalid URL escape ${JSON.stringify(bad[0])}`);
  if (mode === 'host') {
    // In a host only bytes beyond ASCII may be escaped, and `%25` for a zone.
    const plainEscape = /%[0-7][0-9a-fA-F]/.exec(text.replaceAll('%25', ''));
    if (plainEscape !== null) throw new URLError(`invalid URL escape ${JSON.stringify(plainEscape[0])}`);
    for (const character of text.replace(/%[0-9a-fA-F]{2}/g, '')) {
      if (character < '\x80' && !stays(character, 'host')) {
        throw new URLError(`invalid character ${JSON.stringify(character)} in host name`);
      }
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

/** Whether a text is an absolute URL or an absolute path, as the target of a request: what `isURL` accepts. */
export const isRequestURL = (text: string): boolean => requestURLError(text) === undefined;

/** Why a text is none, in Go's words. */
export function requestURLError(text: string): string | undefined {
  return errorOf(() => parse(text, true));
}

/** The parts of what `isRequestURL` accepts; undefined for everything else. */
export function parseURL(text: string): GoURL | undefined {
  let url: GoURL | undefined;
  const error = errorOf(() => {
    parse(text, true);
    const hash = text.indexOf('#');
    url = parse(hash === -1 ? text : text.slice(0, hash), false);
    if (hash !== -1) url = { ...url, fragment: percentDecode(text.slice(hash + 1), 'fragment') };
  });
  return error === undefined ? url : undefined;
}

function errorOf(work: () => void): string | undefined {
  try {
    work();
    return undefined;
  } catch (error) {
    if (error instanceof URLError) return error.message;
    throw error;
  }
}

function parse(text: string, viaRequest: boolean): GoURL {
  const empty = {
    opaque: '',
    userinfo: undefined,
    host: '',
    rawPath: '',
    rawQuery: '',
    forceQuery: false,
    fragment: '',
    omitHost: false,
  };
  if (text.length > MAX_LENGTH) throw new URLError('too long');
  if (/[\x00-\x1f\x7f]/.test(text)) throw new URLError('net/url: invalid control character in URL');
  if (text === '' && viaRequest) throw new URLError('empty url');
  if (text === '*') return { ...empty, scheme: '', path: '*' };
  const colon = /^([A-Za-z][A-Za-z0-9+.-]*):/.exec(text);
  if (text.startsWith(':')) throw new URLError('missing protocol scheme');
  const scheme = colon?.[1]?.toLowerCase() ?? '';
  let rest = colon === null ? text : text.slice(colon[0].length);
  const question = rest.indexOf('?');
  const rawQuery = question === -1 ? '' : rest.slice(question + 1);
  const query = { rawQuery, forceQuery: question !== -1 && rawQuery === '' };
  if (question !== -1) rest = rest.slice(0, question);

  if (!rest.startsWith('/')) {
    if (scheme !== '') return { ...empty, ...query, scheme, opaque: rest, path: '' };
    if (viaRequest) throw new URLError('invalid URI for request');
    if (rest.split('/', 1)[0]!.includes(':')) throw new URLError('first path segment in URL cannot contain colon');
  }
  let authority: { userinfo: string | undefined; host: string } | undefined;
  const absolute = scheme !== '' || (!viaRequest && !rest.startsWith('///'));
  if (absolute && rest.startsWith('//')) {
    const slash = rest.indexOf('/', 2);
    authority = parseAuthority(slash === -1 ? rest.slice(2) : rest.slice(2, slash));
    rest = slash === -1 ? '' : rest.slice(slash);
  }
  const omitHost = authority === undefined && scheme !== '';
  const path = percentDecode(rest, 'path');
  const rawPath = percentEncode(path, 'path') === rest ? '' : rest;
  return { ...empty, ...query, ...authority, omitHost, scheme, path, rawPath };
}

function parseAuthority(authority: string): { userinfo: string | undefined; host: string } {
  const at = authority.lastIndexOf('@');
  const host = parseHost(authority.slice(at + 1));
  if (at === -1) return { userinfo: undefined, host };
  const userinfo = authority.slice(0, at);
  if (!/^[A-Za-z0-9\-._:~!$&'()*+,;=%@]*$/.test(userinfo)) throw new URLError('net/url: invalid userinfo');
  percentDecode(userinfo, 'userinfo');
  return { userinfo, host };
}

function parseHost(host: string): string {
  let port = '';
  if (host.startsWith('[')) {
    const close = host.lastIndexOf(']');
    if (close === -1) throw new URLError("missing ']' in host");
    port = host.slice(close + 1);
  } else if (host.includes(':')) port = host.slice(host.indexOf(':'));
  if (!validPort(port)) throw new URLError(`invalid port ${JSON.stringify(port)} after host`);
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
    errorOf(() => {
      const key = percentDecode(equals === -1 ? pair : pair.slice(0, equals), 'query');
      const value = percentDecode(equals === -1 ? '' : pair.slice(equals + 1), 'query');
      const known = values.get(key);
      if (known === undefined) values.set(key, [value]);
      else known.push(value);
    });
  }
  return values;
}

export function formatURL(url: GoURL): string {
  let out = url.scheme === '' ? '' : `${url.scheme}:`;
  if (url.opaque !== '') out += url.opaque;
  else {
    const authority = url.host !== '' || url.userinfo !== undefined;
    if (authority || (url.scheme !== '' && !url.omitHost && url.path !== '')) {
      out += `//${url.userinfo === undefined ? '' : `${url.userinfo}@`}${percentEncode(url.host, 'host')}`;
    }
    out += escapedPathOf(url);
  }
  if (url.forceQuery || url.rawQuery !== '') out += `?${url.rawQuery}`;
  return url.fragment === '' ? out : `${out}#${percentEncode(url.fragment, 'fragment')}`;
}
