import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { recognizerFor } from './default-plan.ts';
import { FAMILIES } from './detector.ts';
import { CREDENTIAL_KINDS } from './kinds-credentials.ts';
import { PERSONAL_KINDS } from './kinds-personal.ts';
import { SHAPED_KINDS } from './kinds-shaped.ts';
import { TextMask } from './text-mask.ts';

const recognizer = recognizerFor(FAMILIES);
const engine = (): TextMask => new TextMask(recognizer, ({ kind }) => `<${kind}>`);
const token = `ghp_${'a1B2c3D4e5F6'.repeat(3)}`;
const dashes = '-'.repeat(5);
const pem = (eol: string, body = randomBytes(200)): string =>
  [
    `${dashes}BEGIN PRIVATE KEY${dashes}`,
    ...body.toString('base64').match(/.{1,64}/g)!,
    `${dashes}END PRIVATE KEY${dashes}`,
    '',
  ].join(eol);

function mask(text: string | Buffer, cuts: readonly number[] = []): string {
  const bytes = Buffer.from(text);
  const by = engine();
  const out: Buffer[] = [];
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    out.push(by.write(bytes.subarray(from, to)));
    from = to;
  }
  out.push(by.end());
  return Buffer.concat(out).toString('latin1');
}

suite('masking text', () => {
  test('tokens, assignments, headers and URLs lose the secret and nothing else', () => {
    for (const [text, want] of [
      [`got ${token}, retrying`, 'got <github-token>, retrying'],
      ['DB_PASSWORD=hunter22x LEVEL=info', 'DB_PASSWORD=<generic-password> LEVEL=info'],
      [
        '{"body":"{\\"apiKey\\":\\"a8f7K2m9Q1\\",\\"id\\":1}"}',
        '{"body":"{\\"apiKey\\":\\"<generic-credential>\\",\\"id\\":1}"}',
      ],
      ['Authorization: Bearer abcDEF0123456789xyz', 'Authorization: Bearer <bearer-token>'],
      ['postgres://u:Xk29fjq@db:5432/x', 'postgres://u:<url-credentials>@db:5432/x'],
      ['password must be at least 12 characters', 'password must be at least 12 characters'],
      ['db_password: $DB_PASSWORD', 'db_password: $DB_PASSWORD'],
      ['--db-password-file=/run/secrets/db', '--db-password-file=/run/secrets/db'],
      [`v=${Buffer.from(`t ${token} t`).toString('base64')}`, 'v=<github-token>'],
    ]) {
      assert.equal(mask(text!), want);
    }
  });

  test('a letter whose second byte looks like a space ends no secret', () => {
    // U+00E0, U+0160, U+0420: 0xA0 is their second byte, and the no-break space of Latin-1.
    for (const letter of ['\u00e0', '\u0160', '\u0420']) {
      for (const secret of [`Xk29${letter}fjq8`, `Xk29fjq8${letter}`, `${letter}Xk29fjq8`]) {
        for (const form of [
          (value: string) => `password: ${value}\n`,
          (value: string) => `curl -u admin:${value} https://host\n`,
          (value: string) => `mysql -uroot -p${value} shop\n`,
          (value: string) => `db.host:5432:shop:app:${value}\n`,
          (value: string) => `- name: DB_PASSWORD  value: ${value}\n`,
          (value: string) => `Authorization: Custom ${value}\n`,
          (value: string) => `Cookie: id=${value}0123; a=b\n`,
          (value: string) => `postgres://u:${value}@db:5432/x\n`,
          (value: string) => `ENV DB_PASSWORD ${value}\n`,
          (value: string) => `| DB_PASSWORD | ${value} |\n`,
          (value: string) => `kind: Secret\nstringData:\n  motto: ${value}\n`,
          (value: string) => `- name: DB_PASSWORD\n  value: ${value}\n`,
        ]) {
          const out = mask(Buffer.from(form(secret)));
          const [before = '', behind = ''] = form('\0').split('\0');
          const shown = out.replace(/<[a-z-]+>/, '\0');
          assert.equal(shown, `${before}\0${behind.replace(/^0123/, '')}`, JSON.stringify(form(secret)));
        }
      }
    }
  });

  test('half a character behind a value makes no binary of it', () => {
    assert.equal(mask(Buffer.from('password: Xk29fjq8\xed\xa0\x80\n', 'latin1')), 'password: <generic-password>\n');
  });

  test('lines in a string of a JSON log are a text of their own, and the log stays JSON', () => {
    const manifest = 'kind: Secret\nstringData:\n  motto: "free \u00fc words"\ntype: Opaque\n';
    const wrapped = Buffer.from(`first\nDB_PASSWORD=hunter22x\n${'filler '.repeat(30)}`).toString('base64');
    const lines = wrapped.match(/.{1,64}/g)!;
    const log = [manifest, `cert:\n${lines.join('\n')}\n`, 'plain\nlines\n'].map((msg) =>
      JSON.stringify({ level: 'info', msg }),
    );
    const text = `${log.join('\n')}\n`;
    const out = Buffer.from(mask(text), 'latin1').toString();
    const [first, second, third] = out
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line).msg as string);
    assert.match(first!, /stringData:\n {2}motto: <secret-data>\ntype: Opaque\n$/);
    assert.ok(!lines.some((line) => second!.includes(line)), second);
    assert.equal(third, 'plain\nlines\n');
    for (let cut = 0; cut <= text.length; cut += 7) {
      assert.equal(Buffer.from(mask(text, [cut]), 'latin1').toString(), out, `cut at ${cut}`);
    }
  });

  test('lines written out without end, with and without quotes, take time that grows with the text', () => {
    for (const unit of ['\\n', '\\"\\n', '"\\n', '\\\\n"', 'token\\n']) {
      const times = [1, 4].map((scale) => {
        const text = `${unit.repeat(Math.ceil((scale * 200_000) / unit.length))}\n`;
        const start = process.cpuUsage();
        mask(text);
        const { user, system } = process.cpuUsage(start);
        return user + system;
      });
      assert.ok(times[1]! < times[0]! * 16 + 400_000, `${unit}: ${times.join()} µs`);
      assert.ok(times[1]! < 6_000_000, `${unit}: ${times[1]} µs`);
    }
  });

  test('UTF-16 of either order is masked, and stays UTF-16', () => {
    const text = `start\r\nDB_PASSWORD=hunter22x LEVEL=info\r\ngot ${token}, retrying\r\ndone\r\n`;
    const want = 'start\r\nDB_PASSWORD=<generic-password> LEVEL=info\r\ngot <github-token>, retrying\r\ndone\r\n';
    for (const bom of ['', '\ufeff']) {
      const little = Buffer.from(bom + text, 'utf16le');
      const big = Buffer.from(little).swap16();
      for (const [bytes, read] of [
        [little, (out: Buffer) => out],
        [big, (out: Buffer) => Buffer.from(out).swap16()],
      ] as const) {
        for (let cut = 0; cut <= bytes.length; cut += 3) {
          const out = Buffer.from(mask(bytes, [cut]), 'latin1');
          assert.equal(read(out).toString('utf16le'), bom + want, `cut at ${cut}`);
        }
      }
    }
  });

  test('zeros between entries, and bytes of programs, are no UTF-16', () => {
    const environment = Buffer.from(`HOME=/root\0TOKEN=${token}\0LEVEL=info\0`);
    assert.equal(mask(environment), 'HOME=/root\0TOKEN=<github-token>\0LEVEL=info\0');
    const program = Buffer.from([0x7f, 0x45, 0, 0, 0, 1, 0, 0, 0, 0x41, 0, 0x42, 0, 0x43, 0, 0x0a, 0, 0, 0xff, 0xfe]);
    assert.equal(mask(program), program.toString('latin1'));
  });

  test('a secret may be cut at any byte, and coloured in the middle', () => {
    const text = `\x1b[32mTOKEN=${token.slice(0, 9)}\x1b[0m${token.slice(9)}\r\nnext\r\n`;
    const want = '\x1b[32mTOKEN=<github-token>\x1b[0m\r\nnext\r\n';
    for (let cut = 0; cut <= text.length; cut++) assert.equal(mask(text, [cut]), want);
  });

  test('a key over many lines goes as a block, with the line ends of a terminal too', () => {
    for (const eol of ['\n', '\r\n', '\n    ', '\n  | ']) {
      const text = `dump\n${pem(eol)}done\n`;
      const out = mask(
        text,
        Array.from({ length: text.length }, (_, i) => i),
      );
      assert.match(out, /^dump\n<private-key>[\s|]*done\n$/);
    }
    assert.match(mask(`${pem('\n').slice(0, 150)}\n2026-01-01 next line\n`), /^<private-key>\n2026-01-01 next line\n$/);
  });

  test('bytes in which nothing is found come out as they went in, however they are cut', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.array(fc.nat(2000), { maxLength: 8 }), (bytes, cuts) => {
        const sorted = cuts.map((cut) => Math.min(cut, bytes.length)).sort((a, b) => a - b);
        assert.equal(mask(Buffer.from(bytes), sorted), Buffer.from(bytes).toString('latin1'));
      }),
      { numRuns: 200 },
    );
  });

  test('two letters and a sign by chance in an archive are no password; in an environment and in old encodings they are', () => {
    const noise = Buffer.from('d7018fe21b93c4f60e9ab3057fd88ce1a402f9b6c81d33ee95', 'hex');
    const binary = Buffer.concat([noise, Buffer.from('pw:51iS'), noise]);
    assert.equal(mask(binary), binary.toString('latin1'));
    assert.equal(mask('A=1\0DB_PASSWORD=hunter22x\0B=2'), 'A=1\0DB_PASSWORD=<generic-password>\0B=2');
    const latin1 = Buffer.from('schlüssel größer für überall: DB_PASSWORD=hunter22x', 'latin1');
    assert.match(mask(latin1), /DB_PASSWORD=<generic-password>$/);
    const utf8 = 'пароль пользователя\x01 базы данных DB_PASSWORD=hunter22x';
    assert.match(mask(utf8), /DB_PASSWORD=<generic-password>$/);
  });

  test('however a text with secrets and a very long line is cut, what comes out is the same', () => {
    const filler = (n: number): string => Array.from({ length: n }, (_, i) => `w${i}=${i} `).join('');
    const text = `${filler(5000)}${token} ${filler(6000)}${token}\nDB_PASSWORD="a b c d 1"\n${pem('\n')}x ${'y'.repeat(150_000)}\n`;
    const whole = mask(text);
    assert.ok(!whole.includes(token) && whole.length < text.length);
    fc.assert(
      fc.property(fc.array(fc.nat(text.length), { maxLength: 30 }), (cuts) => {
        assert.equal(
          mask(
            text,
            cuts.sort((a, b) => a - b),
          ),
          whole,
        );
      }),
      { numRuns: 15 },
    );
  });

  test('what is lent may be written over: what waits for the end of its line is a copy', () => {
    const text = Buffer.from(`first\n${'words '.repeat(9_000)}token: ${token} more\nlast: ${token}`);
    const by = new TextMask(recognizer, ({ kind }) => `<${kind}>`, { lent: true });
    const chunk = Buffer.alloc(777);
    const out: Buffer[] = [];
    for (let at = 0; at < text.length; at += chunk.length) {
      const length = text.copy(chunk, 0, at);
      out.push(Buffer.from(by.write(chunk.subarray(0, length))));
      chunk.fill('#');
    }
    out.push(by.end());
    assert.equal(Buffer.concat(out).toString('latin1'), mask(text));
  });

  test('a prompt waits for a flush and no longer; a secret typed before it stays masked', () => {
    const by = engine();
    assert.equal(by.write(Buffer.from('root@pod:/# ')).length, 0);
    assert.ok(by.holding);
    assert.equal(by.flush().toString(), 'root@pod:/# ');
    assert.ok(!by.holding);
    by.write(Buffer.from(`export T=${token}`));
    assert.equal(by.flush().toString(), 'export T=<github-token>');
    assert.equal(by.write(Buffer.from('\r\n')).toString(), '\r\n');
    assert.equal(by.write(Buffer.from('ls\r\n')).toString(), 'ls\r\n');
  });

  test('data of a Secret printed as YAML is masked, though its kind comes later', () => {
    const motto = Buffer.from('two words').toString('base64');
    assert.equal(
      mask(`apiVersion: v1\ndata:\n  motto: ${motto}\nkind: Secret\n`),
      'apiVersion: v1\ndata:\n  motto: <secret-data>\nkind: Secret\n',
    );
  });

  test('at least 60 kinds', () => {
    assert.ok(new Set([...CREDENTIAL_KINDS, ...PERSONAL_KINDS].map(({ kind }) => kind)).size >= 60);
  });

  test('no expression runs away: time grows with the text, whatever the text', () => {
    const units = [
      'a',
      '1',
      'A1',
      '=',
      ' ',
      '"',
      '\\',
      '-',
      '.',
      '@',
      ':',
      '/',
      '+1 ',
      '(202',
      'password',
      'token=',
      'eyJ',
      'Cookie: a=b;',
      '4111 ',
      '://a:',
      '%3a%2f',
      '\x1b[',
      '-----BEGIN PRIVATE KEY',
      'key: ',
      'DE00',
      'data:\n  a: ',
      ...[
        ':5432:',
        'a:5432:',
        ' -p',
        'mysql -p',
        'curl -u a:b ',
        '--user ',
        'a:b@tcp(',
        'value=',
        'name=a value=',
        'name a\\n',
      ],
      ...[
        'name: password\n',
        'value: b1c2d3\n',
        '<password>',
        '<name>token</name>\n',
        '| token ',
        'password is ',
        'the password ',
        'API key ',
      ],
      ...[
        'ENV ',
        'login a password ',
        '\\u001b[1m',
        '\x1b[1m',
        'AAAA',
        `${'QUFB'.repeat(19)}\n`,
        '12:34:56 stdout F ',
        'stringData:\n',
        'auth: YTpi',
      ],
    ];
    const kinds = [...CREDENTIAL_KINDS, ...PERSONAL_KINDS, ...SHAPED_KINDS];
    for (const { keywords } of kinds) for (const keyword of keywords) units.push(keyword.replaceAll('0', '7'));
    for (const unit of units) {
      const time = (size: number): number => {
        const text = unit.repeat(Math.ceil(size / unit.length));
        const start = process.cpuUsage();
        mask(text);
        const { user, system } = process.cpuUsage(start);
        return (user + system) / 1000;
      };
      const spent = time(30_000);
      assert.ok(spent < 1000, `${JSON.stringify(unit)}: ${spent} ms for 30 kB`);
      // Twice as much takes twice as long, not four times: measured where there is enough to measure.
      if (spent > 60) {
        const [one, two] = [30_000, 60_000].map((size) => Math.min(time(size), time(size), time(size)));
        assert.ok(two! < one! * 3.2, `${JSON.stringify(unit)}: ${one} ms for 30 kB, ${two} ms for 60 kB`);
      }
    }
  });
});
