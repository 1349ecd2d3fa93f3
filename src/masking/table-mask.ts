import type { Segment } from './field-path.ts';
import { JsonCursor, type Span } from './json-cursor.ts';
import { readJsonString, writeJsonString } from './json-string.ts';
import type { FieldMask, MaskPlan } from './mask-plan.ts';
import { MaskedValues } from './masked-values.ts';
import { readHead } from './object-head.ts';
import { maskObject } from './object-mask.ts';
import { overlap } from './printer-column.ts';
import { RULE_STRUCTURE, structureOf } from './structure.ts';

/** What of a Table's rows the client asked for, by `includeObject`. */
export type RowObject = 'None' | 'Metadata' | 'Object';

export interface TableHint {
  /** Undefined: the rows' objects are what was asked for. */
  readonly include?: RowObject | undefined;
  /**
   * Where cells come from: the columns behind that of the name, in order. Undefined where nothing is known of any: cells are
   * then known by what they hold alone.
   */
  readonly columns?: readonly TableColumn[] | undefined;
}

/** A column of which the path is known, or known to be unreadable. */
export interface TableColumn {
  readonly name: string;
  readonly path: readonly Segment[] | 'unknown';
}

interface Column {
  readonly name: string;
  /** Masked fields that its cells may show. */
  readonly hidden: readonly Pick<FieldMask, 'rule' | 'path'>[];
}

/**
 * Masks a Table (meta.k8s.io). The API server fills cells from the object, so they are masked with it at hand: a cell that
 * equals or contains what was masked there, and one whose column's path overlaps a masked one. Then the object is reduced to
 * what the client asked for.
 */
export class TableMask {
  private readonly plan: MaskPlan;
  private readonly kind: string;
  private readonly hint: TableHint;
  private columns: readonly Column[] = [];
  private apiVersion = 'meta.k8s.io/v1';

  /** @param kind of the rows' objects, where they do not say it */
  constructor(plan: MaskPlan, kind: string, hint: TableHint = {}) {
    this.plan = plan;
    this.kind = kind;
    this.hint = hint;
  }

  /** A Table as a whole, as watch events and empty lists have it. Those that follow in a watch name no columns any more. */
  whole(table: Buffer): Buffer {
    const cursor = new JsonCursor(table);
    const parts: Buffer[] = [];
    let from = 0;
    this.begin(table);
    cursor.members((key) => {
      if (readJsonString(cursor.text(key)) !== 'rows' || cursor.peek() !== 0x5b) return void cursor.skip();
      cursor.enter();
      if (cursor.empty(0x5d)) return;
      do {
        const { start, end } = cursor.skip();
        parts.push(table.subarray(from, start), this.row(table.subarray(start, end)));
        from = end;
      } while (cursor.more(0x5d));
    });
    if (parts.length === 0) return table;
    parts.push(table.subarray(from));
    return Buffer.concat(parts);
  }

  /** What stands before the rows. */
  begin(head: Buffer): void {
    const { apiVersion, columnDefinitions } = JSON.parse(head.toString()) as Partial<Record<string, unknown>>;
    if (typeof apiVersion === 'string' && /^meta\.k8s\.io\/v\w+$/.test(apiVersion)) this.apiVersion = apiVersion;
    if (!Array.isArray(columnDefinitions)) return;
    this.columns = (columnDefinitions as { name?: unknown }[]).map(({ name }, at) => this.column(String(name), at));
  }

  row(bytes: Buffer): Buffer {
    const cursor = new JsonCursor(bytes);
    // Of two with one name, clients read the last; the first is left out.
    const spans = new Map<string, Span>();
    cursor.members((key) => void spans.set(readJsonString(cursor.text(key)), cursor.skip()));
    const part = ({ start, end }: Span): Buffer => bytes.subarray(start, end);
    const object = spans.has('object') ? part(spans.get('object')!) : undefined;
    const head = object?.[0] === 0x7b ? readHead(new JsonCursor(object), this.kind) : undefined;
    const masked = object === undefined ? undefined : maskObject(this.plan, object, { kind: this.kind });
    const values = object === undefined || masked === undefined ? NOTHING : new MaskedValues(object, masked);
    const plan = head !== undefined && head.name !== '' ? this.planOf(head.namespace, head.name) : this.plan;
    const members: string[] = [];
    for (const [key, span] of spans) {
      if (key === 'cells' && plan !== undefined) {
        const place = { plan, object: head?.uid ?? '' };
        members.push(`"cells":${this.cells(part(span), values, place)}`);
      } else if (key === 'object') members.push(`"object":${this.reduced(masked!).toString('latin1')}`);
      else members.push(`${writeJsonString(key)}:${this.other(part(span))}`);
    }
    return Buffer.from(`{${members.join(',')}}`, 'latin1');
  }

