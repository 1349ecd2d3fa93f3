import { type ChildProcess, spawn } from 'node:child_process';
import type { ProcessRecord } from './process-record.ts';

/**
 * A small shell that outlives its parent by moments only: when the parent is gone, however it went (SIGKILL too), the
 * pipe between them closes, and the shell ends what it was told of and removes it. A process is ended only if it still
 * is the one that was started (same start time), so that a reused pid is left alone.
 */
export class Guardian {
  readonly #shell: ChildProcess;

  constructor() {
    // A session of its own: Ctrl-C at the terminal must not end it before it has done its work.
    this.#shell = spawn('/bin/sh', ['-c', SCRIPT], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
    this.#shell.unref();
    const pipe = this.#shell.stdin as unknown as {
      unref?: () => void;
      on: (event: string, listener: () => void) => void;
    };
    pipe.unref?.();
    // The guardian being gone is noticed nowhere else, and must not end the parent.
    pipe.on('error', () => undefined);
  }

  watchProcess(record: ProcessRecord): void {
    this.#tell(`end ${record.pid} ${record.startTime}`);
  }

  removeFolder(path: string): void {
    this.#tell(`remove ${path}`);
  }

  /** Cgroup folders hold files that cannot be deleted; only the folders can, from the leaves up. */
  removeCgroup(path: string): void {
    this.#tell(`cgroup ${path}`);
  }

  /** Everything was stopped in order: there is nothing left to guard. */
  dismiss(): void {
    this.#shell.kill('SIGKILL');
  }

  #tell(line: string): void {
    if (line.includes('\n')) throw new Error('a path with a line break cannot be guarded');
    this.#shell.stdin?.write(`${line}\n`);
  }
}

const SCRIPT = `
list=
while IFS= read -r line; do list="$list$line
"; done
same() {
  if [ -r /proc/self/stat ]; then
    [ -r "/proc/$1/stat" ] && [ "$(sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f20)" = "$2" ]
  else
    kill -0 "$1"
  fi
}
printf %s "$list" | while read -r what first second; do
  [ "$what" = end ] && same "$first" "$second" && kill -KILL "$first"
done
sleep 0.3
printf %s "$list" | while IFS= read -r line; do
  case "$line" in
    "cgroup "*) for try in 1 2 3 4 5; do find "\${line#cgroup }" -depth -type d -exec rmdir {} \\; ; [ -d "\${line#cgroup }" ] || break; sleep 0.5; done ;;
    "remove "*) rm -rf "\${line#remove }" ;;
  esac
done
`;
