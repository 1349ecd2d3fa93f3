const TARS = new Set(['tar', 'bsdtar', 'gtar', 'star', 'cpio', 'zip']);
const SHELLS = new Set([
  'sh',
  'bash',
  'ash',
  'dash',
  'zsh',
  'ksh',
  'env',
  'nice',
  'timeout',
  'nohup',
  'busybox',
  'toybox',
]);
/** Anything that would have a shell make an archive, however it is written around. */
const MAKES_ARCHIVE = /(?:^|[\s;&|(/`])(?:tar|bsdtar|gtar|star|cpio|zip)\s/;

/**
 * Whether a command writes an archive to its standard output: `tar` one that can be read as it passes (kubectl cp's
 * `tar cf - path`), `other` one that is compressed, of another form, or made by a shell. Told by argv alone: whoever may run
 * any command can write an archive in ways that nothing recognises.
 */
export function archiving(command: readonly string[]): 'tar' | 'other' | undefined {
  const [program = '', ...rest] = command;
  const name = program.slice(program.lastIndexOf('/') + 1);
  if (SHELLS.has(name)) {
    const inner = rest.findIndex((word) => TARS.has(word.slice(word.lastIndexOf('/') + 1)));
    if (inner !== -1) return archiving(rest.slice(inner));
    return rest.some((word) => MAKES_ARCHIVE.test(`${word} `)) ? 'other' : undefined;
  }
  if (!TARS.has(name)) return undefined;
  if (name === 'cpio' || name === 'zip') return 'other';
  const [first = ''] = rest;
  const flags = rest.filter((word) => /^-[A-Za-z]/.test(word)).concat(/^[A-Za-z]+$/.test(first) ? [first] : []);
  const long = rest.filter((word) => word.startsWith('--'));
  if (!flags.some((flag) => /^-?[A-Za-z]*c/.test(flag)) && !long.includes('--create')) return undefined;
  const packed =
    flags.some((flag) => /[zjJaZ]/.test(flag)) ||
    long.some((word) => /^--(?:gzip|bzip2|xz|zstd|lz|use-compress|auto-compress)/.test(word));
  return packed ? 'other' : 'tar';
}
