import { fork } from 'node:child_process';
import { CertificateAuthority } from '../cluster/certificates.ts';
import type { RunningProxy } from './running-proxy.ts';

/** What a connection costs in node before anything is done with it. */
export async function startBareServer(): Promise<RunningProxy> {
  const authority = await CertificateAuthority.create('bench');
  const { certPem, keyPem } = await authority.server('bare', ['127.0.0.1', 'localhost']);
  const child = fork(new URL('bare-process.ts', import.meta.url));
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (message) => resolve(message as number));
    child.once('exit', (code) => reject(new Error(`the bare server ended with ${code}`)));
    child.send({ cert: certPem, key: keyPem });
  });
  return {
    endpoint: { name: 'bare node', url: `https://127.0.0.1:${port}`, caPem: authority.certPem, headers: [] },
    pid: child.pid!,
    answersItself: true,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    },
  };
}
