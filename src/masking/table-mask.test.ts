import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { defaultPlan } from './default-plan.ts';
import { parseFieldPath } from './field-path.ts';
import { JsonMask } from './json-stream.ts';
import { MARKER, Placeholders } from './marker.ts';
import type { MaskAction } from './mask-plan.ts';
import { overlap, readPrinterColumn } from './printer-column.ts';
import type { TableColumn, TableHint } from './table-mask.ts';

const defaults = defaultPlan(new Placeholders(Buffer.alloc(32, 5)));
const field = (path: string, action: MaskAction = 'Redact') =>
  ({ path: parseFieldPath(path), action, scope: 'Object', rule: 'customers' }) as const;
const plan = { ...defaults, fields: [field('spec.phone'), field('spec.pin'), field('spec.tail', 'Partial')] };
const columns = ['Name', 'Phone', 'Pin', 'All', 'Tail', 'Other', 'Age'];
const object = {
  apiVersion: 'crm.example/v1',
  kind: 'Customer',
  metadata: { name: 'ada', namespace: 'shop', uid: 'u1', annotations: { a: 'b' } },
  spec: { phone: 'blue moon', pin: 4711, tail: 'abcdefghijklmnop', note: 'fine' },
};
const row = {
  cells: ['ada', 'blue moon', 4711, '{"phone":"blue moon"}', 'abcdefghijklmnop', 'fine', '3d'],
  object,
};
const table = (rows: unknown[] = [row]) => ({
  kind: 'Table',
  apiVersion: 'meta.k8s.io/v1',
  metadata: { resourceVersion: '7' },
  columnDefinitions: columns.map((name) => ({ name, type: 'string' })),
  rows,
});

function through(value: unknown, hint: TableHint = {}, use = plan): ReturnType<typeof table> & { object: never } {
  const engine = new JsonMask(use, { kind: '', table: hint });
  const text = Buffer.from(JSON.stringify(value));
  return JSON.parse(Buffer.concat([engine.write(text), engine.end()]).toString());
}

type Row = { cells: unknown[]; object: { kind: string; spec?: { tail: string }; metadata: unknown } | null };
const first = (out: { rows: unknown[] }): Row => out.rows[0] as Row;

suite('Tables', () => {
  test('cells that equal or contain what was masked in the object are masked, and no others', () => {
    const { cells } = first(through(table()));
    assert.equal(cells[0], 'ada');
    assert.match(String(cells[1]), /^sallyport\.masked\.[a-z2-7]{26}$/);
    assert.equal(cells[2], 0);
    assert.ok(!String(cells[3]).includes('blue'));
    assert.equal(cells[4], first(through(table())).object!.spec!.tail);
    assert.match(String(cells[4]), /mnop$/);
    assert.deepEqual(cells.slice(5), ['fine', '3d']);
  });

  test('of a column whose path overlaps a masked one, all cells', () => {
    const harmless = columns.slice(1, 5).map((name) => ({ name, path: parseFieldPath('metadata.name') }));
    const by: TableColumn[] = [
      ...harmless,
      { name: 'Other', path: parseFieldPath('spec') },
      { name: 'Age', path: 'unknown' },
    ];
    const short = { cells: ['ada', 'x', 1, 'y', 'z', 'q', '3d'], object: { ...object, spec: { phone: 'q' } } };
    const { cells } = first(through(table([short]), { columns: by }));
    assert.equal(cells[0], 'ada');
    assert.ok(String(cells[5]).startsWith(MARKER) && String(cells[6]).startsWith(MARKER));
  });

  test('the object is what was asked for', () => {
    const { kind, metadata } = first(through(table(), { include: 'Metadata' })).object!;
    assert.deepEqual({ kind, metadata }, { kind: 'PartialObjectMetadata', metadata: object.metadata });
    assert.equal(first(through(table(), { include: 'None' })).object, null);
    assert.equal(first(through(table(), { include: 'Object' })).object!.kind, 'Customer');
  });

  test('in watch events, of which only the first names the columns', () => {
    const events = [
      { type: 'ADDED', object: table() },
      { type: 'MODIFIED', object: { ...table(), columnDefinitions: null } },
      {
        type: 'BOOKMARK',
        object: { ...table(), rows: [{ cells: [], object: { metadata: { resourceVersion: '9' } } }] },
      },
    ];
    const engine = new JsonMask(plan, {
      kind: '',
      table: { include: 'Metadata', columns: [] },
    });
    const text = Buffer.from(events.map((event) => JSON.stringify(event)).join('\n'));
    const out = Buffer.concat([engine.write(text), engine.end()]).toString();
    assert.ok(!out.includes('blue') && !out.includes('4711') && !out.includes('3d'), out);
    const [, , bookmark] = out.split('\n').map((line) => JSON.parse(line) as { object: { rows: Row[] } });
    assert.deepEqual(bookmark!.object.rows[0]!.object!.metadata, { resourceVersion: '9' });
  });

  test('what only a column’s name tells is masked by it', () => {
    const one = { ...table([{ cells: ['hunter22'], object: null }]), columnDefinitions: [{ name: 'DB_PASSWORD' }] };
    assert.ok(String(first(through(one, {}, defaults as never)).cells[0]).startsWith(MARKER));
  });

  test('a member that is written twice shows nothing', () => {
    const text = JSON.stringify(table()).replace('"cells":', '"cells":["ada","blue moon"],"cells":');
    const engine = new JsonMask(plan, { kind: '' });
    assert.ok(
      !Buffer.concat([engine.write(Buffer.from(text)), engine.end()])
        .toString()
        .includes('blue'),
    );
  });

  test('rows and items of an object that is no Table and no list are its members', () => {
    const sheet = { kind: 'Sheet', rows: [{ phone: 'blue moon' }], items: [{ phone: 'blue moon' }] };
    const use = { ...defaults, fields: [field('rows[*].phone'), field('items[*].phone')] };
    const late = { items: sheet.items, kind: 'Sheet', rows: sheet.rows };
    for (const [value, hint] of [
      [sheet, { kind: '' }],
      [late, { kind: '', isList: false }],
    ] as const) {
      const engine = new JsonMask(use, hint);
      const out = Buffer.concat([engine.write(Buffer.from(JSON.stringify(value))), engine.end()]).toString();
      assert.ok(!out.includes('blue'), out);
    }
  });
});

