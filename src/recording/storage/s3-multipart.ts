import { createHash } from 'node:crypto';
import type { S3Client } from './s3-client.ts';
import { childText, escapeXML, findText, parseAnswer } from './s3-xml.ts';
import { StorageError } from './storage.ts';

/** An object that is sent in parts and appears when the last request is answered. A part that breaks off is sent again alone. */
export class MultipartUpload {
  readonly #client: S3Client;
  readonly #key: string;
  readonly #id: string;
  readonly #etags: string[] = [];
  readonly #digests: Buffer[] = [];

  private constructor(client: S3Client, key: string, id: string) {
    this.#client = client;
    this.#key = key;
    this.#id = id;
  }

  /** @param headers of the object: lock, encryption, metadata. @throws StorageError */
  static async begin(
    client: S3Client,
    key: string,
    headers: Readonly<Record<string, string>>,
    signal?: AbortSignal,
  ): Promise<MultipartUpload> {
    const created = await client.send(
      {
        operation: 'CreateMultipartUpload',
        method: 'POST',
        key,
        query: { uploads: '' },
        headers: { ...headers, 'content-type': 'application/octet-stream' },
        expect: [200],
      },
      signal,
    );
    const xml = parseAnswer(created.body.toString('utf8'));
    const id = (xml === undefined ? undefined : childText(xml, 'UploadId')) ?? '';
    if (id === '') throw new StorageError('Unavailable', `CreateMultipartUpload ${key}: the answer names no upload`);
    return new MultipartUpload(client, key, id);
  }

  /** @param bytes at least 5 MiB, the last part apart */
  async send(bytes: Buffer, signal?: AbortSignal): Promise<void> {
    const digest = createHash('md5').update(bytes).digest();
    const { headers } = await this.#client.send(
      {
        operation: 'UploadPart',
        method: 'PUT',
        key: this.#key,
        query: { partNumber: String(this.#etags.length + 1), uploadId: this.#id },
        headers: { 'content-md5': digest.toString('base64') },
        body: bytes,
        expect: [200],
      },
      signal,
    );
    const { etag } = headers;
    if (etag === undefined) throw new StorageError('Corrupt', `UploadPart ${this.#key}: the answer names no part`);
    this.#etags.push(etag);
    this.#digests.push(digest);
  }

  /** The object's ETag, where the store makes it of the parts' MD5. */
  get etag(): string {
    return `${createHash('md5').update(Buffer.concat(this.#digests)).digest('hex')}-${this.#digests.length}`;
  }

  /** @throws StorageError `Exists` where an object has this name already */
  async complete(signal?: AbortSignal): Promise<void> {
    const parts = this.#etags.map((etag, index) => {
      return `<Part><PartNumber>${index + 1}</PartNumber><ETag>${escapeXML(etag)}</ETag></Part>`;
    });
    const completed = await this.#client.send(
      {
        operation: 'CompleteMultipartUpload',
        method: 'POST',
        key: this.#key,
        query: { uploadId: this.#id },
        headers: { 'content-type': 'application/xml', 'if-none-match': '*' },
        body: Buffer.from(`<CompleteMultipartUpload>${parts.join('')}</CompleteMultipartUpload>`),
        expect: [200],
      },
      signal,
    );
    // S3 answers 200 before it knows, to keep the connection open: a failure stands in the body.
    const xml = parseAnswer(completed.body.toString('utf8'));
    if (xml !== undefined && xml.name !== 'Error') return;
    const code = xml === undefined ? '' : (findText(xml, 'Code') ?? '');
    const fault = code === 'PreconditionFailed' || code === 'ConditionalRequestConflict' ? 'Exists' : 'Unavailable';
    throw new StorageError(fault, `CompleteMultipartUpload ${this.#key}: ${code || 'the answer cannot be read'}`);
  }

  /** Gives the parts up, so that they are not paid for for ever; never rejects. */
  async abort(): Promise<void> {
    const query = { uploadId: this.#id };
    await this.#client
      .send({ operation: 'AbortMultipartUpload', method: 'DELETE', key: this.#key, query, expect: [204, 404] })
      .catch(() => {});
  }
}
