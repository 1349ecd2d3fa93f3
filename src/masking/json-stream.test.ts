import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { suite, test } from 'node:test';
import { gunzipSync, gzipSync } from 'node:zlib';
import fc from 'fast-check';
import { defaultPlan, recognizerFor } from './default-plan.ts';
import { parseFieldPath } from './field-path.ts';
import { JsonMask } from './json-stream.ts';
import { findMarkers, MARKER, Placeholders } from './marker.ts';
import type { MaskPlan } from './mask-plan.ts';

const placeholders = new Placeholders(Buffer.alloc(32, 1));
const plan = defaultPlan(placeholders);
const token = `ghp_${'a1B2c3D4e5F6'.repeat(3)}`;
const base64 = (text: string): string => Buffer.from(text).toString('base64');

function mask(text: string | Buffer, by: MaskPlan = plan, cuts: readonly number[] = []): Buffer {
  const bytes = Buffer.from(text);
  const engine = new JsonMask(by);
  const out: Buffer[] = [];
  let from = 0;
  for (const to of [...cuts, bytes.length]) {
    out.push(engine.write(bytes.subarray(from, to)));
    from = to;
  }
  out.push(engine.end());
  return Buffer.concat(out);
}

// biome-ignore lint/suspicious/noExplicitAny: a test looks into answers of every shape
const masked = (value: unknown, by?: MaskPlan): any => JSON.parse(mask(JSON.stringify(value), by).toString());

