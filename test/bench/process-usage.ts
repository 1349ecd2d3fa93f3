import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** USER_HZ: what /proc counts CPU time in; 100 on every Linux that Node runs on. */
const TICK_MS = 10;

/** CPU time and memory of running processes, from /proc: Linux only. */
export class ProcessUsage {
  readonly #root: number;

  /** @param pid of a process; its children are counted with it (nginx's workers). */
  constructor(pid: number) {
    this.#root = pid;
  }

  /** Milliseconds of user and system time, all threads and children, those that ended and were waited for among them. */
  cpu(): number {
    let ticks = 0;
    for (const pid of this.#family()) {
      const fields = stat(pid);
      // utime, stime, cutime, cstime: fields 14 to 17 of proc(5).
      if (fields !== undefined) for (const index of [11, 12, 13, 14]) ticks += Number(fields[index]);
    }
    return ticks * TICK_MS;
  }

  /** Resident bytes. */
  resident(): number {
    return this.#sum('VmRSS');
  }

  /** Peak of the resident bytes since `resetPeak`. */
  peak(): number {
    return this.#sum('VmHWM');
  }

  resetPeak(): void {
    for (const pid of this.#family()) writeFileSync(`/proc/${pid}/clear_refs`, '5');
  }

  #sum(field: string): number {
    let bytes = 0;
    for (const pid of this.#family()) {
      const status = read(`/proc/${pid}/status`);
      bytes += Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status ?? '')?.[1] ?? 0) * 1_024;
    }
    return bytes;
  }

  #family(): number[] {
    const children = new Map<number, number[]>();
    for (const name of readdirSync('/proc')) {
      if (!/^\d+$/.test(name)) continue;
      const parent = Number(stat(Number(name))?.[1]);
      const siblings = children.get(parent);
      if (siblings === undefined) children.set(parent, [Number(name)]);
      else siblings.push(Number(name));
    }
    const family = [this.#root];
    for (const pid of family) family.push(...(children.get(pid) ?? []));
    return family;
  }
}

/** The fields of /proc/PID/stat from the third on: the second, the program's name, may hold spaces and brackets. */
function stat(pid: number): string[] | undefined {
  const text = read(`/proc/${pid}/stat`);
  return text?.slice(text.lastIndexOf(')') + 2).split(' ');
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
