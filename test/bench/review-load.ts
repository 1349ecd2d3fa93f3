import { fork } from 'node:child_process';
import { existsSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { CertificateAuthority } from '../cluster/certificates.ts';
import type { RunningProxy } from './running-proxy.ts';

const TASKSET = '/usr/bin/taskset';

export interface ReviewLoad {
  /** `large`: one after the other, 20 ms apart, text and trees of as many bytes. */
  readonly task: 'saturate' | 'paced' | 'large';
  readonly url: string;
  readonly caPem: string;
  readonly protocol: 'HTTP/1.1' | 'HTTP/2';
  readonly isBare: boolean;
  readonly namespace: string;
  readonly group: string;
  /** Of the object in each review. */
  readonly bytes: number;
  readonly parallel: number;
  /** Reviews per second, of the paced ones. */
  readonly rate: number;
  readonly seconds: number;
  /** Seconds of the same before anything counts: connections are there, and both sides are compiled. */
  readonly warmSeconds: number;
}

export interface ReviewResult {
  readonly perSecond?: number;
  /** Milliseconds from the moment that each review was due. */
  readonly latencies?: Float64Array;
  /** Milliseconds that the load itself was late to send each of them: they are in the latencies too. */
  readonly late?: Float64Array;
  readonly error?: string;
}

/** One run of a load, in a process of its own, on one core: the server under measurement has the others. */
export async function reviewLoad(load: ReviewLoad): Promise<ReviewResult> {
  const child = fork(new URL('review-load-process.ts', import.meta.url), { serialization: 'advanced', ...lastCore() });
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

function lastCore(): { execPath: string; execArgv: string[] } | undefined {
  const cores = availableParallelism();
  if (cores < 2 || !existsSync(TASKSET)) return undefined;
  return { execPath: TASKSET, execArgv: ['-c', String(cores - 1), process.execPath] };
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
