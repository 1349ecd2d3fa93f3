import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import type { RecordingStorageConfiguration, S3Configuration } from '../../config/recording-storage.ts';
import { FilesystemStorage } from './filesystem.ts';
import { S3Storage } from './s3.ts';
import { S3Client } from './s3-client.ts';
import { CurrentCredentials, credentialSource, type S3CredentialsConfiguration } from './s3-credentials.ts';
import { type Storage, StorageError } from './storage.ts';

export interface OpenOptions {
  /** Told of every attempt at an S3 store: its operation, and the HTTP status or the kind of failure. */
  readonly onAttempt?: (operation: string, code: string) => void;
  /** Told when something was laid over a sealed object. */
  readonly onShadowed?: (key: string) => void;
}

/** Milliseconds for which sealed objects are locked; undefined: no lock. */
export function retentionOf(configuration: RecordingStorageConfiguration): number | undefined {
  return configuration.s3?.objectLock?.retention;
}

/** @throws Error naming a file that cannot be read */
export function openStorage(configuration: RecordingStorageConfiguration, options: OpenOptions = {}): Storage {
  const { s3, filesystem } = configuration;
  if (s3 !== undefined) return openS3(s3, options);
  return new FilesystemStorage(filesystem?.path ?? '/var/lib/sallyport/recordings');
}

/**
 * Asks a store whether it will take what is sent to it.
 * @returns why it does not answer now, which may pass
 * @throws StorageError what a person has to mend: wrong keys, no such bucket, object lock that is off
 */
export async function checkStorage(storage: Storage): Promise<StorageError | undefined> {
  if (!(storage instanceof S3Storage)) return undefined;
  try {
    await storage.check(AbortSignal.timeout(20_000));
    return undefined;
  } catch (error) {
    if (error instanceof StorageError && (error.fault === 'Unavailable' || error.fault === 'Full')) return error;
    throw error;
  }
}

function openS3(s3: S3Configuration, { onAttempt = () => {}, onShadowed = () => {} }: OpenOptions): Storage {
  const { bucket, prefix, region, pathStyle, caFile } = s3;
  const endpoint = new URL(s3.endpoint ?? `https://s3.${region}.amazonaws.com`);
  const loopback = ['127.0.0.1', '[::1]', 'localhost'].includes(endpoint.hostname);
  if (endpoint.protocol !== 'https:' && !(s3.insecureLoopbackHTTP && loopback)) {
    throw new Error(`${endpoint.origin}: recordings go over https only`);
  }
  if (endpoint.pathname !== '/' || endpoint.search !== '' || endpoint.username !== '') {
    throw new Error(`${endpoint.host}: the endpoint is scheme, host and port, nothing else`);
  }
  const client = new S3Client({
    endpoint,
    region,
    bucket,
    pathStyle,
    ca: caFile === undefined ? undefined : readFileSync(caFile, 'utf8'),
    credentials: new CurrentCredentials(credentialSource(chosen(s3.credentials), region)),
    connectTimeout: s3.connectTimeout,
    timeout: s3.requestTimeout,
    attempts: s3.attempts,
    connections: 16,
    onAttempt,
  });
  return new S3Storage({
    client,
    prefix,
    locator: locatorOf(s3),
    encryption: s3.serverSideEncryption,
    lockMode: s3.objectLock?.mode,
    onShadowed,
  });
}

function chosen({
  secret,
  sharedFile,
  webIdentity,
  instanceRole,
}: S3Configuration['credentials']): S3CredentialsConfiguration | undefined {
  if (secret !== undefined) return secret;
  if (sharedFile !== undefined) return { sharedCredentialsFile: sharedFile.path, profile: sharedFile.profile };
  if (webIdentity !== undefined) return webIdentity;
  if (instanceRole !== undefined) return { instanceRole: instanceRole.role, endpoint: instanceRole.endpoint };
  return undefined;
}

/** `s3://bucket/prefix/?region=…&endpoint=…&pathStyle=true`: all that a reader needs but its keys. */
function locatorOf({ bucket, prefix, region, endpoint, pathStyle, caFile }: S3Configuration): string {
  const query = new URLSearchParams({ region });
  if (endpoint !== undefined) query.set('endpoint', endpoint);
  if (pathStyle) query.set('pathStyle', 'true');
  if (caFile !== undefined) query.set('caFile', caFile);
  return `s3://${bucket}/${prefix}?${query}`;
}

/**
 * A store's locator as its configuration: a path, `file:///…`, or `s3://bucket/prefix/?region=…&endpoint=…&pathStyle=true&caFile=…`.
 * Keys are never part of it: they come from where AWS' tools look.
 * @throws Error saying what a locator looks like
 */
export function configurationOf(locator: string): unknown {
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
