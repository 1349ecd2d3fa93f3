import { type ChildProcess, fork } from 'node:child_process';
import type { LoadRequest, LoadResponse, LoadTasks } from './load-task.ts';

/** The process that plays the clients, as seen from the one that measures. */
export class LoadClient {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, { resolve(result: unknown): void; reject(error: Error): void }>();
  #last = 0;

  constructor() {
    this.#child = fork(new URL('load-process.ts', import.meta.url), { serialization: 'advanced' });
    this.#child.on('message', ({ id, result, error }: LoadResponse) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(error));
    });
    this.#child.on('exit', () => {
      for (const { reject } of this.#waiting.values()) reject(new Error('the load process ended'));
      this.#waiting.clear();
    });
  }

  /** Has the load process do one thing; rejects with its words when that fails. */
  async do<Name extends keyof LoadTasks>(
    task: Name,
    ...input: Parameters<LoadTasks[Name]>
  ): Promise<ReturnType<LoadTasks[Name]>> {
    const id = ++this.#last;
    const request: LoadRequest = { id, task, input };
    return await new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve: resolve as (result: unknown) => void, reject });
      this.#child.send(request);
    });
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = new Promise((resolve) => this.#child.once('exit', resolve));
    this.#child.kill('SIGKILL');
    await ended;
  }
}
