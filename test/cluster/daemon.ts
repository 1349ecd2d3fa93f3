import { type ChildProcess, spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename } from 'node:path';
import type { Guardian } from './guardian.ts';
import { endProcess, type ProcessRecord, recordOf } from './process-record.ts';

export interface DaemonOptions {
  name?: string;
  logFile: string;
  /** Ends the process when this one dies, unless it is dismissed before. */
  guardian: Guardian;
  env?: NodeJS.ProcessEnv;
}

/** One long-running program of a cluster, writing to its log file. */
export class Daemon {
  readonly record: ProcessRecord;
  readonly logFile: string;
  #ended: string | undefined;

  constructor(program: string, args: string[], options: DaemonOptions) {
    const log = openSync(options.logFile, 'a', 0o600);
    const child: ChildProcess = spawn(program, args, {
      detached: true,
      stdio: ['ignore', log, log],
      env: options.env ?? process.env,
    });
    closeSync(log);
    this.logFile = options.logFile;
    const name = options.name ?? basename(program);
    child.on('error', (error) => {
      this.#ended = error.message;
    });
    child.on('exit', (code, signal) => {
      this.#ended = `ended with ${signal ?? `exit code ${code}`}`;
    });
    child.unref();
    this.record = child.pid === undefined ? { name, pid: -1, startTime: 'never' } : recordOf(name, child.pid);
    if (child.pid !== undefined) options.guardian.watchProcess(this.record);
  }

  /** Throws, with the last lines of the log, if the program has ended by itself. */
  async mustRun(): Promise<void> {
    if (this.#ended === undefined) return;
    throw new Error(`${this.record.name} ${this.#ended}:\n${await lastLines(this.logFile, 12)}`);
  }

  async stop(signal: 'SIGTERM' | 'SIGKILL' = 'SIGKILL'): Promise<void> {
    if (this.record.pid > 0) await endProcess(this.record, signal);
  }
}

export async function lastLines(path: string, count: number): Promise<string> {
  const file = await open(path, 'r');
  try {
    const { size } = await file.stat();
    const from = Math.max(0, size - 16_384);
    const { buffer, bytesRead } = await file.read(Buffer.alloc(size - from), 0, size - from, from);
    return buffer.subarray(0, bytesRead).toString('utf8').trimEnd().split('\n').slice(-count).join('\n');
  } finally {
    await file.close();
  }
}