suite('masking JSON', () => {
  test('the newline behind an event of a watch passes with it, not with the next one', () => {
    const engine = new JsonMask(plan);
    const event = `${JSON.stringify({ type: 'ADDED', object: { kind: 'ConfigMap', metadata: { name: 'a' } } })}\n`;
    assert.equal(engine.write(Buffer.from(event)).toString(), event);
    assert.equal(engine.write(Buffer.from(event)).toString(), event);
  });

  test('an object whose members stand in another order, or are others, than those before it is read for what it is', () => {
    // Names that begin alike, that hold a quote or a backslash, that are empty, that say something.
    const names = ['a', 'ab', 'abc', '', 'a"b', 'a\\', 'password', 'passwords', 'name', 'value', 'env'];
    const member = fc.tuple(fc.constantFrom(...names), fc.constantFrom(token, 'hunter2hunter2', 'x', 7, null));
    const object = fc.uniqueArray(member, { selector: ([name]) => name });
    fc.assert(
      fc.property(fc.array(fc.tuple(object, object), { minLength: 2, maxLength: 8 }), (objects) => {
        const items = objects.map(([outer, inner], index) => ({
          metadata: { name: `o${index}`, uid: `u${index}` },
          spec: { ...Object.fromEntries(outer), inner: [Object.fromEntries(inner)] },
        }));
        const list = masked({ kind: 'PodList', items });
        for (const [index, item] of items.entries()) {
          assert.deepEqual(list.items[index], masked({ kind: 'PodList', items: [item] }).items[0]);
          assert.ok(!JSON.stringify(list.items[index]).includes(token));
        }
      }),
    );
  });

  test('JSON in a long string is read as JSON, whatever blanks stand behind it', () => {
    const nested = JSON.stringify({ filler: 'x '.repeat(400), settings: [{ password: 'hunter2hunter2' }] });
    const written = JSON.stringify(nested).slice(1, -1);
    const of = (ending: string): string => {
      const object = `{"kind":"ConfigMap","metadata":{"uid":"u"},"data":{"a.json":"${written}${ending}"}}`;
      const text = JSON.parse(mask(object).toString()).data['a.json'];
      return JSON.parse(text).settings[0].password;
    };
    const placeholder = of('');
    assert.match(placeholder, /^sallyport\.masked\./);
    for (const ending of ['\\n', ' \\r\\n', '\\t \\n\\n', '\\u000a', '\\n\\u0020'])
      assert.equal(of(ending), placeholder, ending);
  });

  test('data and stringData of a Secret are replaced whatever they hold, and stay base64', () => {
    const secret = {
      apiVersion: 'v1',
      data: { pin: base64('two words') },
      stringData: { a: 'b' },
      kind: 'Secret',
      metadata: { uid: 'u1' },
    };
    const out = masked(secret);
    assert.match(Buffer.from(out.data.pin, 'base64').toString(), /^sallyport\.masked\.[a-z2-7]{26}$/);
    assert.equal(Buffer.from(out.data.pin, 'base64').toString('base64'), out.data.pin);
    assert.ok(out.stringData.a.startsWith(MARKER));
    assert.equal(out.metadata.uid, 'u1');
  });

  test('items of a SecretList have no kind and are Secrets; order and resourceVersion stay', () => {
    const items = [1, 2].map((n) => ({
      metadata: { name: `s${n}`, uid: `u${n}`, resourceVersion: `${n}` },
      data: { k: base64('x') },
    }));
    const out = masked({ kind: 'SecretList', apiVersion: 'v1', metadata: { resourceVersion: '9' }, items });
    assert.deepEqual(
      out.items.map((item: { metadata: unknown }) => item.metadata),
      items.map(({ metadata }) => metadata),
    );
    assert.notEqual(out.items[0].data.k, base64('x'));
    assert.notEqual(out.items[0].data.k, out.items[1].data.k, 'not comparable between objects');
    assert.equal(out.metadata.resourceVersion, '9');
  });

  test('a list whose kind comes after its items is masked as if it were of Secrets', () => {
    const out = masked({
      apiVersion: 'v1',
      items: [{ data: { k: 'eHg=' }, metadata: { uid: 'u' } }],
      kind: 'SecretList',
    });
    assert.notEqual(out.items[0].data.k, 'eHg=');
  });

  test('a placeholder does not depend on the value, and depends on object and path', () => {
    const one = masked({ kind: 'Secret', metadata: { uid: 'u' }, data: { a: base64('1'), b: base64('1') } });
    const two = masked({ kind: 'Secret', metadata: { uid: 'u' }, data: { a: base64('2'), b: base64('2') } });
    assert.deepEqual(one, two);
    assert.notEqual(one.data.a, one.data.b);
  });

  test('last-applied-configuration of a Secret is masked inside, and stays JSON', () => {
    const applied = JSON.stringify({ kind: 'Secret', stringData: { motto: 'nothing to recognise' } });
    const out = masked({
      kind: 'Secret',
      metadata: { annotations: { 'kubectl.kubernetes.io/last-applied-configuration': applied } },
    });
    const inner = JSON.parse(out.metadata.annotations['kubectl.kubernetes.io/last-applied-configuration']);
    assert.ok(inner.stringData.motto.startsWith(MARKER));
  });

  test('a token in env, args, annotations, a message and a nested text is replaced where it stands', () => {
    const out = masked({
      kind: 'Pod',
      metadata: { annotations: { note: `use ${token} now` } },
      spec: {
        containers: [
          {
            env: [
              { name: 'DB_PASSWORD', value: 'Xk29fjq' },
              { name: 'LEVEL', value: 'info' },
            ],
            args: ['--password', 'Zk29fjq1', '--v=2'],
          },
        ],
      },
      status: { message: `login refused for ${token}` },
    });
    assert.match(out.metadata.annotations.note, /^use sallyport\.masked\.[a-z2-7]+ now$/);
    const [{ env, args }] = out.spec.containers;
    assert.ok(env[0].value.startsWith(MARKER));
    assert.equal(env[1].value, 'info');
    assert.ok(args[1].startsWith(MARKER));
    assert.equal(args[2], '--v=2');
    assert.ok(!JSON.stringify(out).includes(token));
  });

  test("a Table's cell that repeats what is masked in its row's object is masked", () => {
    const object = { kind: 'Secret', metadata: { uid: 'u' }, stringData: { motto: 'winter is near' } };
    const out = masked({
      kind: 'Table',
      columnDefinitions: [{ name: 'Name' }, { name: 'Motto' }],
      rows: [{ cells: ['a', 'winter is near', 3], object }],
    });
    assert.equal(out.rows[0].cells[0], 'a');
    assert.equal(out.rows[0].cells[2], 3);
    assert.ok(out.rows[0].cells[1].startsWith(MARKER));
  });

  test('values quoted in a Status about a Secret are replaced whole; its name stays', () => {
    const message = 'Secret "shop" is invalid: data[a]: Invalid value: "plain words": must be base64';
    const out = masked({ kind: 'Status', message, details: { name: 'shop', kind: 'secrets' } });
    assert.match(
      out.message,
      /^Secret "shop" is invalid: data\[a\]: Invalid value: "sallyport\.masked\.[a-z2-7]+": must be base64$/,
    );
  });

  test('a Helm release is masked inside, and helm can read it', () => {
    const release = {
      name: 'r',
      config: { dbPassword: 'Xk29fjq7' },
      manifest: 'kind: Secret\nstringData:\n  motto: two words\n',
    };
    const packed = base64(gzipSync(JSON.stringify(release)).toString('base64'));
    const out = masked({
      kind: 'Secret',
      metadata: { uid: 'u' },
      data: { release: packed },
      type: 'helm.sh/release.v1',
    });
    const again = JSON.parse(
      gunzipSync(Buffer.from(Buffer.from(out.data.release, 'base64').toString(), 'base64')).toString(),
    );
    assert.equal(again.name, 'r');
    assert.ok(again.config.dbPassword.startsWith(MARKER));
    assert.match(again.manifest, /^kind: Secret\nstringData:\n {2}motto: "sallyport\.masked\.[a-z2-7]+"\n$/);
  });

  test('what is not masked comes out byte for byte: huge numbers, lone surrogates, white space, duplicate keys', () => {
    const text = '{ "kind" : "Ledger",\n "n": 9007199254740993000000001, "s":"\\ud800 \\u0041", "a":1e400, "a":2 }\n';
    assert.equal(mask(text).toString(), text);
  });

  test('of a kind that stands twice Secret is believed', () => {
    assert.ok(!mask('{"kind":"ConfigMap","data":{"a":"dHdvIHdvcmRz"},"kind":"Secret"}').includes('dHdvIHdvcmRz'));
  });

  test('a lone surrogate beside a secret stays', () => {
    const out = mask(`{"kind":"X","spec":{"m":"\\ud800 ${token}"}}`).toString();
    assert.match(out, /"\\ud800 sallyport\.masked\./);
  });

  test('truncated and invalid JSON is an error, and nothing of the object passes', () => {
    for (const text of [
      `{"kind":"Secret","data":{"a":"${base64('secret')}"`,
      `{"kind":"Secret","data":{"a":"${base64('secret')}",}}`,
      `{"kind":"Secret","data":{"a":"${base64('secret')}}`,
      `{"kind":"SecretList","items":[{"data":{"a":"${base64('secret')}"`,
      `{"type":"ADDED","object":{"kind":"Secret","data":{"a":"${base64('secret')}"`,
    ]) {
      const engine = new JsonMask(plan);
      let passed = '';
      assert.throws(
        () => {
          passed += engine.write(Buffer.from(text)).toString();
          passed += engine.end().toString();
        },
        { code: 'SP_MASKING_UNREADABLE' },
      );
      assert.ok(!passed.includes(base64('secret')));
    }
  });

  test('deep nesting and an endless string are errors in bounded memory', () => {
    assert.throws(() => mask('['.repeat(10_000)), { code: 'SP_MASKING_UNREADABLE' });
    assert.throws(() => mask(`{"a":${'['.repeat(10_000)}${']'.repeat(10_000)}}`), { code: 'SP_MASKING_UNREADABLE' });
    const engine = new JsonMask(plan);
    engine.write(Buffer.from('{"kind":"X","a":"'));
    const piece = Buffer.alloc(1024 * 1024, 'a');
    let written = 0;
    assert.throws(
      () => {
        for (; written < 100; written++) engine.write(piece);
      },
      { code: 'SP_MASKING_UNREADABLE' },
    );
    assert.ok(written < 20);
  });

  test('field paths: stars, quoted keys, items by name, Drop, numbers and booleans keep their types', () => {
    const fields = (path: string, action: 'Redact' | 'Drop' | 'Partial' = 'Redact') => [
      { path: parseFieldPath(path), action, scope: 'Object' as const, rule: 'r' },
    ];
    const of = (value: unknown, path: string, action?: 'Redact' | 'Drop' | 'Partial') =>
      masked(value, { ...plan, fields: fields(path, action) });
    assert.deepEqual(of({ a: 1, b: { c: 2 }, d: 'x' }, 'b.**', 'Drop'), { a: 1, b: {}, d: 'x' });
    assert.deepEqual(of({ a: 'x', b: 'y' }, 'a', 'Drop'), { b: 'y' });
    assert.deepEqual(of({ a: 'x', b: 'y' }, 'b', 'Drop'), { a: 'x' });
    assert.deepEqual(of({ a: 'x', b: 'y' }, '*', 'Drop'), {});
    assert.deepEqual(of({ s: { n: 12, t: true, z: null } }, 's.*'), { s: { n: 0, t: false, z: null } });
    const pods = {
      c: [
        { name: 'a', v: 'plain' },
        { name: 'b', v: 'plain' },
      ],
    };
    const out = of(pods, 'c[name=b].v');
    assert.equal(out.c[0].v, 'plain');
    assert.ok(out.c[1].v.startsWith(MARKER));
    assert.ok(of({ m: { 'a.b/c': 'plain' } }, 'm["a.b/c"]').m['a.b/c'].startsWith(MARKER));
    assert.match(of({ v: 'abcdefghijklmnop' }, 'v', 'Partial').v, /mnop$/);
    assert.doesNotMatch(of({ v: 'abcdefgh' }, 'v', 'Partial').v, /fgh$/);
  });

  test('however the bytes are cut, what comes out is the same', () => {
    const text = [
      JSON.stringify({
        kind: 'SecretList',
        metadata: { resourceVersion: '1' },
        items: [{ metadata: { uid: 'é' }, data: { k: base64(token) } }, {}],
      }),
      JSON.stringify({
        type: 'ADDED',
        object: { kind: 'ConfigMap', metadata: { uid: 'q"\\' }, data: { a: `token: ${token}\n` } },
      }),
      JSON.stringify({
        kind: 'Table',
        columnDefinitions: [{ name: 'Token' }],
        rows: [{ cells: [token], object: { kind: 'X' } }],
      }),
      '',
    ].join('\n');
    const length = Buffer.byteLength(text);
    const whole = mask(text).toString();
    assert.ok(!whole.includes(token) && findMarkers(Buffer.from(whole)).length >= 3);
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 0, max: length }), { maxLength: 40 }), (cuts) => {
        assert.equal(
          mask(
            text,
            plan,
            cuts.sort((a, b) => a - b),
          ).toString(),
          whole,
        );
      }),
      { numRuns: 200 },
    );
    assert.equal(
      mask(
        text,
        plan,
        Array.from({ length }, (_, i) => i),
      ).toString(),
      whole,
    );
  });

  test('random JSON without secrets comes out as it went in', () => {
    fc.assert(
      fc.property(fc.json({ maxDepth: 5 }), (text) => {
        const body = `{"kind":"X","v":${text}}`;
        assert.equal(mask(body, { ...plan, recognizer: recognizerFor(['bank-accounts']) }).toString(), body);
      }),
      { numRuns: 300 },
    );
  });
});

suite('markers', () => {
  test('are found raw, as UTF-16 and in the three alignments of base64, and nowhere else', () => {
    const text = placeholders.redact({ object: 'o', path: 'p', rule: 'r' });
    assert.equal(findMarkers(Buffer.from(`x${text}`))[0]?.offset, 1);
    assert.equal(findMarkers(Buffer.from(text, 'utf16le'))[0]?.encoding, 'utf16');
    for (const lead of ['', 'a', 'ab', 'abc']) {
      const found = findMarkers(Buffer.from(base64(`${lead}${text}`)));
      assert.deepEqual(
        found.map(({ encoding }) => encoding),
        ['base64'],
        `after ${lead.length} bytes`,
      );
    }
    assert.deepEqual(findMarkers(randomBytes(100_000)), []);
    assert.ok(placeholders.isOf(text, { object: 'o', path: 'p', rule: 'r' }));
    assert.ok(!placeholders.isOf(text, { object: 'o', path: 'q', rule: 'r' }));
    assert.ok(!new Placeholders(Buffer.alloc(32, 2)).isOf(text, { object: 'o', path: 'p', rule: 'r' }));
  });
});
