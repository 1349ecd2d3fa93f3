import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parse } from 'yaml';
import { escapeLine } from '../errors.ts';
import { RawRequests } from '../kubernetes/raw-requests.ts';
import { FAMILIES } from '../masking/detector.ts';
import { Placeholders } from '../masking/marker.ts';
import { planOf } from '../masking/rule-plan.ts';
import { decodeData } from '../recording/line.ts';
import { compareAnswers } from '../recording/rerun/comparison.ts';
import { resolveIdentities } from '../recording/rerun/identities.ts';
import type { Known } from '../recording/rerun/known.ts';
import { type Step, stepsOf, type Values } from '../recording/rerun/step.ts';
import { linesOf } from '../recording/timeline-lines.ts';
import { CommandError, type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';
import { maskJson, maskPlainText } from './mask-tree.ts';
import { plain } from './recording-replay.ts';
import { requireRecording, STORE_OPTIONS, STORE_USAGE, withStore } from './recording-store.ts';

const USAGE = `sallyport recording rerun NAME --kubeconfig FILE [--context C] [--request ID] [--values FILE] [--apply] [--yes]

Sends the recorded requests again, to another cluster, with your own rights there, and says how each answer differs from the
recorded one. Writes are dry runs; with --apply they are real, and each is asked about first (--yes: none is). Uids and
resourceVersions are looked up there. A placeholder of masking is never sent: --values names a YAML or JSON file of
placeholder: value, and a request with one that has no value is skipped and named. Streams (exec, watch, logs -f, port-forward)
and what was refused then are not sent. Nothing but --kubeconfig says where requests go.
${STORE_USAGE}`;

const TABLE = 'application/json;as=Table;v=v1;g=meta.k8s.io,application/json';

/** `sallyport recording rerun`. */
export async function runRerun(args: readonly string[], io: CommandIO): Promise<number> {
  return await runCommand({ name: 'recording rerun', usage: USAGE }, args, io, async () => {
    const options = {
      ...STORE_OPTIONS,
      kubeconfig: { type: 'string' },
      context: { type: 'string' },
      request: { type: 'string' },
      values: { type: 'string' },
      apply: { type: 'boolean' },
      yes: { type: 'boolean' },
    } as const;
    const { values, positionals } = readArguments(args, options, 1);
    const [name] = positionals;
    if (name === undefined) throw usageError('which recording? "sallyport recording list" names them');
    // Never the default kubeconfig: it may well be the cluster that was recorded.
    if (values.kubeconfig === undefined) throw usageError('where to? --kubeconfig names the other cluster');
    const apply = values.apply === true;
    if (apply && values.yes !== true && io.terminal === undefined) {
      throw usageError(
        '--apply asks before each write, and there is no terminal to ask at: give --yes, or leave --apply out',
      );
    }
    const cluster = new Rerun(client(values.kubeconfig, values.context), io, { apply, yes: values.yes === true });
    const substitutes = values.values === undefined ? {} : readValues(values.values);
    io.stdout(`to ${escapeLine(cluster.server)}, ${apply ? 'for real' : 'writes as dry runs'}\n`);
    await withStore(values, io, async (storage) => {
      await requireRecording(storage, name);
      for await (const step of stepsOf(plain(linesOf(storage, name)), substitutes, values.request)) {
        if ('skipped' in step) cluster.skip(step.command, step.skipped);
        else await cluster.run(step);
      }
    });
    cluster.sum();
  });
}

class Rerun {
  readonly #client: RawRequests;
  readonly #io: CommandIO;
  readonly #apply: boolean;
  #yes: boolean;
  /** What the other cluster answers is masked too: a difference must not show what the recording would not have. */
  readonly #plan = planOf([], new Placeholders(randomBytes(32)), FAMILIES, () => {})!;
  readonly #kinds = new Map<string, Promise<Map<string, { plural: string; namespaced: boolean }>>>();
  readonly #counts = { same: 0, different: 0, skipped: 0, unsent: 0 };

  constructor(connection: RawRequests, io: CommandIO, { apply, yes }: { apply: boolean; yes: boolean }) {
    this.#client = connection;
    this.#io = io;
    this.#apply = apply;
    this.#yes = yes;
  }

  get server(): string {
    return this.#client.server;
  }

  skip(command: string, why: string): void {
    this.#counts.skipped += 1;
    this.#say('skipped', command, why);
  }

  async run(step: Step): Promise<void> {
    const resolved = await resolveIdentities(
      step,
      (path) => this.#lookUp(path),
      (apiVersion, kind) => this.#mapping(apiVersion, kind),
    );
    if ('skipped' in resolved) return this.skip(step.command, resolved.skipped);
    const dryRun = step.writes && (!this.#apply || /[?&]dryRun=/.test(step.target));
    if (step.writes && !dryRun && !(await this.#mayWrite(step))) return this.skip(step.command, 'you said no');
    const target = step.writes && !this.#apply ? asDryRun(step.target) : step.target;
    let answer: Awaited<ReturnType<RawRequests['send']>>;
    try {
      answer = await this.#client.send(step.method, target, headersOf(step), resolved.body);
    } catch (error) {
      this.#counts.unsent += 1;
      return this.#say('no answer', step.command, (error as Error).message);
    }
    const body = /json/.test(answer.contentType)
      ? maskJson(this.#plan, answer.body)
      : maskPlainText(this.#plan, answer.body, 'answer');
    const { same, status, diff, note } = compareAnswers(step.recorded, { status: answer.status, body }, dryRun);
    this.#counts[same ? 'same' : 'different'] += 1;
    this.#say(
      same ? 'same' : 'differs',
      step.command,
      `${status}${dryRun ? ' (dry run)' : ''}${note === undefined ? '' : `, ${note}`}`,
    );
    if (diff !== undefined)
      this.#io.stdout(
        `${diff
          .trimEnd()
          .split('\n')
          .map((line) => `    ${line}`)
          .join('\n')}\n`,
      );
  }

  sum(): void {
    const { same, different, skipped, unsent } = this.#counts;
    this.#io.stdout(
      `${same} the same, ${different} different, ${skipped} skipped${unsent === 0 ? '' : `, ${unsent} without an answer`}\n`,
    );
    if (unsent > 0) throw new CommandError(`${unsent} requests got no answer`);
  }

  async #mayWrite(step: Step): Promise<boolean> {
    if (this.#yes) return true;
    const answer = await this.#io.terminal!.ask(
      `${escapeLine(step.command)}\n  send it to ${escapeLine(this.server)}? [y/N/all] `,
    );
    if (answer.trim().toLowerCase() === 'all') this.#yes = true;
    return this.#yes || /^y(es)?$/i.test(answer.trim());
  }

  async #lookUp(path: string): Promise<Known | undefined> {
    const { status, body } = await this.#client.send('GET', path, { accept: 'application/json' }, undefined);
    if (status !== 200) return undefined;
    const { metadata } = JSON.parse(body.toString('utf8')) as { metadata?: Partial<Known> };
    const { uid, resourceVersion } = metadata ?? {};
    return typeof uid === 'string' && typeof resourceVersion === 'string' ? { uid, resourceVersion } : undefined;
  }

  async #mapping(apiVersion: string, kind: string) {
    let served = this.#kinds.get(apiVersion);
    if (served === undefined) this.#kinds.set(apiVersion, (served = this.#discover(apiVersion)));
    return (await served).get(kind);
  }

  async #discover(apiVersion: string): Promise<Map<string, { plural: string; namespaced: boolean }>> {
    const path = apiVersion.includes('/') ? `/apis/${apiVersion}` : `/api/${apiVersion}`;
    const { status, body } = await this.#client.send('GET', path, { accept: 'application/json' }, undefined);
    const found = new Map<string, { plural: string; namespaced: boolean }>();
    if (status !== 200) return found;
    const { resources = [] } = JSON.parse(body.toString('utf8')) as {
      resources?: { name: string; kind: string; namespaced: boolean }[];
    };
    for (const { name, kind, namespaced } of resources)
      if (!name.includes('/')) found.set(kind, { plural: name, namespaced });
    return found;
  }

  #say(what: string, command: string, detail: string): void {
    this.#io.stdout(`${what.padEnd(10)}${escapeLine(command)}\n    ${escapeLine(detail)}\n`);
  }
}

