import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { defaultPlan } from './default-plan.ts';
import { FAMILIES } from './detector.ts';
import { JsonMask } from './json-stream.ts';
import { Placeholders } from './marker.ts';
import { replacer } from './mask-plan.ts';
import { maskText } from './text-mask.ts';

const plan = defaultPlan(new Placeholders(Buffer.alloc(32, 3)), FAMILIES);
const token = `ghp_${'a1B2c3D4e5F6'.repeat(3)}`;
const base64 = (text: string): string => Buffer.from(text).toString('base64');

/** What a text may be made of: secrets in every form, what escapes, what has to be escaped. */
const FRAGMENTS: readonly string[] = [
  ...['\n', '\n', '\r\n', '"', '\\', '\\n', '\t', ' ', '<&>', 'é', '😀', '\ud800', '\u2028', '\0', '/', "'", '  '],
  ...[token, `token: ${token}`, 'password: Xk29fjq8', 'DB_PASSWORD="Xk29 fj"', 'db_password=Xk29fjq8&x=1'],
  ...['- name: DB_PASSWORD', '  value: Xk29fjq8', 'postgres://u:p&ss"@host/db', 'postgres://u:pa\\ss@host/db'],
  ...['data:', '  pin: c2VjcmV0LXBpbg==', 'stringData:', '  motto: free words', 'kind: Secret'],
  ...[base64(`password=${token}\nother=1\n`), `\n${base64(`user:x\n${token}\n`)}`, 'plain words and more of them'],
  ...[
    '-----BEGIN RSA PRIVATE KEY-----',
    'MIIEowIBAAKCAQEAx',
    '-----END RSA PRIVATE KEY-----',
    '\\u001b[31m',
    '\x1b[0m',
  ],
  ...['a'.repeat(3_000), 'key '.repeat(40), `${'x'.repeat(70_000)} `, 'setting.number = 12'],
];

/** JSON as another encoder may write it: any character as an escape, the solidus too. */
const otherwise = (text: string, every: number): string => {
  let out = '"';
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    if (text[i] === '/') out += '\\/';
    else if (i % every === 0 || unit < 0x20 || unit === 0x22 || unit === 0x5c || unit > 0x7e)
      out += `\\u${unit.toString(16).padStart(4, '0')}`;
    else out += text[i];
  }
  return `${out}"`;
};

const generalised = (text: string): Buffer => {
  const parts = [...text].map((char) => {
    const point = char.codePointAt(0)!;
    const isHalf = point >= 0xd800 && point < 0xe000;
    return isHalf ? Buffer.from([0xed, 0x80 | ((point >> 6) & 63), 0x80 | (point & 63)]) : Buffer.from(char);
  });
  return Buffer.concat(parts);
};

function masked(json: string, pieces: number, sliced: boolean): string {
  const engine = new JsonMask(plan, { kind: 'ConfigMap' }, { sliced });
  const bytes = Buffer.from(json);
  const out: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += pieces) {
    out.push(engine.write(bytes.subarray(at, at + pieces)));
    while (engine.busy) out.push(engine.step());
  }
  return Buffer.concat([...out, engine.end()]).toString();
}

suite('masking a long string where it stands', () => {
  test('a secret is found in a long string though only a part of it is written out, or nothing but a solidus', () => {
    const lines = 'plain words and more of them\n'.repeat(40);
    for (const [secret, written] of [
      [token, `\\u0067hp\\u005f${token.slice(4)}`],
      ['postgres://u:Xk29fjq8@host/db', 'postgres:\\/\\/u:Xk29fjq8@host\\/db'],
    ] as const) {
      const json = `{"kind":"ConfigMap","data":{"a":${JSON.stringify(lines).slice(0, -1)}${written}\\nmore words"}}`;
      assert.ok(JSON.parse(json).data.a.includes(secret));
      const text = JSON.parse(masked(json, json.length, false)).data.a as string;
      assert.ok(!text.includes(secret) && !text.includes('Xk29fjq8'), text.slice(lines.length));
      assert.match(text, /sallyport\.masked\./);
      assert.ok(text.startsWith(lines) && text.endsWith('\nmore words'));
    }
  });

  test('is as masking its text, however it is written, cut and sliced', () => {
    const texts = fc.array(fc.constantFrom(...FRAGMENTS), { minLength: 20, maxLength: 90 });
    fc.assert(
      fc.property(texts, fc.integer({ min: 2, max: 9 }), fc.boolean(), (parts, every, spread) => {
        const text = `${parts.join('')}${'~'.repeat(600)}`;
        const lead = '{"kind":"ConfigMap","metadata":{"uid":"u1"},"data":{"text":';
        const replace = replacer(plan, 'u1', 'data.text');
        const whole = maskText(generalised(text), plan.recognizer, replace);
        const expected = whole === undefined ? generalised(text) : whole;
        for (const written of [JSON.stringify(text), otherwise(text, every)]) {
          const json = `${lead}${written}}}`;
          const out = masked(json, spread ? 5_000 : json.length, spread);
          const value = (JSON.parse(out) as { data: { text: string } }).data.text;
          assert.ok(generalised(value).equals(expected), `${JSON.stringify(text)}\n${value}`);
        }
      }),
      { numRuns: 30 },
    );
  });

  test('a text of many megabytes is masked in short steps, and nothing passes out of its order', () => {
    const line = `${'setting.number = 12 and some more of it; '.repeat(3)}\npassword: Xk29fjq8\n`;
    const text = line.repeat(Math.ceil((8 << 20) / line.length));
    const object = (name: string, data: object): string =>
      JSON.stringify({ kind: 'ConfigMap', metadata: { name, uid: name }, data });
    const items = [object('a', { text }), object('b', { small: token }), object('c', { text: 'x'.repeat(4 << 20) })];
    const list = Buffer.from(`{"kind":"ConfigMapList","apiVersion":"v1","metadata":{},"items":[${items.join()}]}`);
    const engine = new JsonMask(plan, { kind: 'ConfigMap', isList: true }, { sliced: true });
    const out: Buffer[] = [];
    const times: number[] = [];
    const timed = (work: () => Buffer): void => {
      const start = process.cpuUsage();
      out.push(work());
      const { user, system } = process.cpuUsage(start);
      times.push((user + system) / 1_000);
    };
    for (let at = 0; at < list.length; at += 16_384) {
      timed(() => engine.write(list.subarray(at, at + 16_384)));
      while (engine.busy) timed(() => engine.step());
    }
    out.push(engine.end());
    times.sort((a, b) => a - b);
    const total = times.reduce((sum, one) => sum + one, 0);
    // The largest is the copy of an object's pieces into one.
    assert.ok(times[times.length - 4]! < Math.max(total / 10, 20), `${times.slice(-5).join()} of ${total} ms`);
    const parsed = JSON.parse(Buffer.concat(out).toString()) as { items: { metadata: { name: string } }[] };
    assert.deepEqual(
      parsed.items.map(({ metadata }) => metadata.name),
      ['a', 'b', 'c'],
    );
    assert.ok(!Buffer.concat(out).includes('Xk29fjq8'));
    assert.ok(!Buffer.concat(out).includes(token));
  });
});
