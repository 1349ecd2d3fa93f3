/** Stands where a value is not shown. */
export const HIDDEN = '<hidden>';

const SECRET =
  '(?:[a-z0-9]+[-_])*(?:[a-z0-9]{0,20}(?:password|passwd|passphrase|token|secret)|pass|passcode|pwd|pw|' +
  'api[-_]?key|access[-_]?key|secret[-_]?key|private[-_]?key|credentials?|auth|bearer)';
const NAME = new RegExp(`^${SECRET}$`, 'i');
const OPTION = new RegExp(`^--?${SECRET}$`, 'i');
const ASSIGNED = new RegExp(`^((?:--?)?${SECRET}=)[sS]`, 'i');
/** `kubectl create secret --from-literal=key=value`: the key is shown. */
const LITERAL = /^(--from-literal=[^=]*=)[\s\S]/;
const HEADER = /^((?:proxy-)?authorization|cookie|x-[a-z-]{0,40}(?:token|key|auth)[a-z-]{0,40})\s*:/i;
const USERINFO = /([a-z][a-z0-9+.-]{0,30}:\/\/[^\s/:@]{0,256}:)[^\s/@]{0,1024}@/gi;
/** Options of one dash that are words: not `-p` with a password behind it (`mysql -pSECRET`). */
const WORD =
  '(?:port|paths?|print0?|printf|prune|perm|pid|profile|progress|prefix|project|protocol|proxy|parallel|platform|policy|pretty|preserve|privileged)';
const ATTACHED = new RegExp(`^-(?!${WORD}(?:$|=))p.`, 'is');
const ATTACHED_WITHIN = new RegExp(`((?:^|[\\s;&|(])-(?!${WORD}(?:$|[=\\s]))p)[^\\s;&|)]+`, 'gi');
const WITHIN = new RegExp(`((?:^|[\\s'";&|(])--?(?:${SECRET}|p)(?:=|\\s+))('[^']*'|"[^"]*"|[^\\s'";&|]+)`, 'gi');
const EXPORTED = new RegExp(`((?:^|[\\s'";&|(])${SECRET}=)('[^']*'|"[^"]*"|[^\\s'";&|]+)`, 'gi');
const WITHIN_HEADER = /((?:authorization|cookie)\s*:\s*(?:(?:bearer|basic)\s+)?)[^\s'"]+/gi;

/** Whether a name says that its value is a secret (`DB_PASSWORD`, `api-key`). */
export function isSecretName(name: string): boolean {
  return NAME.test(name.replace(/([a-z0-9])([A-Z])/g, '$1_$2').replaceAll('.', '_'));
}

/**
 * argv without what follows options for secrets (`-p`, `--password`, `--token`, `--from-literal` and their kin), in
 * `--option=value`, `NAME=value`, headers and URLs alike, and within the words of an inner shell. By recognition: it
 * keeps secrets from screens and logs, and is no wall. The order and number of the elements stay.
 */
export function hideArguments(argv: readonly string[]): string[] {
  const shown: string[] = [];
  let follows: 'nothing' | 'value' | 'literal' | 'user' | 'script' = 'nothing';
  for (const [index, word] of argv.entries()) {
    if (follows === 'value') shown.push(HIDDEN);
    else if (follows === 'literal') shown.push(word.replace(/=[\s\S]*$/, `=${HIDDEN}`));
    else if (follows === 'user') shown.push(word.replace(/:[\s\S]*$/, `:${HIDDEN}`));
    // What an inner shell is told to run must be seen: there only the values themselves are hidden.
    else if (follows === 'script') shown.push(hideText(word));
    else shown.push(index === 0 ? hideText(word) : hideWord(word));
    if (follows !== 'nothing') follows = 'nothing';
    else if (word === '-p' || OPTION.test(word)) follows = 'value';
    else if (word === '--from-literal') follows = 'literal';
    else if (/^-[a-z]{0,8}c$/.test(word)) follows = 'script';
    else if (word === '-u' || word === '--user') follows = 'user';
  }
  return shown;
}

function hideWord(word: string): string {
  const assigned = ASSIGNED.exec(word) ?? LITERAL.exec(word);
  if (assigned !== null) return assigned[1] + HIDDEN;
  if (ATTACHED.test(word)) return `-p${HIDDEN}`;
  const header = HEADER.exec(word);
  if (header !== null) return `${header[1]}: ${HIDDEN}`;
  return hideText(word);
}

/** A line of text, as an inner shell may get one. */
export function hideText(text: string): string {
  return text
    .replace(USERINFO, `$1${HIDDEN}@`)
    .replace(WITHIN_HEADER, `$1${HIDDEN}`)
    .replace(WITHIN, `$1${HIDDEN}`)
    .replace(ATTACHED_WITHIN, `$1${HIDDEN}`)
    .replace(EXPORTED, `$1${HIDDEN}`);
}