  /** Conditions, and what others may add. */
  private other(value: Buffer): string {
    const lead = '{"row":';
    const bytes = Buffer.concat([Buffer.from(lead), value, Buffer.from('}')]);
    return maskObject(this.plan, bytes, { kind: 'Row' }).subarray(lead.length, -1).toString('latin1');
  }

  private planOf(namespace: string, name: string): MaskPlan | undefined {
    return this.plan.forObject === undefined ? this.plan : this.plan.forObject(namespace, name);
  }

  private column(name: string, at: number): Column {
    const known = this.hint.columns;
    if (known === undefined || at === 0) return { name, hidden: [] };
    const expected = known[at - 1];
    const path = expected?.name === name ? expected.path : 'unknown';
    const structure = this.plan.structure ? structureOf(this.kind) : [];
    const fields = [...structure.map((one) => ({ path: one, rule: RULE_STRUCTURE })), ...this.plan.fields];
    return { name, hidden: fields.filter((field) => path === 'unknown' || overlap(path, field.path)) };
  }

  private cells(bytes: Buffer, values: MaskedValues, place: CellPlace): string {
    const cursor = new JsonCursor(bytes);
    if (cursor.peek() !== 0x5b) return 'null';
    const cells: string[] = [];
    cursor.enter();
    if (!cursor.empty(0x5d)) {
      do {
        const { start, end } = cursor.skip();
        cells.push(this.cell(bytes.toString('latin1', start, end), this.columns[cells.length], values, place));
      } while (cursor.more(0x5d));
    }
    return `[${cells.join(',')}]`;
  }

  /** @param raw a cell as JSON, one character a byte; so is what is given back */
  private cell(raw: string, column: Column | undefined, values: MaskedValues, place: CellPlace): string {
    if (raw === 'null' || raw === '""') return raw;
    const isText = raw[0] === '"';
    const text = isText ? (JSON.parse(Buffer.from(raw, 'latin1').toString()) as string) : raw;
    const own = column?.hidden.find((field) => appliesTo(field, place));
    if (own !== undefined || values.isRepeatedBy(text)) {
      const { plan, object } = place;
      const name = column?.name ?? '';
      const shown = values.shownFor(text);
      const rule = own?.rule ?? plan.rule;
      plan.masked?.({ rule, kind: 'cell', path: name });
      if (!isText) return raw === 'true' || raw === 'false' ? 'false' : /^[[{]/.test(raw) ? 'null' : '0';
      return writeJsonString(
        Buffer.from(
          shown ?? plan.placeholders.redact({ object, path: `cells[${JSON.stringify(name)}]`, rule }),
        ).toString('latin1'),
      );
    }
    return isText ? inspected(raw, column?.name ?? '', place) : raw;
  }

  private reduced(object: Buffer): Buffer {
    if (this.hint.include === undefined || this.hint.include === 'Object' || object[0] !== 0x7b) return object;
    if (this.hint.include === 'None') return NULL;
    const cursor = new JsonCursor(object);
    let metadata = '{}';
    cursor.members((key) => {
      const { start, end } = cursor.skip();
      if (readJsonString(cursor.text(key)) === 'metadata') metadata = object.toString('latin1', start, end);
    });
    const head = `{"kind":"PartialObjectMetadata","apiVersion":"${this.apiVersion}","metadata":`;
    return Buffer.from(`${head}${metadata}}`, 'latin1');
  }
}

interface CellPlace {
  readonly plan: MaskPlan;
  readonly object: string;
}

const NULL = Buffer.from('null');
const NOTHING = new MaskedValues(NULL, NULL);

/** Of an answer that rules speak of in part, only those that speak of this row's object. */
function appliesTo(field: Pick<FieldMask, 'rule' | 'path'>, { plan }: CellPlace): boolean {
  return field.rule === RULE_STRUCTURE || plan.fields.some((one) => one === field);
}

/** Detectors read a cell as the member of an object that is named as its column is. */
function inspected(raw: string, column: string, { plan, object }: CellPlace): string {
  if (raw.length < 6 || plan.recognizer.idle) return raw;
  const name = column === 'Name' ? '' : writeJsonString(Buffer.from(column).toString('latin1')).slice(1, -1);
  const lead = `{"row":{"${name}":`;
  const bytes = Buffer.from(`${lead}${raw}}}`, 'latin1');
  const masked = maskObject({ ...plan, fields: [], structure: false }, bytes, { kind: 'Row', object });
  return masked === bytes ? raw : masked.toString('latin1', lead.length, masked.length - 2);
}
