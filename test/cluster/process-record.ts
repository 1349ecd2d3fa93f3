import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** One process, told apart from a later one that was given the same pid. */
export interface ProcessRecord {
  name: string;
  pid: number;
  startTime: string;
}

/** When the process started, in the kernel's own terms; undefined when no such process runs (a zombie does not). */
export function startTimeOf(pid: number): string | undefined {
  if (existsSync('/proc/self/stat')) {
    try {
      const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
      // The command's name is in parentheses and may hold anything, so count fields from the last one.
      const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
      return fields[0] === 'Z' || fields[0] === 'X' ? undefined : fields[19];
    } catch {
      return undefined;
    }
  }
  try {
    return execFileSync('ps', ['-o', 'lstart=', '-p', String(pid)], { encoding: 'utf8' }).trim() || undefined;
  } catch {
    return undefined;
  }
}

export function recordOf(name: string, pid: number): ProcessRecord {
  return { name, pid, startTime: startTimeOf(pid) ?? 'gone' };
}

export function isRunning(record: ProcessRecord): boolean {
  return startTimeOf(record.pid) === record.startTime;
}

/** Ends one process by its pid and waits until it is gone; does nothing when the pid belongs to another by now. */
export async function endProcess(record: ProcessRecord, signal: 'SIGTERM' | 'SIGKILL', graceMs = 5000): Promise<void> {
  if (!isRunning(record)) return;
  send(record.pid, signal);
  const killAt = Date.now() + graceMs;
  let killed = signal === 'SIGKILL';
  while (isRunning(record)) {
    if (!killed && Date.now() > killAt) {
      send(record.pid, 'SIGKILL');
      killed = true;
    }
    if (Date.now() > killAt + graceMs) throw new Error(`${record.name} (pid ${record.pid}) does not end`);
    await sleep(10);
  }
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch {
    // Gone between the look and the signal.
  }
}
