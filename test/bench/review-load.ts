import { fork } from 'node:child_process';
import { CertificateAuthority } from '../cluster/certificates.ts';
import type { RunningProxy } from './running-proxy.ts';

export interface ReviewLoad {
  readonly task: 'saturate' | 'paced' | 'besideLarge';
  readonly url: string;
  readonly caPem: string;
  readonly protocol: 'HTTP/1.1' | 'HTTP/2';
  readonly isBare: boolean;
  readonly namespace: string;
  readonly group: string;
  /** Of the object in each review. */
  readonly bytes: number;
  readonly largeBytes: number;
  readonly parallel: number;
  /** Reviews per second, of the paced ones. */
  readonly rate: number;
  readonly seconds: number;
}

export interface ReviewResult {
  readonly perSecond?: number;
  readonly latencies?: Float64Array;
  readonly error?: string;
}

/** One run of a load, in a process of its own. */
export async function reviewLoad(load: ReviewLoad): Promise<ReviewResult> {
  const child = fork(new URL('review-load-process.ts', import.meta.url), { serialization: 'advanced' });
  const ended = new Promise((resolve) => child.once('exit', resolve));
  const result = await new Promise<ReviewResult>((resolve, reject) => {
    child.once('message', (message) => resolve(message as ReviewResult));
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`the load ended with ${code}`)));
    child.send(load);
  });
  await ended;
  if (result.error !== undefined) throw new Error(result.error);
  return result;
}

/** A server of node alone: it reads what is posted and answers as shortly as the webhook does. */
export async function startBareReviewer(protocol: 'HTTP/1.1' | 'HTTP/2'): Promise<RunningProxy> {
  const authority = await CertificateAuthority.create('bench');
  const { certPem, keyPem } = await authority.server('bare', ['127.0.0.1']);
  const child = fork(new URL('bare-review-process.ts', import.meta.url));
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (message) => resolve(message as number));
    child.once('exit', (code) => reject(new Error(`the bare server ended with ${code}`)));
    child.send({ cert: certPem, key: keyPem, protocol });
  });
  return {
    endpoint: {
      name: `bare ${protocol}`,
      url: `https://127.0.0.1:${port}/admit`,
      caPem: authority.certPem,
      headers: [],
    },
    pid: child.pid!,
    answersItself: true,
    async stop() {
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    },
  };
}
