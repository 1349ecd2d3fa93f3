import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { Cluster } from '../cluster/cluster.ts';
import type { RunningProxy } from './running-proxy.ts';

/** `kubectl proxy`: plain HTTP/1.1 on loopback towards its client, no identity, no policy. */
export async function startKubectlProxy(cluster: Cluster, kubeconfig: string): Promise<RunningProxy> {
  const args = ['proxy', '--port=0', '--address=127.0.0.1', '--kubeconfig', kubeconfig];
  const child = spawn(cluster.binaries.kubectl!, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const port = await new Promise<string>((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => {
      const found = /127\.0\.0\.1:(\d+)/.exec(line);
      if (found !== null) resolve(found[1]!);
    });
    child.once('exit', (code) => reject(new Error(`kubectl proxy ended with ${code}: ${said}`)));
    child.once('error', reject);
  });
  return {
    endpoint: { name: 'kubectl proxy', url: `http://127.0.0.1:${port}`, caPem: undefined, headers: [] },
    pid: child.pid!,
    async stop() {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const ended = new Promise((resolve) => child.once('exit', resolve));
      child.kill('SIGKILL');
      await ended;
    },
  };
}
