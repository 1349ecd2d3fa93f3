import { spawn } from 'node:child_process';

/** What a command printed, and how it ended. */
export interface Shown {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

const colours = process.stdout.isTTY === true && process.env['NO_COLOR'] === undefined;
const paint = (code: string, text: string): string => (colours ? `\u001b[${code}m${text}\u001b[0m` : text);

export const bold = (text: string): string => paint('1', text);
export const dim = (text: string): string => paint('2', text);
const green = (text: string): string => paint('32', text);
const red = (text: string): string => paint('31', text);
const cyan = (text: string): string => paint('36', text);

/** Tells a story on a terminal: scenes, real commands, their real output. */
export class Stage {
  #scene = 0;

  title(text: string): void {
    process.stdout.write(`\n${bold(text)}\n`);
  }

  scene(text: string): void {
    this.#scene += 1;
    process.stdout.write(`\n${bold(`${this.#scene}. ${text}`)}\n`);
  }

  say(text: string): void {
    process.stdout.write(`${dim(`   ${text}`)}\n`);
  }

  /** Says what takes a while, and how long it took. */
  async wait<T>(what: string, work: Promise<T>): Promise<T> {
    const started = performance.now();
    process.stdout.write(dim(`   ${what} … `));
    try {
      const result = await work;
      process.stdout.write(dim(`${((performance.now() - started) / 1_000).toFixed(1)} s\n`));
      return result;
    } catch (error) {
      process.stdout.write(`${red('failed')}\n`);
      throw error;
    }
  }

  /**
   * Runs a real command, shows it as its actor types it, and what it really printed.
   * @param expected what must become of it; anything else ends the story: a demonstration that cannot fail shows nothing
   */
  async run(actor: Actor, shown: string, args: readonly string[], expected: Expectation): Promise<Shown> {
    process.stdout.write(`\n   ${cyan(actor.prompt)} ${bold(shown)}\n`);
    const result = await execute(actor.program, args, actor.env);
    const text = `${result.stderr}${result.stdout}`.trimEnd();
    const colour = result.code === 0 ? green : red;
    // klog lines of kubectl itself say the same as its last line.
    const lines = text.split('\n').filter((line) => !/^[EWI]\d{4} /.test(line));
    for (const line of lines.slice(0, expected.lines ?? 12))
      process.stdout.write(`   ${colour('│')} ${/^\s*https?:/.test(line) ? `${line.slice(0, 90)}…` : line}\n`);
    if ((result.code === 0) !== expected.succeeds || (expected.says !== undefined && !expected.says.test(text))) {
      throw new Error(
        `"${shown}" should ${expected.succeeds ? 'succeed' : 'be refused'}${expected.says === undefined ? '' : ` and say ${expected.says}`}`,
      );
    }
    return result;
  }
}

export interface Actor {
  /** As shown, `agent $`. */
  readonly prompt: string;
  readonly program: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface Expectation {
  readonly succeeds: boolean;
  readonly says?: RegExp;
  /** Lines that are shown; 12 when left out. */
  readonly lines?: number;
}

export function execute(
  program: string,
  args: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<Shown> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code: code ?? 1, stdout, stderr }));
  });
}
