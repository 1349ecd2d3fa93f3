import * as z from 'zod';
import { duration } from './duration.ts';

const credentials = z
  .strictObject({
    secret: z
      .strictObject({
        accessKeyIDFile: z.string().describe('File with the access key id: a key of a mounted Secret.'),
        secretAccessKeyFile: z.string().describe('File with the secret access key.'),
        sessionTokenFile: z.string().optional().describe('File with the session token, for keys that end.'),
      })
      .optional()
      .describe('Keys from files, read again every few minutes.'),
    sharedFile: z
      .strictObject({
        path: z.string().describe('As `aws configure` writes it.'),
        profile: z.string().default('default').describe('Section of that file.'),
      })
      .optional()
      .describe('Keys from a shared credentials file.'),
    webIdentity: z
      .strictObject({
        roleARN: z.string().describe('Role that trusts the cluster’s ServiceAccount issuer.'),
        tokenFile: z.string().describe('Projected ServiceAccount token; read at every exchange.'),
        sessionName: z
          .string()
          .regex(/^[\w+=,.@-]{2,64}$/)
          .default('sallyport')
          .describe('Shown in the store’s own audit log.'),
        endpoint: z.url().optional().describe('Security token service; absent: AWS’ of the region.'),
        caFile: z.string().optional().describe('PEM; replaces the system’s authorities for it.'),
      })
      .optional()
      .describe('Keys for a ServiceAccount token (AssumeRoleWithWebIdentity).'),
    instanceRole: z
      .strictObject({
        role: z.string().default('').describe('Absent: the one that the machine has.'),
        endpoint: z.url().optional().describe('Instance metadata service, where it is not at 169.254.169.254.'),
      })
      .optional()
      .describe('Keys of the machine’s role (IMDSv2).'),
  })
  .refine((value) => Object.values(value).filter((one) => one !== undefined).length <= 1, 'name one way, or none')
  .prefault({})
  .describe(
    'Where the keys come from; none named: the environment, web identity, container credentials, instance role, as AWS’ tools look.',
  );

export const s3 = z.strictObject({
  bucket: z
    .string()
    .regex(/^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$/)
    .describe('Name of the bucket; it has to exist.'),
  prefix: z
    .string()
    .regex(/^(?:[A-Za-z0-9_.-]+\/)*$/, 'is folders, each ended by a slash')
    .default('')
    .describe('Stands before every key, e.g. `sallyport/production/`.'),
  region: z
    .string()
    .regex(/^[a-z0-9-]{1,64}$/)
    .default('us-east-1')
    .describe('Region that requests are signed for.'),
  endpoint: z
    .url({ protocol: /^https?$/ })
    .optional()
    .describe('Absent: AWS’ of the region.'),
  insecureLoopbackHTTP: z
    .boolean()
    .default(false)
    .describe('Allow an http:// endpoint on 127.0.0.1, [::1] and localhost: tests.'),
  pathStyle: z.boolean().default(false).describe('`https://host/bucket/key` in place of `https://bucket.host/key`.'),
  caFile: z.string().optional().describe('PEM; replaces the system’s authorities for the store.'),
  serverSideEncryption: z
    .strictObject({
      algorithm: z.enum(['AES256', 'aws:kms', 'aws:kms:dsse']).describe('Asked for, and proved at each seal.'),
      kmsKeyID: z.string().max(2_048).optional().describe('Key of KMS; absent: the bucket’s.'),
      bucketKey: z.boolean().default(false).describe('One data key for many objects: fewer questions to KMS.'),
    })
    .optional()
    .describe('Encryption by the store; absent: as the bucket is set up.'),
  objectLock: z
    .strictObject({
      mode: z
        .enum(['Governance', 'Compliance'])
        .describe('Governance: administrators with a right of its own can lift it. Compliance: nobody can.'),
      retention: duration('8760h', { min: '1m', max: '87600h' }).describe('From the seal; absent: a year.'),
    })
    .optional()
    .describe('Lock what is sealed; the bucket must have object lock on.'),
  credentials,
  connectTimeout: duration('5s', { min: '100ms', max: '1m' }).describe('TCP and TLS to the store.'),
  requestTimeout: duration('30s', { min: '1s', max: '10m' }).describe(
    'One attempt; large bodies get a second more for each 256 KiB.',
  ),
  attempts: z.int().min(1).max(10).default(4).describe('Tries of one request, with growing pauses.'),
});

/** Where recordings are kept for good. */
export const recordingStorage = z
  .strictObject({
    filesystem: z
      .strictObject({
        path: z
          .string()
          .default('/var/lib/sallyport/recordings')
          .describe('Folder, on a volume that all replicas share, or of each its own.'),
      })
      .optional()
      .describe('A folder: the default.'),
    s3: s3.optional().describe('A bucket of an S3-compatible store.'),
  })
  .refine((value) => value.filesystem === undefined || value.s3 === undefined, 'name filesystem or s3, not both');

export type S3Configuration = z.output<typeof s3>;
export type RecordingStorageConfiguration = z.output<typeof recordingStorage>;
