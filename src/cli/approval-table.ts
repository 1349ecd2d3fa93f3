/** A request as a list shows it: the API server's own columns, so that no summary or diff is fetched for it. */
export interface InboxRow {
  readonly namespace: string;
  readonly name: string;
  readonly phase: string;
  readonly requester: string;
  readonly agent: string;
  readonly operation: string;
  readonly policy: string;
  readonly expires: string;
  readonly created: string;
}

interface Table {
  readonly columnDefinitions?: readonly { readonly name: string }[] | null;
  readonly rows?: readonly Row[] | null;
}

interface Row {
  readonly cells: readonly unknown[];
  readonly object?: {
    readonly metadata?: { readonly name?: string; readonly namespace?: string; readonly creationTimestamp?: string };
  };
}

/** Reads the tables (meta.k8s.io/v1) of one list or watch. */
export class ApprovalTable {
  #columns: readonly string[] = [];

  /** Columns are found by name, since their order is the API server's; those of a watch come with its first event only. */
  rows(table: unknown): InboxRow[] {
    const { columnDefinitions, rows } = (table ?? {}) as Table;
    if (columnDefinitions && columnDefinitions.length > 0) this.#columns = columnDefinitions.map(({ name }) => name);
    return (rows ?? []).map((row) => this.#row(row));
  }

  #row({ cells, object }: Row): InboxRow {
    const cell = (name: string): string => {
      const value = cells[this.#columns.indexOf(name)];
      return typeof value === 'string' ? value : '';
    };
    return {
      namespace: object?.metadata?.namespace ?? '',
      name: object?.metadata?.name ?? cell('Name'),
      phase: cell('Phase'),
      requester: cell('Requester'),
      agent: cell('Agent'),
      operation: cell('Operation'),
      policy: cell('Policy'),
      expires: cell('Expires'),
      created: object?.metadata?.creationTimestamp ?? '',
    };
  }
}