suite('paths of printer columns', () => {
  test('are read as kubectl reads them', () => {
    for (const [path, masked, expected] of [
      ['.spec.password', 'spec.password', true],
      ['.spec', 'spec.password', true],
      ['.spec.password.inner', 'spec.password', true],
      ['.spec.name', 'spec.password', false],
      ['.spec.users[*].token', 'spec.users[0].token', true],
      ['.spec.users[?(@.name=="a]")].token', 'spec.users[*].token', true],
      ['.spec.users[?(@.name=="a")].name', 'spec.users[*].token', false],
      ['..token', 'spec.users[*].token', true],
      ['.metadata.annotations.example\\.dev/token', 'metadata.annotations["example.dev/token"]', true],
      [".metadata.annotations['example.dev/token']", 'metadata.annotations["example.dev/token"]', true],
      ['.spec.a', 'spec.**.token', true],
      ['.status.a', 'spec.**.token', false],
      ['{.spec.password}', 'spec.*', true],
      ['.status.conditions[-1:].message', 'status.conditions[type=Ready].message', true],
    ] as const) {
      const read = readPrinterColumn(path);
      assert.ok(read !== undefined, path);
      assert.equal(overlap(read, parseFieldPath(masked)), expected, `${path} and ${masked}`);
    }
    assert.equal(readPrinterColumn('.spec['), undefined);
    assert.equal(readPrinterColumn('{range .items}x'), undefined);
  });
});

suite('what only looks like a row', () => {
  test('an object of its own with cells is masked as any other', () => {
    const text =
      '{"apiVersion":"a/v1","cells":["x"],"kind":"Sheet","metadata":{"name":"n"},"spec":{"phone":"blue moon"}}';
    for (const whole of [text, `{"apiVersion":"a/v1","items":[${text}],"kind":"SheetList"}`]) {
      const engine = new JsonMask(plan, { kind: '', isList: whole !== text });
      const out = Buffer.concat([engine.write(Buffer.from(whole)), engine.end()]).toString();
      assert.ok(!out.includes('blue'), out);
    }
  });
});

suite('managedFields', () => {
  const managed = (item: string) => [{ manager: 'm', fieldsV1: { 'f:spec': { 'f:tags': { [item]: {} } } } }];
  const of = (item: string): string => {
    const value = {
      kind: 'Customer',
      metadata: { name: 'n', managedFields: managed(item) },
      spec: { phone: 'blue moon' },
    };
    const engine = new JsonMask(plan, { kind: '' });
    return Buffer.concat([engine.write(Buffer.from(JSON.stringify(value))), engine.end()]).toString();
  };

  test('are left out where they repeat items of a set, and only there', () => {
    const out = of('v:"blue moon"');
    assert.ok(!out.includes('blue'), out);
    assert.deepEqual(JSON.parse(out).metadata, { name: 'n' });
    assert.deepEqual(JSON.parse(of('k:{"name":"a"}')).metadata.managedFields, managed('k:{"name":"a"}'));
  });
});
