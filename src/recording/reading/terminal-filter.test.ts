import assert from 'node:assert/strict';
import { test } from 'node:test';
import { TerminalFilter } from './terminal-filter.ts';

function filtered(...pieces: (string | Buffer)[]): { text: string; dropped: number } {
  const filter = new TerminalFilter();
  let text = '';
  for (const piece of pieces) text += filter.write(typeof piece === 'string' ? Buffer.from(piece) : piece);
  text += filter.end();
  return { text, dropped: filter.dropped };
}

const PASS: readonly string[] = [
  'plain text\r\nand more\tä 漢字 🙂',
  '\u001b[1;31mred\u001b[0m',
  '\u001b[38;5;208morange\u001b[48;2;1;2;3mtrue colour\u001b[m',
  '\u001b[2J\u001b[H\u001b[10;20Hmoved\u001b[K',
  '\u001b[?1049h\u001b[?25l\u001b[?25h\u001b[?1049l',
  '\u001b7\u001b8\u001bM',
  '\u001b(0lqqk\u001b(B',
  '\u001b[1;24r',
  'back\b\bspace',
];
for (const text of PASS) {
  test(`passes: ${JSON.stringify(text)}`, () => {
    assert.deepEqual(filtered(text), { text, dropped: 0 });
    // Cut anywhere: the same.
    const bytes = Buffer.from(text);
    for (let cut = 1; cut < bytes.length; cut += 1) {
      assert.equal(filtered(bytes.subarray(0, cut), bytes.subarray(cut)).text, text);
    }
  });
}

const DROP: readonly [string, string, string][] = [
  ['a title', 'a\u001b]0;owned\u0007b', 'ab'],
  ['a title ended by ST', 'a\u001b]2;owned\u001b\\b', 'ab'],
  ['the clipboard', 'a\u001b]52;c;cm0gLXJm\u0007b', 'ab'],
  ['a link', '\u001b]8;;https://evil.example\u0007docs\u001b]8;;\u0007', 'docs'],
  ['DCS', 'a\u001bP+q544e\u001b\\b', 'ab'],
  ['APC', 'a\u001b_Gf=100\u001b\\b', 'ab'],
  ['device attributes, which the terminal answers as if typed', 'a\u001b[cb', 'ab'],
  ['cursor report', 'a\u001b[6nb', 'ab'],
  ['window operations', 'a\u001b[21tb', 'ab'],
  ['xterm key modifiers', 'a\u001b[>4;1mb', 'ab'],
  ['mouse reports', 'a\u001b[?1000hb', 'ab'],
  ['bracketed paste', 'a\u001b[?2004hb', 'ab'],
  ['hidden text', '\u001b[8mhidden\u001b[0m', 'hidden\u001b[0m'],
  ['hidden text among colours', '\u001b[1;8;31mhidden', '\u001b[1;31mhidden'],
  ['hidden text with zeros', '\u001b[08mhidden', 'hidden'],
  ['reset of the terminal', 'a\u001bcb', 'ab'],
  ['a string that never ends: its line does', 'a\u001b]0;never\nnext', 'a\nnext'],
  ['media copy', 'a\u001b[5ib', 'ab'],
];
for (const [name, given, wanted] of DROP) {
  test(`leaves out: ${name}`, () => {
    assert.equal(filtered(given).text, wanted);
    const bytes = Buffer.from(given);
    for (let cut = 1; cut < bytes.length; cut += 1) {
      assert.equal(filtered(bytes.subarray(0, cut), bytes.subarray(cut)).text, wanted);
    }
  });
}

test('8-bit controls, bells, what is invisible or reorders is shown, not obeyed', () => {
  assert.equal(filtered('\u009b2Ja\u0007b\u202ec\u200bd\u0000').text, '\\u{9b}2Ja\\u{7}b\\u{202e}c\\u{200b}d\\u{0}');
});

test('a colour whose numbers hold an 8 stays', () => {
  assert.equal(filtered('\u001b[38;5;8mgrey').text, '\u001b[38;5;8mgrey');
});

test('random bytes never let through what is not on the list', () => {
  const alphabet = [
    '\u001b',
    '[',
    ']',
    'P',
    '?',
    ';',
    '8',
    '1',
    'm',
    'h',
    'c',
    'n',
    '\\',
    '\u0007',
    '\n',
    'x',
    '\u009b',
  ];
  for (let round = 0; round < 3_000; round += 1) {
    let text = '';
    for (let index = 0; index < 40; index += 1) text += alphabet[Math.floor(Math.random() * alphabet.length)];
    const { text: out } = filtered(text);
    // After all sequences of the list are taken away there is no escape left.
    const rest = out.replaceAll(/\u001b(?:\[\??[0-9;:]*[A-Za-z@`]|[78DEHM=>]|[()][B0])/g, '');
    assert.ok(!rest.includes('\u001b') && !rest.includes('\u009b'), JSON.stringify([text, out]));
    assert.ok(!/\u001b\[\??[0-9;:]*[cnti]/.test(out), JSON.stringify([text, out]));
  }
});
