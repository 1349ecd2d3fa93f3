/**
 * What a name says about the value beside it: a word that people choose, a machine's credential, a name and a password in
 * base64, or nothing.
 */
export type NameClass = 'none' | 'password' | 'credential' | 'pair';

const PASSWORDS = new Set([
  'password',
  'passwd',
  'pwd',
  'pass',
  'passphrase',
  'passcode',
  'pw',
  'passwort',
  'psk',
  'requirepass',
  'masterauth',
  'bindpw',
  'rootpw',
]);
const CREDENTIALS = new Set([
  ...['secret', 'token', 'apikey', 'apitoken', 'authtoken', 'accesstoken', 'secretkey', 'accesskey', 'privatekey'],
  ...['credential', 'credentials', 'creds', 'jwt', 'bearer', 'sessionid', 'sessid', 'sid', 'signature', 'sig'],
  ...['clientsecret', 'appkey', 'authkey', 'encryptionkey', 'signingkey', 'masterkey', 'accountkey', 'licensekey'],
]);
/** `key` means a credential only after one of these: primary, public, foreign and cache keys are none. */
const KEYED = new Set([
  ...[
    'api',
    'access',
    'secret',
    'private',
    'encryption',
    'signing',
    'sign',
    'app',
    'application',
    'license',
    'licence',
  ],
  ...['account', 'storage', 'shared', 'master', 'auth', 'service', 'routing', 'integration', 'webhook', 'deploy'],
  ...[
    'session',
    'client',
    'hmac',
    'aes',
    'cipher',
    'crypto',
    'encrypt',
    'write',
    'admin',
    'ingest',
    'ingestion',
    'jwt',
  ],
  ...[
    'subscription',
    'preshared',
    'server',
    'user',
    'bot',
    'consumer',
    'mac',
    'wrapping',
    'unseal',
    'recovery',
    'partner',
    'pre',
  ],
]);
/** Words that only say which one of several it is, or that what follows is the thing itself. */
const NEUTRAL = new Set([
  'value',
  'val',
  'data',
  'text',
  'string',
  'plain',
  'raw',
  'base64',
  'b64',
  'current',
  'old',
  'new',
]);
const MAX_NAME = 128;
/** One of these is in every name that says something. */
export const SECRET_WORDS: readonly string[] = [
  ...['pass', 'pw', 'psk', 'secret', 'token', 'key', 'cred', 'jwt', 'bearer', 'sess', 'sid', 'sig', 'auth'],
];
const SAYS_SOMETHING = new RegExp(SECRET_WORDS.join('|'), 'i');

/** Reads `DB_PASSWORD`, `spring.datasource.password`, `apiKey2`, `X-Auth-Token`, `example.dev/github-token`. */
export function classifyName(name: string): NameClass {
  if (name.length < 2 || name.length > MAX_NAME || !SAYS_SOMETHING.test(name)) return 'none';
  // checksum/secret: what hashes a secret does not show it.
  if (/(?:checksum|digest|fingerprint|sha(?:1|256|512))/i.test(name)) return 'none';
  const words = wordsOf(name.slice(name.lastIndexOf('/') + 1));
  while (words.length > 1 && NEUTRAL.has(words[words.length - 1]!)) words.pop();
  const last = words[words.length - 1];
  if (last === undefined) return 'none';
  if (PASSWORDS.has(last) || /(?:password|passwd|passphrase)$/.test(last)) return 'password';
  // PGPASS, MYSQLPWD: an abbreviation at the end of a short compound.
  if (/^[a-z]{2,8}(?:pwd|pass)$/.test(last) && !/(?:by|com|sur|tres|tre)pass$/.test(last)) return 'password';
  if (last === 'auth') return 'pair';
  if (CREDENTIALS.has(last)) return last === 'sid' && words.length === 1 ? 'none' : 'credential';
  if (/^[a-z]{2,}(?:secret|token|apikey)$/.test(last)) return 'credential';
  if (last !== 'key' && last !== 'keys') return 'none';
  return words.length > 1 && KEYED.has(words[words.length - 2]!) ? 'credential' : 'none';
}

function wordsOf(name: string): string[] {
  const words: string[] = [];
  for (const part of name.match(/[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+/g) ?? []) {
    if (!/^\d+$/.test(part)) words.push(part.toLowerCase());
  }
  return words;
}

/** What stands in quotes, in a variable's place or under stars is no secret. */
export function isStandIn(value: string): boolean {
  const first = value.charCodeAt(0);
  if (first === 0x24) return /^\$(?:[({]|[A-Za-z_][A-Za-z0-9_]*$)/.test(value);
  if (first === 0x7b) return value.startsWith('{{');
  if (first === 0x3c) return /^<[^<>]*>?$/.test(value);
  if (first === 0x25) return /^%(?:[({]|[A-Za-z_]+%$)/.test(value);
  if (first === 0x5b) return /^\[[A-Za-z_* -]*\]?$/.test(value);
  return (
    isOneCharacter(value) ||
    /^(?:null|nil|none|true|false|undefined|empty|yes|no|redacted|masked|hidden|xxx+)$/i.test(value) ||
    /^[*.•x#-]+$/.test(value)
  );
}

/** Whether a value under such a name can be what the name says, rather than a setting about it. */
export function isPlausible(value: string, as: NameClass): boolean {
  if (as === 'none' || value.length < 4 || isStandIn(value)) return false;
  if (as === 'pair') return isPair(value);
  if (/^\d+$/.test(value)) return as === 'password' ? value.length >= 4 : value.length >= 8;
  if (value.length < 8 && /^(?:\d{1,5}(?:\.\d+)?(?:ns|us|ms|s|m|h|d|w|y|[kKMGT]i?B?)){1,3}$/.test(value)) return false;
  if (/^(?:https?|file|unix):\/\//i.test(value) || /^\.{0,2}(?:\/[a-z][a-z0-9._-]{0,31}){2,}\/?$/.test(value))
    return false;
  if (as === 'password') return true;
  // A machine's credential is never a word: `secret: ledger-prod-credentials` is a reference, `token: refreshed` prose.
  if (value.length < 8 || /^[A-Z]?[a-z]+(?:[-._/ ][a-z]+)*$/.test(value)) return false;
  return !/^[A-Z][A-Z_]+$/.test(value);
}

/** RFC 7617: base64 of `user:password`. */
export function isPair(value: string): boolean {
  if (value.length < 8 || !/^[A-Za-z0-9+/_-]+={0,2}$/.test(value)) return false;
  const pair = Buffer.from(value, 'base64').toString('latin1');
  return /^[^:\0-\x1f\x7f-\xff]{1,128}:[^\0-\x1f\x7f]{3,}$/.test(pair);
}

function isOneCharacter(value: string): boolean {
  for (let i = 1; i < value.length; i++) if (value.charCodeAt(i) !== value.charCodeAt(0)) return false;
  return true;
}
