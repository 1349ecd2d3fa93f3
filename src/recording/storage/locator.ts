import { fileURLToPath } from 'node:url';
import type { S3Configuration } from '../../config/recording-storage.ts';

/** `s3://bucket/prefix/?region=…&endpoint=…&pathStyle=true`: all that a reader needs but its keys. */
export function locatorOf({ bucket, prefix, region, endpoint, pathStyle, caFile }: S3Configuration): string {
  const query = new URLSearchParams({ region });
  if (endpoint !== undefined) query.set('endpoint', endpoint);
  if (pathStyle) query.set('pathStyle', 'true');
  if (caFile !== undefined) query.set('caFile', caFile);
  return `s3://${bucket}/${prefix}?${query}`;
}

/** What a locator names; of a bucket as whoever wrote it says it, with nothing checked. */
export type Located =
  | { readonly filesystem: { readonly path: string } }
  | { readonly s3: Readonly<Record<string, unknown>> };

/**
 * A store's locator as its configuration: a path, `file:///…`, or `s3://bucket/prefix/?region=…&endpoint=…&pathStyle=true&caFile=…`.
 * Keys are never part of it: they come from where AWS' tools look.
 * @throws Error saying what a locator looks like
 */
export function readLocator(locator: string): Located {
  if (!/^[a-z0-9+.-]+:\/\//.test(locator)) return { filesystem: { path: locator } };
  const url = new URL(locator);
  if (url.username !== '' || url.password !== '') throw new Error('a store’s locator holds no keys');
  if (url.protocol === 'file:') return { filesystem: { path: fileURLToPath(url) } };
  if (url.protocol !== 's3:') {
    throw new Error('a store is a folder, file:///folder, or s3://bucket/prefix/?region=…&endpoint=…&pathStyle=true');
  }
  const s3: Record<string, unknown> = { bucket: url.hostname, prefix: prefixOf(url.pathname) };
  for (const [name, value] of url.searchParams) {
    if (!['region', 'endpoint', 'pathStyle', 'caFile', 'insecureLoopbackHTTP'].includes(name)) {
      throw new Error(`a store’s locator takes region, endpoint, pathStyle and caFile, not ${JSON.stringify(name)}`);
    }
    s3[name] = value === 'true' ? true : value === 'false' ? false : value;
  }
  return { s3 };
}

function prefixOf(pathname: string): string {
  const prefix = decodeURIComponent(pathname.slice(1));
  return prefix === '' || prefix.endsWith('/') ? prefix : `${prefix}/`;
}
