import { readdirSync, readFileSync, writeFileSync } from 'node:fs';

/** CPU time and memory of running processes, from /proc: Linux only. */
export class ProcessUsage {
  readonly #root: number;

  /** @param pid of a process; its children are counted with it (nginx's workers). */
  constructor(pid: number) {
    this.#root = pid;
  }

  /** Milliseconds of user and system time, all threads and children. A child that has ended is not counted any more. */
  cpu(): number {
    let nanoseconds = 0;
    for (const pid of this.#family()) {
      for (const thread of entries(`/proc/${pid}/task`)) {
        // To the nanosecond, where utime and stime of proc(5) count in hundredths of a second.
        const schedule = read(`/proc/${pid}/task/${thread}/schedstat`);
        nanoseconds += Number(schedule?.split(' ', 1)[0] ?? 0);
      }
    }
    return nanoseconds / 1e6;
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
    for (const name of entries('/proc')) {
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

function entries(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
