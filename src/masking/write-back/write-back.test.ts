import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { SallyportError } from '../../errors.ts';
import { parseJson, writeJson } from '../../request/json.ts';
import { defaultPlan, recognizerFor } from '../default-plan.ts';
import { parseFieldPath } from '../field-path.ts';
import { Placeholders } from '../marker.ts';
import type { MaskAction, MaskPlan } from '../mask-plan.ts';
import { maskObject } from '../object-mask.ts';
import { boundTo, type WrittenBack, writeBack } from './write-back.ts';

const plan = defaultPlan(new Placeholders(Buffer.alloc(32, 7)));
const b64 = (text: string): string => Buffer.from(text).toString('base64');
// biome-ignore lint/suspicious/noExplicitAny: tests look into objects of every shape
type Any = any;

const shownOf = (object: unknown, by: MaskPlan = plan): Any =>
  JSON.parse(maskObject(by, Buffer.from(JSON.stringify(object)), { kind: '' }).toString());

interface Write {
  readonly verb?: string;
  readonly patchType?: string;
  readonly plan?: MaskPlan;
}

function back(sent: unknown, current: unknown, how: Write = {}): WrittenBack & { readonly object: Any } {
  const { verb = 'update', patchType } = how;
  const tree = parseJson(JSON.stringify(sent));
  const kind = (current as Any)?.kind ?? '';
  const bytes = current === undefined ? undefined : Buffer.from(JSON.stringify(current));
  const result = writeBack({ plan: how.plan ?? plan, kind, verb, patchType, tree }, bytes);
  return { ...result, object: JSON.parse(writeJson(result.tree)) };
}

const merge = { verb: 'patch', patchType: 'application/merge-patch+json' };
const strategic = { verb: 'patch', patchType: 'application/strategic-merge-patch+json' };
const json = { verb: 'patch', patchType: 'application/json-patch+json' };

function refused(code: string, path: RegExp, write: () => unknown): void {
  assert.throws(
    write,
    (error) => error instanceof SallyportError && code.split('|').includes(error.code) && path.test(error.message),
  );
}

const secret = {
  apiVersion: 'v1',
  kind: 'Secret',
  metadata: { name: 's', namespace: 'n', uid: 'u-1', resourceVersion: '41' },
  type: 'Opaque',
  data: { user: b64('anna'), password: b64('hunter2-hunter2') },
};

