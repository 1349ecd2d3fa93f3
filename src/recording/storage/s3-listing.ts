import type { XmlElement } from '@rgrove/parse-xml';
import type { S3Client } from './s3-client.ts';
import { children, childText, parseAnswer } from './s3-xml.ts';
import { StorageError, type StoredObject } from './storage.ts';

export interface StoredVersion extends StoredObject {
  readonly versionID: string;
  readonly deleteMarker: boolean;
}

const PAGE_LIMIT = 8 << 20;

/** Objects of a bucket as its plain readers see them, page by page. */
export async function* listed(client: S3Client, prefix: string, signal?: AbortSignal): AsyncGenerator<StoredObject> {
  let token: string | undefined;
  do {
    const query = { 'list-type': '2', prefix, ...(token === undefined ? {} : { 'continuation-token': token }) };
    const page = await pageOf(client, 'ListObjectsV2', query, signal);
    for (const element of children(page, 'Contents')) yield objectOf(element);
    token = childText(page, 'IsTruncated') === 'true' ? childText(page, 'NextContinuationToken') : undefined;
  } while (token !== undefined && token !== '');
}

/**
 * All versions and delete markers, by key, the newest of each first. A store may name versions and markers of one page apart
 * from each other, so each key's are put in order here.
 */
export async function* listedVersions(
  client: S3Client,
  prefix: string,
  signal?: AbortSignal,
): AsyncGenerator<StoredVersion> {
  let keyMarker = '';
  let versionMarker = '';
  let open: StoredVersion[] = [];
  for (;;) {
    const query = {
      versions: '',
      prefix,
      ...(keyMarker === '' ? {} : { 'key-marker': keyMarker }),
      ...(versionMarker === '' ? {} : { 'version-id-marker': versionMarker }),
    };
    const page = await pageOf(client, 'ListObjectVersions', query, signal);
    const found = [
      ...children(page, 'Version').map((element) => versionOf(element, false)),
      ...children(page, 'DeleteMarker').map((element) => versionOf(element, true)),
    ];
    const all = [...open, ...found].sort((a, b) =>
      a.key < b.key ? -1 : a.key > b.key ? 1 : b.modifiedAt - a.modifiedAt,
    );
    const last = childText(page, 'IsTruncated') === 'true' ? all.at(-1)?.key : undefined;
    for (const version of all) if (version.key !== last) yield version;
    open = all.filter(({ key }) => key === last);
    if (last === undefined) return;
    const next = childText(page, 'NextKeyMarker') ?? '';
    const nextVersion = childText(page, 'NextVersionIdMarker') ?? '';
    if (next === '' || (next === keyMarker && nextVersion === versionMarker)) {
      throw new StorageError('Unavailable', 'ListObjectVersions: the store does not say where the next page begins');
    }
    keyMarker = next;
    versionMarker = nextVersion;
  }
}

async function pageOf(
  client: S3Client,
  operation: string,
  query: Readonly<Record<string, string>>,
  signal: AbortSignal | undefined,
): Promise<XmlElement> {
  const { body } = await client.send(
    { operation, method: 'GET', key: '', query, expect: [200], limit: PAGE_LIMIT },
    signal,
  );
  const page = parseAnswer(body.toString('utf8'));
  if (page === undefined) throw new StorageError('Unavailable', `${operation}: the answer cannot be read`);
  return page;
}

function objectOf(element: XmlElement): StoredObject {
  return {
    key: childText(element, 'Key') ?? '',
    bytes: Number(childText(element, 'Size') ?? 0),
    modifiedAt: Date.parse(childText(element, 'LastModified') ?? ''),
  };
}

function versionOf(element: XmlElement, deleteMarker: boolean): StoredVersion {
  return { ...objectOf(element), versionID: childText(element, 'VersionId') ?? '', deleteMarker };
}
