import { readFileSync } from 'node:fs';
import type { RecordingStorageConfiguration, S3Configuration } from '../../config/recording-storage.ts';
import { FilesystemStorage } from './filesystem.ts';
import { locatorOf } from './locator.ts';
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
