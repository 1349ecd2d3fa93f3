import type { MaskPlan } from '../../masking/mask-plan.ts';
import type { RowObject, TableColumn } from '../../masking/table-mask.ts';
import { resourceScope } from '../../policy/scope.ts';
import type { Operation } from '../../request/operation.ts';

/** A Table that was asked for, and is asked for upstream with its objects. */
export interface AskedTable {
  /** What the client gets of each row's object. */
  readonly include: RowObject;
  readonly columns: readonly TableColumn[] | undefined;
}

const PARAMETER = 'includeObject';

/**
 * Whether rows are needed whole: cells repeat fields, and only the object tells which. Columns of Kubernetes' own kinds show
 * nothing that the defaults mask, so their rows are needed only where a rule names fields.
 */
export function askedTable(
  operation: Operation,
  accept: string | undefined,
  plan: MaskPlan,
  columns: (operation: Operation) => readonly TableColumn[] | undefined,
): AskedTable | undefined {
  if (operation.method !== 'GET' || accept === undefined || !/;\s*as=Table\b/i.test(accept)) return undefined;
  const isForeign =
    resourceScope(operation.apiGroup, operation.resource) === 'Either' || operation.apiGroup === 'sallyport.dev';
  if (plan.fields.length === 0 && !isForeign) return undefined;
  const asked = new URLSearchParams(operation.query).get(PARAMETER);
  const include = asked === 'None' || asked === 'Object' ? asked : 'Metadata';
  return { include, columns: isForeign ? columns(operation) : undefined };
}

/** The query with which rows come with their objects. */
export function withObjects(query: string): string {
  const pairs = query
    .split('&')
    .filter((pair) => pair !== '' && decodeURIComponent(pair.split('=', 1)[0]!) !== PARAMETER);
  return [...pairs, `${PARAMETER}=Object`].join('&');
}
