import * as z from 'zod';
import { duration } from './duration.ts';
import { recordingStorage } from './recording-storage.ts';
import { siem } from './siem.ts';

const MiB = 1 << 20;

const spool = z.strictObject({
  folder: z
    .string()
    .min(1)
    .max(4_096)
    .default('/var/lib/sallyport/spool')
    .describe('Folder in which every line is kept first. One for each replica; it must outlive the process.'),
  maxBytes: z
    .int()
    .min(16 * MiB)
    .default(1024 * MiB)
    .describe('Bytes of lines that may wait there for the store; beyond, Strict refuses and BestEffort drops.'),
  minFreeBytes: z
    .int()
    .min(0)
    .default(256 * MiB)
    .describe('Bytes of the disk that are left to others.'),
  segmentBytes: z
    .int()
    .min(64 << 10)
    .max(64 * MiB)
    .default(8 * MiB)
    .describe('Bytes of lines after which a segment is closed and sealed.'),
  segmentAge: duration('15m', { min: '1s', max: '24h' }).describe('Age at which a segment is closed and sealed.'),
});

/** Recording: `recording`. Absent: recorded with what is default. Durations are milliseconds once parsed. */
export const recording = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe(
      '`false`: nothing is recorded, and whoever a policy of `recording.mode: Strict` speaks of is refused. A permanent warning in log and metrics.',
    ),
  storage: recordingStorage.prefault({}).describe('Where recordings are kept for good.'),
  durability: z
    .enum(['Process', 'Disk', 'Remote'])
    .default('Process')
    .describe(
      'What is promised of a line before the request goes on: `Process` survives the death of the gateway, `Disk` that of the machine (fsync), `Remote` that of its disk (in the store).',
    ),
  spool: spool.prefault({}).describe('The local folder before the store.'),
  signingKey: z
    .strictObject({
      secret: z
        .string()
        .regex(/^sallyport-[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$/)
        .optional()
        .describe(
          'Secret in the gateway’s namespace with Ed25519 keys (PKCS#8, entries `*.pem`); made where there is none.',
        ),
      files: z
        .array(z.string().min(1).max(4_096))
        .min(1)
        .max(16)
        .optional()
        .describe('Files with such keys, instead of a Secret.'),
    })
    .refine((key) => key.secret === undefined || key.files === undefined, 'give a secret or files, not both')
    .prefault({})
    .describe(
      'By which manifests are signed: the last entry by name, or the last file, signs. Absent: the Secret `sallyport-recording-keys`.',
    ),
  maxBodyBytes: z
    .int()
    .min(0)
    .max(4 * MiB)
    .default(256 << 10)
    .describe(
      'Bytes of one request’s or answer’s body that are kept; of more, the beginning, the length and the SHA-256.',
    ),
  idleTimeout: duration('30m', { min: '1s', max: '24h' }).describe(
    'A recording without requests for so long is sealed.',
  ),
  maxDuration: duration('12h', { min: '1m', max: '168h' }).describe(
    'A recording that is older is sealed, and the session goes on in another one.',
  ),
  maxOpen: z
    .int()
    .min(10)
    .max(20_000)
    .default(2_000)
    .describe('Recordings of one replica that are open at once; the one that was unused for longest is sealed first.'),
  commitTimeout: duration('10s', { min: '100ms', max: '2m' }).describe(
    'How long a request waits for its line to be kept.',
  ),
  index: z
    .strictObject({
      maxObjects: z
        .int()
        .min(10)
        .max(20_000)
        .default(2_000)
        .describe('SessionRecording objects at most; the oldest sealed ones go first. What is in the store stays.'),
      maxAge: duration('720h', { min: '1h', max: '8760h' }).describe(
        'Age at which a sealed SessionRecording object goes.',
      ),
      statusInterval: duration('60s', { min: '1s', max: '1h' }).describe(
        'A status that changes is written at most this often (and a tenth more or less).',
      ),
    })
    .prefault({})
    .describe('The SessionRecording objects: an index, not the recordings.'),
  siem,
});

export type RecordingConfiguration = z.output<typeof recording>;
