import { SallyportError } from '../../errors.ts';
import { boundsFor, Informer } from '../../kubernetes/informer.ts';
import type { Transport } from '../../kubernetes/transport.ts';
import { readPrinterColumn } from '../../masking/printer-column.ts';
import type { TableColumn } from '../../masking/table-mask.ts';
import type { Operation } from '../../request/operation.ts';
import { type WatchFailureOptions, watchFailure } from '../watch-failure.ts';

export interface PrinterColumnsOptions extends WatchFailureOptions {
  readonly transport: Transport;
  /** Milliseconds after which what the watch holds is not trusted. */
  readonly staleAfter: number;
}

/** Of a CRD no more is kept than this: columns by version. */
interface Definition {
  readonly key: string;
  readonly versions: ReadonlyMap<string, readonly TableColumn[]>;
}

/** CRDs are large: a page of them must not be a hundred megabytes. */
const PAGE = 20;
const NAME = 'CustomResourceDefinition';
/** What the API server shows of a CRD that names no columns. */
const AGE: readonly TableColumn[] = [
  {
    name: 'Age',
    path: [
      { is: 'key', key: 'metadata' },
      { is: 'key', key: 'creationTimestamp' },
    ],
  },
];

/** Which fields the printer columns of custom resources show, kept by a watch on their definitions. */
export class PrinterColumns {
  readonly informer: Informer<Definition>;
  readonly #staleAfter: number;

  constructor(options: PrinterColumnsOptions) {
    const { transport, staleAfter } = options;
    this.#staleAfter = staleAfter;
    this.informer = new Informer<Definition>(transport, {
      name: NAME,
      path: { group: 'apiextensions.k8s.io', version: 'v1', resource: 'customresourcedefinitions' },
      bounds: { ...boundsFor(staleAfter), pageSize: PAGE },
      accept: readDefinition,
      handlers: {},
      onFailure: watchFailure(options, NAME),
    });
  }

  async start(): Promise<void> {
    this.informer.start();
    await this.informer.whenSynced();
  }

  async stop(): Promise<void> {
    await this.informer.stop();
  }

  /**
   * Columns behind that of the name. @returns undefined for what no CRD defines
   * @throws SallyportError SP_MASKING_NOT_LOADED where that may be outdated
   */
  of({ apiGroup, apiVersion, resource }: Operation): readonly TableColumn[] | undefined {
    const problem = this.check();
    if (problem !== true) throw new SallyportError('SP_MASKING_NOT_LOADED', `${problem}: try again`, { retryAfter: 2 });
    return this.informer.get(`${resource}.${apiGroup}`)?.versions.get(apiVersion);
  }

  /** For readiness. */
  check(): true | string {
    if (!this.informer.synced) return 'the definitions of custom resources are not loaded yet';
    return this.informer.age() <= this.#staleAfter || `the watch on ${NAME} objects is stale`;
  }
}

interface Column {
  readonly name?: unknown;
  readonly jsonPath?: unknown;
}

/** @param object a CustomResourceDefinition of apiextensions.k8s.io/v1 */
function readDefinition(object: { metadata: { name: string } }): Definition {
  const { spec } = object as { spec?: { versions?: { name?: unknown; additionalPrinterColumns?: Column[] }[] } };
  const versions = new Map<string, readonly TableColumn[]>();
  for (const { name, additionalPrinterColumns } of spec?.versions ?? []) {
    const columns = additionalPrinterColumns?.map((column) => ({
      name: String(column.name),
      path: readPrinterColumn(String(column.jsonPath)) ?? ('unknown' as const),
    }));
    versions.set(String(name), columns === undefined || columns.length === 0 ? AGE : columns);
  }
  return { key: object.metadata.name, versions };
}
