import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { S3Storage, type S3StorageOptions } from '../../src/recording/storage/s3.ts';
import { S3Client, type S3ClientOptions } from '../../src/recording/storage/s3-client.ts';
import { CurrentCredentials } from '../../src/recording/storage/s3-credentials.ts';
import { CertificateAuthority } from '../cluster/certificates.ts';
import { freePort } from '../cluster/free-port.ts';
import { Guardian } from '../cluster/guardian.ts';
import { recordOf } from '../cluster/process-record.ts';
import { versitygw } from './versitygw.ts';

export const REGION = 'eu-central-2';

export interface S3Server {
  readonly endpoint: URL;
  /** PEM of the authority that signed its certificate. */
  readonly ca: string;
  readonly caFile: string;
  readonly keys: { readonly accessKeyID: string; readonly secretAccessKey: string };
  /** Where the objects lie: for faults that no request can bring about. */
  readonly folder: string;
  client(bucket: string, options?: Partial<S3ClientOptions>): S3Client;
  storage(bucket: string, options?: Partial<S3StorageOptions>, client?: Partial<S3ClientOptions>): S3Storage;
  /** @param objectLock also switches versions on, as S3 does */
  makeBucket(name: string, objectLock: boolean): Promise<void>;
  /** Ends the process at once; its objects stay. */
  kill(): Promise<void>;
  /** Starts it again at the same place, after `kill`. */
  restart(): Promise<void>;
  stop(): Promise<void>;
}

export interface S3ServerOptions {
  /** Where its objects lie, instead of a folder that is removed with it. */
  readonly folder?: string;
  /** Of its posix backend. */
  readonly args?: readonly string[];
  /** Serve `bucket.domain` beside `host/bucket`, with a certificate for the domain and these buckets. */
  readonly virtualHosts?: { readonly domain: string; readonly buckets: readonly string[] };
}

/** A real S3 server (versitygw over a folder), with TLS from an authority of its own, on a free port of loopback. */
export async function startS3Server(options: S3ServerOptions = {}): Promise<S3Server> {
  const program = await versitygw();
  const home = mkdtempSync(join(tmpdir(), 'sallyport-s3-'));
  // A test that is killed leaves no server behind.
  const guardian = new Guardian();
  guardian.removeFolder(home);
  const folder = options.folder ?? join(home, 'objects');
  mkdirSync(folder, { recursive: true });
  mkdirSync(join(home, 'versions'), { recursive: true });
  const authority = await CertificateAuthority.create('S3 test authority');
  const { domain, buckets = [] } = options.virtualHosts ?? {};
  const hosts = domain === undefined ? [] : [domain, ...buckets.map((bucket) => `${bucket}.${domain}`)];
  const { certPem, keyPem } = await authority.server('s3', ['127.0.0.1', 'localhost', ...hosts]);
  const caFile = join(home, 'ca.crt');
  writeFileSync(caFile, authority.certPem);
  writeFileSync(join(home, 'tls.crt'), certPem);
  writeFileSync(join(home, 'tls.key'), keyPem, { mode: 0o600 });
  const keys = { accessKeyID: 'recorder', secretAccessKey: randomBytes(20).toString('hex') };
  const port = await freePort();
  const endpoint = new URL(`https://127.0.0.1:${port}`);
  let child: ChildProcess | undefined;
  let output = '';

  const start = async (): Promise<void> => {
    child = spawn(
      program,
      [
        '--port',
        `127.0.0.1:${port}`,
        '--region',
        REGION,
        '--cert',
        join(home, 'tls.crt'),
        '--key',
        join(home, 'tls.key'),
        '--quiet',
        ...(domain === undefined ? [] : ['--virtual-domain', domain]),
        'posix',
        '--versioning-dir',
        join(home, 'versions'),
        ...(options.args ?? []),
        folder,
      ],
      {
        env: { PATH: process.env['PATH'], ROOT_ACCESS_KEY: keys.accessKeyID, ROOT_SECRET_KEY: keys.secretAccessKey },
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    );
    if (child.pid !== undefined) guardian.watchProcess(recordOf('versitygw', child.pid));
    for (const stream of [child.stdout!, child.stderr!]) stream.on('data', (text: Buffer) => (output += String(text)));
    const probe = client('probe', { attempts: 1, timeout: 1_000 });
    for (let tries = 0; ; tries++) {
      if (child.exitCode !== null) throw new Error(`the S3 server ended: ${output}`);
      try {
        await probe.send({ operation: 'HeadBucket', method: 'HEAD', key: '', expect: [200, 404, 403] });
        break;
      } catch (error) {
        if (tries > 200) throw error;
        await delay(50);
      }
    }
    await probe.close();
  };
  const client = (bucket: string, more: Partial<S3ClientOptions> = {}): S3Client =>
    new S3Client({
      endpoint,
      region: REGION,
      bucket,
      pathStyle: true,
      ca: authority.certPem,
      credentials: new CurrentCredentials({
        description: 'the test’s keys',
        load: async () => ({ ...keys, sessionToken: undefined, expiresAt: Number.POSITIVE_INFINITY }),
      }),
      connectTimeout: 2_000,
      timeout: 10_000,
      attempts: 4,
      connections: 8,
      onAttempt: () => {},
      ...more,
    });
  const kill = async (): Promise<void> => {
    const running = child;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const gone = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    await gone;
  };
  await start();
  return {
    endpoint,
    ca: authority.certPem,
    caFile,
    keys,
    folder,
    client,
    storage: (bucket, more = {}, clientOptions = {}) =>
      new S3Storage({ client: client(bucket, clientOptions), prefix: '', locator: `s3://${bucket}`, ...more }),
    async makeBucket(name, objectLock) {
      const one = client(name);
      await one.send({
        operation: 'CreateBucket',
        method: 'PUT',
        key: '',
        headers: objectLock ? { 'x-amz-bucket-object-lock-enabled': 'true' } : {},
        expect: [200],
      });
      await one.close();
    },
    kill,
    restart: start,
    async stop() {
      await kill();
      guardian.dismiss();
      rmSync(home, { recursive: true, force: true });
    },
  };
}
