import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Cluster } from '../cluster/cluster.ts';
import { readState } from '../cluster/cluster-state.ts';
import { endProcess } from '../cluster/process-record.ts';

/** Ends and restarts the kube-apiserver of a cluster that the test itself has started; etcd goes on. */
export class ApiServerProcess {
  readonly #cluster: Cluster;
  readonly #command: string[];
  #child: ChildProcess | undefined;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
    const record = this.#record();
    this.#command = readFileSync(`/proc/${record.pid}/cmdline`, 'utf8').split('\0').slice(0, -1);
  }

  async kill(): Promise<void> {
    if (this.#child === undefined) return await endProcess(this.#record(), 'SIGKILL');
    const ended = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await ended;
    this.#child = undefined;
  }

  /** On the same port; resolves when it is ready. */
  async start(): Promise<void> {
    const [program, ...args] = this.#command;
    this.#child = spawn(program!, args, { stdio: 'ignore' });
    for (let attempt = 0; attempt < 600; attempt++) {
      const ready = await this.#cluster.kubectl(['get', '--raw', '/readyz'], { timeout: 5_000 });
      if (ready.code === 0) return;
      await sleep(100);
    }
    throw new Error('kube-apiserver did not become ready again');
  }

  get etcdSocket(): string {
    return join(this.#cluster.directory, 'etcd.sock');
  }

  #record() {
    const record = readState(this.#cluster.directory)?.processes.find(({ name }) => name === 'kube-apiserver');
    if (record === undefined) throw new Error('no kube-apiserver in this cluster');
    return record;
  }
}
