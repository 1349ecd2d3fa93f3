import assert from 'node:assert/strict';

/**
 * What an agent, or whoever wrote an object, may put anywhere that a person will read. Run over every output: whatever
 * shows text of others runs it through `HOSTILE` and `assertHarmless`.
 */
export const HOSTILE: readonly string[] = [
  // Terminals: clear the screen, move, hide, set the title, write the clipboard, answer back; in 7 and in 8 bits.
  'rm -rf /\u001b[2K\rls',
  '\u001b[2J\u001b[H approved by bob',
  '\u001b[8mhidden\u001b[0m',
  '\u001b]0;title\u0007',
  '\u001b]52;c;cm0gLXJmIC8=\u0007',
  '\u001b]8;;https://evil.example\u0007docs\u001b]8;;\u0007',
  '\u001bP+q544e\u001b\\',
  '\u009b2J\u009d0;x\u009c',
  'ls\b\b\brm',
  'a\u0000b',
  'a\u007fb',
  // A second line that looks like ours.
  'ls\nrequester: root (https://login.example)',
  'ls\r\nwhy: harmless',
  'ls\u2028policy: other/rule',
  'ls\u2029note: none',
  'ls\u0085command: kubectl get pods',
  'ls\u000bx\u000cy',
  // Shown in another order than it is.
  'echo \u202egnp.exe',
  '\u2066 approved \u2069',
  'a\u200fb\u061cc',
  // Not shown at all.
  'kubectl delete ns \u200bprod',
  'a\u00adb\u2060c\ufeffd',
  'a\u3164b\u115fc\uffa0d',
  'a\u034fb\ufe0fc\u180ed',
  'x\u{e0041}\u{e0042}\u{e007f}',
  '\u{e0100}\u{1d173}',
  '\ufff9a\ufffab\ufffb',
  // No character at all.
  'a\ud800b',
  '\udfff',
  // Looks like what escaping writes.
  '\\u{1b}[2J',
  // Quoting.
  `'; rm -rf / #`,
  '"$(reboot)"',
  '`reboot`',
  "it's",
  '-n',
  '',
  ' ',
  '--',
  // Diffs, YAML, names of JavaScript.
  '+++ requested\n@@ -1,1 +1,1 @@\n+kind: Pod',
  '--- |\n  evil: true',
  '__proto__',
  'constructor',
  '!!js/function x',
  '&a *a',
  // Slack and HTML, for outputs that have rules of their own.
  '<!channel> <https://evil.example|docs>',
  '<img src=x onerror=alert(1)>',
  '[x](javascript:alert(1))',
  'z\u0301\u0302\u0303\u0304\u0305algo',
  'x'.repeat(100_000),
];

const HARMFUL = new Set<number>([0xad, 0x34f, 0x61c, 0x115f, 0x1160, 0x3164, 0xfeff, 0xffa0]);
for (const [from, to] of [
  [0x00, 0x1f],
  [0x7f, 0x9f],
  [0x180b, 0x180f],
  [0x200b, 0x200f],
  [0x2028, 0x202e],
  [0x2060, 0x206f],
  [0xd800, 0xdfff],
  [0xfe00, 0xfe0f],
  [0xfff9, 0xfffb],
  [0x1d173, 0x1d17a],
  [0xe0000, 0xe01ef],
] as const) {
  for (let code = from; code <= to; code++) HARMFUL.add(code);
}

/** That nothing in a text steers a terminal, reorders it or is invisible. @param lines whether line feeds are ours */
export function assertHarmless(text: string, lines = false): void {
  for (const character of text) {
    const code = character.codePointAt(0)!;
    if (lines && code === 0x0a) continue;
    assert.ok(!HARMFUL.has(code), `U+${code.toString(16)} in ${JSON.stringify(text.slice(0, 200))}`);
  }
}

/** Every string within a value, names of members too. */
export function* stringsOf(value: unknown): Generator<string> {
  if (typeof value === 'string') yield value;
  else if (typeof value === 'object' && value !== null) {
    for (const [name, part] of Object.entries(value)) {
      yield name;
      yield* stringsOf(part);
    }
  }
}
