import { spawn } from 'node:child_process';

export interface CommandResult {
  /** The exit code; 128 + signal number when a signal (such as the time-out's) ended it. */
  code: number;
  stdout: string;
  stderr: string;
}

/** Runs a program without a shell; stdin is closed after `input`. */
export async function runCommand(
  program: string,
  args: string[],
  options: { env?: NodeJS.ProcessEnv; input?: string | undefined; timeout: number },
): Promise<CommandResult> {
  return await new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      env: options.env ?? process.env,
      timeout: options.timeout,
      killSignal: 'SIGKILL',
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on('data', (part: Buffer) => out.push(part));
    child.stderr.on('data', (part: Buffer) => err.push(part));
    child.on('error', reject);
    child.on('close', (code, signal) =>
      resolve({
        code: code ?? (signal === 'SIGKILL' ? 137 : 128),
        stdout: Buffer.concat(out).toString('utf8'),
        stderr: Buffer.concat(err).toString('utf8'),
      }),
    );
    // A program that does not read its input closes the pipe early; its exit code tells the rest.
    child.stdin.on('error', () => undefined);
    child.stdin.end(options.input ?? '');
  });
}
