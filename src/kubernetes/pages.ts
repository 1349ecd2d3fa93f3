import { ApiUnreachableError, asked, isStatus } from './api-error.ts';
import { isStored, type KubernetesObject, type StoredMeta } from './object.ts';
import type { ResourcePath } from './resource-path.ts';
import type { Transport } from './transport.ts';

export type Stored = KubernetesObject & { readonly metadata: StoredMeta };

export interface ListOptions {
  readonly query?: Readonly<Record<string, string>>;
  readonly accept?: string;
  readonly pageSize: number;
  readonly maxObjects: number;
  /** Bytes of one page at most. */
  readonly maxBytes: number;
  /** Milliseconds for one page. */
  readonly timeout: number;
  readonly signal?: AbortSignal;
}

export interface Listed {
  readonly items: readonly Stored[];
  /** Of the collection, where a watch goes on. */
  readonly resourceVersion: string;
}

/**
 * Lists a whole collection, page by page, at one revision. If the revision is compacted away between two pages the list
 * begins anew, once, unpaged.
 * @throws ApiError, ApiUnreachableError (also when it is over its bounds: half a list is no list)
 */
export async function listAll(transport: Transport, path: ResourcePath, options: ListOptions): Promise<Listed> {
  try {
    return await pages(transport, path, options, options.pageSize);
  } catch (error) {
    if (!isStatus(error, 410)) throw error;
    return await pages(transport, path, options, 0);
  }
}

async function pages(transport: Transport, path: ResourcePath, options: ListOptions, limit: number): Promise<Listed> {
  const malformed = (why: string) => new ApiUnreachableError(asked('list', path), 'malformed', why);
  const items: Stored[] = [];
  let next = '';
  for (;;) {
    const answer = await transport.ask({
      verb: 'list',
      path,
      query: {
        ...options.query,
        ...(limit > 0 ? { limit: String(limit) } : {}),
        ...(next === '' ? {} : { continue: next }),
      },
      ...(options.accept === undefined ? {} : { accept: options.accept }),
      ...(options.signal === undefined ? {} : { signal: options.signal }),
      timeout: options.timeout,
      maxBytes: options.maxBytes,
    });
    const page = answer as { metadata?: { resourceVersion?: unknown; continue?: unknown }; items?: unknown } | null;
    const resourceVersion = page?.metadata?.resourceVersion;
    // An empty PartialObjectMetadataList has `items: null`.
    const listed = page?.items === null ? [] : page?.items;
    if (typeof resourceVersion !== 'string' || resourceVersion === '' || !Array.isArray(listed)) {
      throw malformed('the answer is not a list');
    }
    for (const item of listed) {
      if (!isStored(item)) throw malformed('an item without name, uid or resourceVersion');
      items.push(item);
    }
    if (items.length > options.maxObjects) {
      throw new ApiUnreachableError(asked('list', path), 'size', `more than ${options.maxObjects} objects`);
    }
    const following = page?.metadata?.continue;
    if (typeof following !== 'string' || following === '') return { items, resourceVersion };
    if (following === next) throw malformed('a page that continues with itself');
    next = following;
  }
}
