import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import fc from 'fast-check';
import { SallyportError } from '../../errors.ts';
import { isObject, type Json, parseJson, writeJson } from '../../request/json.ts';
import { defaultPlan } from '../default-plan.ts';
import { parseFieldPath } from '../field-path.ts';
import { MARKER, Placeholders } from '../marker.ts';
import type { FieldMask, MaskAction, MaskPlan } from '../mask-plan.ts';
import { maskObject } from '../object-mask.ts';
import { treeHoldsPlaceholder } from './placeholder-search.ts';
import { writeBack } from './write-back.ts';

const base = defaultPlan(new Placeholders(Buffer.alloc(32, 5)));
const word = fc.stringMatching(/^[A-Za-z0-9]{6,24}$/);
const text = fc.oneof(
  word,
  fc.string({ maxLength: 30 }),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  word.map((value) => `user: anna\npassword: ${value}\nmode: fast\n`),
  fc.tuple(word, word).map(([a, b]) => JSON.stringify({ password: a, list: [{ token: b }], n: 1 }, null, 2)),
  word.map((value) => `postgres://anna:${value}@db/shop`),
  word.map((value) => Buffer.from(`password: ${value}`).toString('base64')),
);
const name = fc.oneof(
  fc.constantFrom('password', 'DB_TOKEN', 'a', 'b', 'name', 'value', 'url', 'app.yaml', 'x/y', '__proto__'),
  fc.string({ minLength: 1, maxLength: 6 }),
);
const { tree } = fc.letrec<{ tree: unknown }>((tie) => ({
  tree: fc.oneof(
    { depthSize: 'small', withCrossShrink: true },
    text,
    fc.integer(),
    fc.boolean(),
    fc.constant(null),
    fc.dictionary(name, tie('tree'), { maxKeys: 4 }),
    fc.array(tie('tree'), { maxLength: 4 }),
    fc.array(fc.record({ name: word, value: text }), { maxLength: 4 }),
  ),
}));
const secret = fc
  .dictionary(fc.constantFrom('a', 'b', 'c', 'tls.key'), fc.uint8Array({ maxLength: 20 }), { minKeys: 1 })
  .map((data) => ({
    kind: 'Secret',
    data: Object.fromEntries(Object.entries(data).map(([key, value]) => [key, Buffer.from(value).toString('base64')])),
  }));
const thing = fc
  .dictionary(fc.constantFrom('spec', 'data', 'status', 'extra'), tree, { maxKeys: 3 })
  .map((members) => ({ kind: 'Thing', ...members }));
const object = fc
  .tuple(fc.oneof(secret, thing), fc.dictionary(fc.constantFrom('note', 'token'), text))
  .map(([body, annotations]) => ({
    apiVersion: 'v1',
    ...body,
    metadata: { name: 'n', namespace: 's', uid: 'u-1', resourceVersion: '7', annotations },
  }));
const fields = fc.array(
  fc.tuple(
    fc.constantFrom('spec.**', 'spec.a', 'data.*', 'spec.password', 'status[*]', 'extra.b.*', 'metadata.annotations.*'),
    fc.constantFrom<MaskAction>('Redact', 'Partial', 'Hash', 'Drop'),
  ),
  { maxLength: 3 },
);

function planWith(chosen: readonly (readonly [string, MaskAction])[]): MaskPlan {
  const masks = chosen.map(
    ([path, action]): FieldMask => ({ path: parseFieldPath(path), action, scope: 'Object', rule: 'r' }),
  );
  return { ...base, fields: masks, drops: masks.some(({ action }) => action === 'Drop') };
}

const shownOf = (plan: MaskPlan, current: Buffer): Json =>
  parseJson(maskObject(plan, current, { kind: '' }).toString());