function client(kubeconfig: string, context: string | undefined): RawRequests {
  try {
    return new RawRequests({ kubeconfig, context });
  } catch (error) {
    throw new CommandError(`--kubeconfig: ${(error as Error).message}`, 2);
  }
}

function asDryRun(target: string): string {
  if (/[?&]dryRun=/.test(target)) return target;
  return `${target}${target.includes('?') ? '&' : '?'}dryRun=All`;
}

/** Asked in the form in which it was answered: a Table where it was one. */
function headersOf(step: Step): Record<string, string> {
  const { body } = step.recorded;
  const table = body?.data !== undefined && /^\s*\{"kind":"Table"/.test(decodeData(body).toString('utf8', 0, 64));
  return {
    accept: table ? TABLE : 'application/json',
    'user-agent': 'sallyport-rerun',
    ...(step.contentType === undefined || step.body === undefined ? {} : { 'content-type': step.contentType }),
  };
}

/** @throws CommandError; never with a value in it */
function readValues(file: string): Values {
  let value: unknown;
  try {
    value = parse(readFileSync(file, 'utf8'));
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    throw new CommandError(`--values: ${file} ${code === undefined ? 'is no YAML' : `cannot be read (${code})`}`, 2);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new CommandError(`--values: ${file} is no map of placeholder: value`, 2);
  }
  for (const [placeholder, given] of Object.entries(value)) {
    if (!placeholder.startsWith('sallyport.masked.'))
      throw new CommandError(`--values: ${escapeLine(placeholder.slice(0, 60))} is no placeholder`, 2);
    if (typeof given !== 'string') throw new CommandError(`--values: the value of ${placeholder} is no text`, 2);
  }
  return value as Values;
}