suite('writing back', () => {
  test('a Secret as it was read is written as it is stored, bound to what was read', () => {
    const sent = shownOf(secret);
    delete sent.metadata.resourceVersion;
    sent.metadata.labels = { tier: 'db' };
    const { object, revision, restored } = back(sent, secret);
    const { resourceVersion: _, ...metadata } = secret.metadata;
    assert.deepEqual(object, { ...secret, metadata: { ...metadata, labels: { tier: 'db' } } });
    assert.deepEqual([revision, restored], ['41', 2]);
    const bound = boundTo('41', parseJson(JSON.stringify(object)));
    assert.equal(JSON.parse(writeJson(bound)).metadata.resourceVersion, '41');
  });

  test('a placeholder at another key, in another object, or cut short is refused with its path', () => {
    const shown = shownOf(secret);
    refused('SP_MASKING_PLACEHOLDER', /^data\.user: /, () =>
      back({ ...shown, data: { user: shown.data.password } }, secret),
    );
    const other = { ...secret, metadata: { ...secret.metadata, uid: 'u-2' } };
    refused('SP_MASKING_PLACEHOLDER', /^data\.(user|password): /, () =>
      back({ ...shown, metadata: other.metadata }, other),
    );
    const note = { metadata: { annotations: { note: Buffer.from(shown.data.password, 'base64').toString() } } };
    refused('SP_MASKING_PLACEHOLDER', /annotations\.note/, () => back(note, secret, merge));
    const cut = { data: { password: b64(Buffer.from(shown.data.password, 'base64').toString().slice(0, 30)) } };
    refused('SP_MASKING_PLACEHOLDER', /^data\.password/, () => back(cut, secret, merge));
    refused('SP_MASKING_PLACEHOLDER', /^data\.user/, () => back({ ...shown, kind: 'Secret' }, undefined));
  });

  test('found in base64 at any offset, in UTF-16 and in base64 of base64', () => {
    const bare = Buffer.from(shownOf(secret).data.password, 'base64').toString();
    const forms = ['', 'x', 'xy'].map((lead) => b64(lead + bare));
    for (const form of [...forms, b64(b64(bare)), Buffer.from(bare, 'utf16le').toString('latin1')]) {
      refused('SP_MASKING_PLACEHOLDER', /annotations\.note/, () =>
        back({ metadata: { annotations: { note: form } } }, secret, merge),
      );
    }
  });

  test('stringData is another way to write data, and base64 may be spelled otherwise', () => {
    const shown = shownOf(secret);
    const text = Buffer.from(shown.data.password, 'base64').toString();
    assert.deepEqual(back({ stringData: { password: text } }, secret, merge).object.stringData, {
      password: 'hunter2-hunter2',
    });
    const lines = `${shown.data.password.slice(0, 20)}\n${shown.data.password.slice(20)}`;
    assert.equal(back({ data: { password: lines } }, secret, merge).object.data.password, secret.data.password);
  });

  test('last-applied-configuration by its own placeholders and by the object’s, at the same inner path only', () => {
    const key = 'kubectl.kubernetes.io/last-applied-configuration';
    const { resourceVersion: _, uid: __, ...identity } = secret.metadata;
    const applied = { ...secret, metadata: identity };
    const current = {
      ...secret,
      metadata: { ...secret.metadata, annotations: { [key]: `${JSON.stringify(applied)}\n` } },
    };
    const shown = shownOf(current);
    assert.deepEqual(back(shown, current).object, current);
    const local = { ...applied, data: shown.data, metadata: { ...identity, labels: { a: 'b' } } };
    const patch = { metadata: { annotations: { [key]: `${JSON.stringify(local)}\n` }, labels: { a: 'b' } } };
    const { object, literals } = back(patch, current, strategic);
    const inner = JSON.parse(object.metadata.annotations[key]);
    assert.deepEqual(inner.data, secret.data);
    assert.deepEqual(literals, []);
    const moved = { ...local, data: { user: shown.data.password } };
    const wrong = { metadata: { annotations: { [key]: JSON.stringify(moved) } } };
    refused('SP_MASKING_PLACEHOLDER', /last-applied-configuration.*data\.user/, () => back(wrong, current, strategic));
  });

  test('texts are edited around what is hidden, by line where several look the same', () => {
    const text =
      'host: a\ndb1:\n  password: correct-horse-1\ndb2:\n  password: battery-staple-2\nurl: postgres://u:Sup3rS3cretPw@db.old/x\n';
    const current = {
      kind: 'ConfigMap',
      apiVersion: 'v1',
      metadata: { name: 'c', uid: 'u-3', resourceVersion: '1' },
      data: { 'app.yaml': text },
    };
    const shown: string = shownOf(current).data['app.yaml'];
    assert.doesNotMatch(shown, /horse|staple|Sup3r/);
    const edit = (change: (text: string) => string): string =>
      back({ data: { 'app.yaml': change(shown) } }, current, merge).object.data['app.yaml'];
    assert.equal(
      edit((t) => t.replace('host: a', 'host: b')),
      text.replace('host: a', 'host: b'),
    );
    assert.equal(
      edit((t) => t.replace('db.old', 'db.new')),
      text.replace('db.old', 'db.new'),
    );
    assert.equal(
      edit((t) => `# a comment\n${t}`),
      `# a comment\n${text}`,
    );
    const [one, two] = [/db1:\n.*\n/, /db2:\n.*\n/].map((block) => block.exec(shown)![0]);
    assert.match(
      edit((t) => t.replace(one! + two!, two! + one!)),
      /db2:\n {2}password: battery-staple-2\ndb1:\n {2}password: correct-horse-1/,
    );
    refused('SP_MASKING_PLACEHOLDER', /data\["app\.yaml"\]/, () =>
      edit((t) => t.replace('  password: ', '  pass_phrase: ').replace('db1', 'db9')),
    );
    const plain = { ...current, data: { 'app.yaml': 'password: correct-horse-1\n' } };
    const bare: string = shownOf(plain).data['app.yaml'];
    const seen = { data: { 'app.yaml': bare.replace('password', 'motd') } };
    refused('SP_MASKING_PLACEHOLDER', /app\.yaml/, () => back(seen, plain, merge));
  });

  test('JSON in a text keeps its form', () => {
    const text =
      '{\n  "password": "correct-horse-1",\n  "big": 12345678901234567890,\n  "x": {"token": "battery-staple-2"}\n}\n';
    const current = { kind: 'ConfigMap', metadata: { name: 'c', uid: 'u-3' }, data: { 'a.json': text } };
    const shown: string = shownOf(current).data['a.json'];
    assert.doesNotMatch(shown, /horse|staple/);
    const sent = { data: { 'a.json': shown.replace('"x"', '"y": 1, "x"') } };
    assert.equal(back(sent, current, merge).object.data['a.json'], text.replace('"x"', '"y": 1, "x"'));
    const [first, second] = [...shown.matchAll(/sallyport\.masked\.[a-z2-7]{26}/g)].map(([m]) => m);
    const swapped = shown.replace(first!, '@').replace(second!, first!).replace('@', second!);
    refused('SP_MASKING_PLACEHOLDER', /a\.json.*password/, () => back({ data: { 'a.json': swapped } }, current, merge));
  });

  test('lists are followed by what identifies items, and by the placeholders themselves', () => {
    const container = (name: string, env: unknown[], args: string[]) => ({ name, env, args });
    const env = (name: string, value: string) => ({ name, value });
    const current = {
      kind: 'Deployment',
      metadata: { name: 'd', uid: 'u-4', resourceVersion: '9' },
      spec: {
        template: {
          spec: {
            containers: [
              container('a', [env('X', '1'), env('DB_PASSWORD', 'correct-horse-1')], ['--token', 'tok-aaaa-1111-bbbb']),
              container('b', [env('DB_PASSWORD', 'battery-staple-2')], []),
            ],
          },
        },
      },
    };
    const shown = shownOf(current);
    const [a, b] = shown.spec.template.spec.containers;
    assert.match(a.env[1].value, /masked/);
    assert.match(a.args[1], /masked/);
    const put = (containers: unknown) =>
      back({ ...shown, spec: { template: { spec: { containers } } } }, current).object.spec.template.spec.containers;
    const [realA, realB] = current.spec.template.spec.containers;
    assert.deepEqual(put([b, a]), [realB, realA]);
    assert.deepEqual(put([{ ...a, args: ['-v', ...a.args], env: [env('N', '0'), ...a.env].reverse() }, b]), [
      { ...realA, args: ['-v', ...realA!.args], env: [env('N', '0'), ...realA!.env].reverse() },
      realB,
    ]);
    const patch = { spec: { template: { spec: { containers: [{ name: 'b', env: [b.env[0], env('Y', '2')] }] } } } };
    assert.deepEqual(back(patch, current, strategic).object.spec.template.spec.containers[0].env[0], realB!.env[0]);
    refused('SP_MASKING_SHOWN', /containers\[0\]\.env\[1\]\.value/, () =>
      put([{ ...a, env: [a.env[0], env('MOTD', a.env[1].value)] }, b]),
    );
    refused('SP_MASKING_PLACEHOLDER', /env\[0\]\.value/, () =>
      put([{ ...a, env: [env('DB_PASSWORD', b.env[0].value)] }, b]),
    );
  });

  test('every action of a rule, numbers and what was left out', () => {
    const field = (path: string, action: MaskAction) => ({
      path: parseFieldPath(path),
      action,
      scope: 'Object' as const,
      rule: 'r',
    });
    const by: MaskPlan = {
      ...plan,
      recognizer: recognizerFor([]),
      drops: true,
      fields: [
        field('spec.a', 'Redact'),
        field('spec.b', 'Partial'),
        field('spec.c', 'Hash'),
        field('spec.d', 'Drop'),
        field('spec.n', 'Redact'),
        field('spec.l[*]', 'Drop'),
      ],
    };
    const current = {
      apiVersion: 'x/v1',
      kind: 'Thing',
      metadata: { name: 't', uid: 'u', resourceVersion: '3' },
      spec: { a: 'one', b: 'sixteen-letters1', c: 'three', d: 'four', n: 42, l: ['x', 'y'], open: true },
    };
    const shown = shownOf(current, by);
    assert.equal(shown.spec.d, undefined);
    assert.equal(shown.spec.n, 0);
    assert.deepEqual(back(shown, current, { plan: by }).object, current);
    const { literals } = back({ spec: { a: 'guess', n: 41 } }, current, { ...merge, plan: by });
    assert.deepEqual(literals, ['spec.a', 'spec.n']);
    refused('SP_MASKING_PROBE', /spec\.d/, () =>
      back([{ op: 'remove', path: '/spec/d' }], current, { ...json, plan: by }),
    );
    refused('SP_MASKING_PROBE', /spec\.d/, () =>
      back([{ op: 'remove', path: '/spec/d' }], { ...current, spec: {} }, { ...json, plan: by }),
    );
    refused('SP_MASKING_PROBE', /spec\.n/, () =>
      back(
        [{ op: 'test', path: '/spec/n', value: 0 }],
        { ...current, spec: { ...current.spec, n: 0 } },
        { ...json, plan: by },
      ),
    );
  });

  test('JSON Patch: what asks or carries is refused, also after the indices moved', () => {
    const probes = [
      [{ op: 'test', path: '/data/password', value: b64('x') }],
      [{ op: 'test', path: '/data', value: {} }],
      [{ op: 'test', path: '', value: {} }],
      [{ op: 'test', path: '/data/password/deeper', value: 1 }],
      [{ op: 'test', path: '/data/absent', value: null }],
      [{ op: 'copy', from: '/data/password', path: '/metadata/annotations' }],
      [{ op: 'copy', from: '/data', path: '/metadata/annotations' }],
      [{ op: 'move', from: '/data/password', path: '/data/user' }],
    ];
    for (const patch of probes) refused('SP_MASKING_PROBE', /^(data|the whole)/, () => back(patch, secret, json));
    const pod = {
      kind: 'Pod',
      metadata: { name: 'p', uid: 'u' },
      spec: { containers: [{ name: 'a' }, { name: 'b', env: [{ name: 'DB_PASSWORD', value: 'correct-horse-1' }] }] },
    };
    const shift = { op: 'remove', path: '/spec/containers/0' };
    refused('SP_MASKING_PROBE', /containers\[0\]\.env\[0\]\.value/, () =>
      back([shift, { op: 'test', path: '/spec/containers/0/env/0/value', value: 'x' }], pod, json),
    );
    refused('SP_MASKING_SHOWN', /would be seen/, () =>
      back([{ op: 'replace', path: '/spec/containers/1/env/0/name', value: 'MOTD' }], pod, json),
    );
    const value = shownOf(pod).spec.containers[1].env[0].value;
    const { object } = back([shift, { op: 'replace', path: '/spec/containers/0/env/0/value', value }], pod, json);
    assert.equal(object[1].value, 'correct-horse-1');
    refused('SP_BAD_REQUEST', /plain number/, () => back([{ op: 'remove', path: '/spec/containers/-1' }], pod, json));
  });

  test('JSON Patch: replacing with the placeholder keeps the value, under the revision that was read', () => {
    const { data } = shownOf(secret);
    const sent = [{ op: 'replace', path: '/data/password', value: data.password }];
    const { object, revision } = back(sent, secret, json);
    assert.deepEqual(object, [{ op: 'replace', path: '/data/password', value: secret.data.password }]);
    assert.equal(revision, '41');
    assert.deepEqual(JSON.parse(writeJson(boundTo('41', parseJson(JSON.stringify(object))))).at(-1), {
      op: 'add',
      path: '/metadata/resourceVersion',
      value: '41',
    });
    const { literals } = back([{ op: 'copy', from: '/metadata/name', path: '/data/password' }], secret, json);
    assert.deepEqual(literals, ['data.password']);
  });

  test('a new value over a hidden one is told of; a new key, a removed one and an untouched one are not', () => {
    const literals = (data: unknown) => back({ data }, secret, merge).literals;
    assert.deepEqual(literals({ password: b64('other') }), ['data.password']);
    assert.deepEqual(literals({ password: secret.data.password }), ['data.password'], 'the right guess as well');
    assert.deepEqual(literals({ more: b64('other'), user: null }), []);
    assert.deepEqual(literals(shownOf(secret).data), []);
  });

  test('an older revision of the client’s own is a conflict, and nothing is put back', () => {
    const sent = shownOf(secret);
    sent.metadata.resourceVersion = '40';
    refused('SP_MASKING_CHANGED', /modified/, () => back(sent, secret));
  });

  test('hostile sizes end soon: many lines, many items, copies that double, paths with many ways through', () => {
    const lines = Array.from({ length: 10_000 }, (_, i) => `password: value-${i}-abc`);
    const map = { kind: 'ConfigMap', metadata: { name: 'c', uid: 'u' }, data: { x: lines.join('\n') } };
    const items = Array.from({ length: 15_000 }, (_, i) => ({ name: `n${i}`, password: `value-${i}-abc` }));
    const thing = { kind: 'Thing', metadata: { name: 't', uid: 'u' }, spec: { items } };
    const deep: MaskPlan = {
      ...plan,
      fields: [{ path: parseFieldPath(`a.${'**.'.repeat(14)}x`), action: 'Drop', scope: 'Object', rule: 'r' }],
    };
    const doubling = Array.from({ length: 60 }, (_, i) => ({ op: 'copy', from: '/spec', path: `/spec/x${i}` }));
    const started = process.cpuUsage();
    const text: string = shownOf(map).data.x;
    const sent = { data: { x: `a: b\n${text.split('\n').slice(0, -1).join('\n')}\nz: 1` } };
    refused('SP_MASKING_PLACEHOLDER', /data\.x/, () => back(sent, map, merge));
    const shown = shownOf(thing);
    shown.spec.items.reverse();
    assert.equal(back(shown, thing).object.spec.items[0].password, 'value-14999-abc');
    refused('SP_BAD_REQUEST', /too much/, () => back(doubling, { ...thing, spec: { a: { b: 1 } } }, json));
    const path = `/a/${'b/'.repeat(400)}c`;
    refused('SP_BAD_REQUEST|SP_MASKING_PROBE', /./, () =>
      back([{ op: 'test', path, value: 1 }], thing, { ...json, plan: deep }),
    );
    const { user } = process.cpuUsage(started);
    assert.ok(user < 15_000_000, `${user} µs`);
  });
});