suite('writing back, whatever is written', () => {
  test('mask, then write back: the object as it was', () => {
    fc.assert(
      fc.property(object, fields, (value, chosen) => {
        const plan = planWith(chosen);
        const current = Buffer.from(JSON.stringify(value));
        // A client that read a placeholder of an earlier accident writes back just that.
        fc.pre(!current.includes(MARKER));
        const shown = shownOf(plan, current);
        const written = { plan, kind: value.kind, verb: 'update', patchType: undefined, tree: shown };
        const { tree: restored, literals } = writeBack(written, current);
        assert.deepEqual(JSON.parse(writeJson(restored)), JSON.parse(current.toString()));
        assert.deepEqual(literals, []);
      }),
      { numRuns: 600 },
    );
  });

  test('a placeholder that was moved anywhere else is refused', () => {
    let moved = 0;
    fc.assert(
      fc.property(object, fields, fc.nat(), fc.nat(), (value, chosen, from, to) => {
        const plan = planWith(chosen);
        const current = Buffer.from(JSON.stringify(value));
        const shown = shownOf(plan, current);
        const leaves = leavesOf(shown);
        const marked = leaves.filter(({ text }) => treeHoldsPlaceholder(text));
        fc.pre(marked.length > 0 && leaves.length > 1);
        const source = marked[from % marked.length]!;
        const target = leaves[to % leaves.length]!;
        fc.pre(source !== target && source.text !== target.text);
        target.put(source.text);
        const written = { plan, kind: value.kind, verb: 'update', patchType: undefined, tree: shown };
        try {
          writeBack(written, current);
        } catch (error) {
          assert.ok(
            error instanceof SallyportError && /^SP_MASKING_(PLACEHOLDER|SHOWN)$/.test(error.code),
            String(error),
          );
          moved++;
          return;
        }
        // An item of a list may change its place: there, what it stands for moved with it.
        assert.ok(source.list !== undefined && source.list === target.list, `moved ${source.path} to ${target.path}`);
      }),
      { numRuns: 600 },
    );
    assert.ok(moved > 50, String(moved));
  });

  test('whatever a client makes of it, nothing is shown that was hidden', () => {
    fc.assert(
      fc.property(
        object,
        fields,
        fc.array(fc.tuple(fc.nat(), fc.constantFrom('motd', 'x', 'value', 'password')), { maxLength: 3 }),
        (value, chosen, renames) => {
          const plan = planWith(chosen);
          const current = Buffer.from(JSON.stringify(value));
          const shown = shownOf(plan, current);
          rename(shown, renames);
          let restored: Json;
          try {
            restored = writeBack(
              { plan, kind: value.kind, verb: 'update', patchType: undefined, tree: shown },
              current,
            ).tree;
          } catch (error) {
            assert.ok(error instanceof SallyportError);
            return;
          }
          const again = leavesOf(shownOf(plan, Buffer.from(writeJson(restored))));
          const before = new Map(leavesOf(shown).map(({ path, text }) => [path, text]));
          for (const { path, text } of again) {
            const sent = before.get(path);
            if (sent?.startsWith(MARKER)) assert.ok(text.includes(MARKER), `${path} shows ${text}`);
          }
        },
      ),
      { numRuns: 300 },
    );
  });
});

interface Leaf {
  readonly path: string;
  readonly text: string;
  readonly list: Json[] | undefined;
  put(text: string): void;
}

/** Strings of an object, but those by which it is known. */
function leavesOf(value: Json, path = '', list?: Json[]): Leaf[] {
  if (Array.isArray(value)) {
    return value.flatMap((item, i) => leaf(item, `${path}/${i}`, (text) => (value[i] = text), list ?? value));
  }
  if (!isObject(value)) return [];
  return [...value].flatMap(([key, member]) => {
    const at = `${path}/${key}`;
    if (/^\/(?:kind|apiVersion|metadata\/(?!annotations).*)$/.test(at)) return [];
    return leaf(member, at, (text) => value.set(key, text), list);
  });
}

function leaf(value: Json, path: string, put: (text: string) => void, list?: Json[]): Leaf[] {
  return typeof value === 'string' ? [{ path, text: value, list, put }] : leavesOf(value, path, list);
}

function rename(value: Json, renames: readonly (readonly [number, string])[]): void {
  for (const [pick, to] of renames) {
    const maps: Map<string, Json>[] = [];
    const collect = (node: Json): void => {
      if (Array.isArray(node)) for (const item of node) collect(item);
      else if (isObject(node)) {
        maps.push(node);
        for (const member of node.values()) collect(member);
      }
    };
    if (isObject(value)) for (const [key, member] of value) if (key !== 'metadata') collect(member);
    const map = maps[pick % Math.max(1, maps.length)];
    const [key] = map === undefined ? [] : [...map.keys()];
    if (map === undefined || key === undefined) continue;
    const member = map.get(key)!;
    map.delete(key);
    map.set(to, member);
  }
}
