import { createHash } from 'node:crypto';
import type { S3Answer, S3Client } from './s3-client.ts';
import { holds } from './s3-reading.ts';
import { children, childText, escapeXML, parseAnswer } from './s3-xml.ts';
import { StorageError } from './storage.ts';

export interface ServerSideEncryption {
  readonly algorithm: 'AES256' | 'aws:kms' | 'aws:kms:dsse';
  readonly kmsKeyID?: string | undefined;
  readonly bucketKey?: boolean | undefined;
}

const CHECKSUM = 'x-amz-checksum-sha256';

/** Of a version: in S3's own words, and Unix milliseconds. */
export interface Retention {
  readonly mode: string;
  readonly until: number;
}

export type Query = Readonly<Record<string, string>>;

/** Single objects below a prefix of a bucket: written with a checksum and the encryption that is asked for, asked about, removed. */
export class S3Objects {
  readonly client: S3Client;
  readonly prefix: string;
  readonly encryption: ServerSideEncryption | undefined;

  constructor(client: S3Client, prefix: string, encryption: ServerSideEncryption | undefined) {
    this.client = client;
    this.prefix = prefix;
    this.encryption = encryption;
  }

  /** The store's own name of a key. */
  name(key: string): string {
    return `${this.prefix}${key}`;
  }

  /** @throws StorageError `Exists` where `if-none-match` is among the headers and something is there */
  async put(key: string, content: Buffer, headers: Query, signal: AbortSignal | undefined): Promise<S3Answer> {
    return await this.client.send(
      {
        operation: 'PutObject',
        method: 'PUT',
        key: this.name(key),
        headers: {
          ...this.encryptionHeaders(),
          ...headers,
          ...(this.#byKMS ? { [CHECKSUM]: createHash('sha256').update(content).digest('base64') } : {}),
          'content-md5': createHash('md5').update(content).digest('base64'),
          'content-type': 'application/octet-stream',
        },
        body: content,
        expect: [200],
      },
      signal,
    );
  }

  /** Puts what may be replaced. Of an answer that does not show what was stored nothing is believed: it is read back. @throws StorageError */
  async putProven(key: string, content: Buffer, signal: AbortSignal | undefined): Promise<void> {
    const { headers } = await this.put(key, content, {}, signal);
    const sha256 = createHash('sha256').update(content).digest('hex');
    if (shows(headers, createHash('md5').update(content).digest('hex'), sha256)) return;
    if (await holds(this, key, {}, { bytes: content.length, sha256 }, signal)) return;
    throw new StorageError(
      'Corrupt',
      `${key}: ${this.client.description} said that it was stored, and does not give back what was sent`,
    );
  }

  /** With keys of KMS no ETag is an MD5, so these stores are asked for a checksum. Others are not: some refuse the header. */
  get #byKMS(): boolean {
    return this.encryption !== undefined && this.encryption.algorithm !== 'AES256';
  }

  encryptionHeaders(): Query {
    const { encryption } = this;
    if (encryption === undefined) return {};
    const headers: Record<string, string> = { 'x-amz-server-side-encryption': encryption.algorithm };
    if (encryption.kmsKeyID !== undefined) {
      headers['x-amz-server-side-encryption-aws-kms-key-id'] = encryption.kmsKeyID;
    }
    if (encryption.bucketKey === true) headers['x-amz-server-side-encryption-bucket-key-enabled'] = 'true';
    return headers;
  }

  /** What the store says of an object; undefined where there is none. */
  async head(key: string, query: Query, signal: AbortSignal | undefined): Promise<S3Answer | undefined> {
    const answer = await this.client.send(
      {
        operation: 'HeadObject',
        method: 'HEAD',
        key: this.name(key),
        query,
        headers: this.#byKMS ? { 'x-amz-checksum-mode': 'ENABLED' } : {},
        expect: [200, 404],
      },
      signal,
    );
    return answer.status === 404 ? undefined : answer;
  }

  /** How long a version is kept; `until` (Unix milliseconds) is 0 where it is not, or where the account may not ask. */
  async retention(key: string, query: Query, signal: AbortSignal | undefined): Promise<Retention> {
    const { body } = await this.client.send(
      {
        operation: 'GetObjectRetention',
        method: 'GET',
        key: this.name(key),
        query: { ...query, retention: '' },
        expect: [200, 400, 403, 404],
      },
      signal,
    );
    const xml = parseAnswer(body.toString('utf8'));
    const text = (name: string): string => (xml === undefined ? '' : (childText(xml, name) ?? ''));
    return { mode: text('Mode'), until: Date.parse(text('RetainUntilDate')) || 0 };
  }

  /** Locks a version that is there, or for longer than it is. @throws StorageError `Refused` where it is locked in another way */
  async retain(key: string, query: Query, { mode, until }: Retention, signal: AbortSignal | undefined): Promise<void> {
    const date = new Date(until).toISOString();
    const body = Buffer.from(`<Retention><Mode>${mode}</Mode><RetainUntilDate>${date}</RetainUntilDate></Retention>`);
    await this.client.send(
      {
        operation: 'PutObjectRetention',
        method: 'PUT',
        key: this.name(key),
        query: { ...query, retention: '' },
        headers: { 'content-md5': createHash('md5').update(body).digest('base64'), 'content-type': 'application/xml' },
        body,
        expect: [200],
      },
      signal,
    );
  }

  /** @param names as the store has them; what is not there is as good as removed */
  async removeAll(names: readonly string[], signal: AbortSignal | undefined): Promise<void> {
    for (let start = 0; start < names.length; start += 1_000) {
      const objects = names.slice(start, start + 1_000).map((name) => `<Object><Key>${escapeXML(name)}</Key></Object>`);
      const body = Buffer.from(`<Delete><Quiet>true</Quiet>${objects.join('')}</Delete>`);
      const answer = await this.client.send(
        {
          operation: 'DeleteObjects',
          method: 'POST',
          key: '',
          query: { delete: '' },
          headers: {
            'content-md5': createHash('md5').update(body).digest('base64'),
            'content-type': 'application/xml',
          },
          body,
          expect: [200],
        },
        signal,
      );
      const xml = parseAnswer(answer.body.toString('utf8'));
      const [refused] = xml === undefined ? [] : children(xml, 'Error');
      if (refused === undefined) continue;
      throw new StorageError('Refused', `DeleteObjects: ${childText(refused, 'Code') ?? 'refused'}`);
    }
  }
}

/**
 * Whether an answer shows that the store has exactly this.
 * @param etag what it is where the store makes it of MD5 @param sha256 hex
 */
export function shows(headers: S3Answer['headers'], etag: string, sha256: string): boolean {
  if (headers['etag'] === `"${etag}"`) return true;
  return headers[CHECKSUM] === Buffer.from(sha256, 'hex').toString('base64');
}
