import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { parseAllDocuments } from 'yaml';
import { FAMILIES } from '../masking/detector.ts';
import { Placeholders } from '../masking/marker.ts';
import type { Masked, MaskPlan } from '../masking/mask-plan.ts';
import { type CompiledMaskingRule, compileMaskingRule, type MaskingRule } from '../masking/masking-rule.ts';
import { BrokenMaskingRule, planOf } from '../masking/rule-plan.ts';
import { CommandError, type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';
import { maskFile, maskTree } from './mask-tree.ts';

const USAGE = `sallyport mask FILE | - [--rules FILE] [--explain]
sallyport mask --tree IN OUT [--rules FILE] [--explain]

Masks with the gateway's own engines, to try rules out: an answer of the API server (.json), watch events or stream frames
(.jsonl), else text. From standard input what begins with { is an answer. All families of detectors are on. --rules reads
MaskingRules (YAML) and applies all of them, whomever they name. --explain tells on standard error what was masked: how often,
by which rule, as which kind, at which path; never the value. --tree masks every file under IN into OUT.

Placeholders are made under a key of this run: they differ from run to run, and from the gateway's.
`;

/** `sallyport mask`: the gateway's masking on files. */
export async function runMask(args: readonly string[], io: CommandIO): Promise<number> {
  return runCommand({ name: 'mask', usage: USAGE }, args, io, async () => {
    const options = { tree: { type: 'boolean' }, rules: { type: 'string' }, explain: { type: 'boolean' } } as const;
    const { values, positionals } = readArguments(args, options, 2);
    const [from, to] = positionals;
    const counts = new Map<string, number>();
    const plan = planFor(values.rules, (what) => {
      const key = `${what.rule}\t${what.kind}\t${what.path}`;
      counts.set(key, (counts.get(key) ?? 0) + 1);
    });
    if (values.tree === true) {
      if (from === undefined || to === undefined) throw usageError('from where to where? sallyport mask --tree IN OUT');
      if (from === to) throw usageError('IN and OUT are the same folder');
      const files = maskTree(plan, from, to);
      io.stdout(`${files} files\n`);
    } else {
      if (from === undefined || to !== undefined)
        throw usageError('which file? sallyport mask FILE, or - for standard input');
      const bytes = readFileSync(from === '-' ? 0 : from);
      const name =
        from !== '-'
          ? basename(from)
          : /^\s*\{/.test(bytes.toString('latin1', 0, 64))
            ? 'standard-input.json'
            : 'standard input';
      io.stdout(maskFile(plan, name, bytes).toString());
    }
    if (values.explain === true) for (const [what, count] of counts) io.stderr(`${count}\t${what}\n`);
  });
}

function planFor(rules: string | undefined, masked: (what: Masked) => void): MaskPlan {
  const compiled = rules === undefined ? [] : readRules(rules);
  try {
    const plan = planOf(compiled, new Placeholders(randomBytes(32)), FAMILIES, masked);
    if (plan === undefined) throw new CommandError('these rules exempt: nothing would be masked');
    return plan;
  } catch (error) {
    if (!(error instanceof BrokenMaskingRule)) throw error;
    const lines = error.errors.map(({ rule, at, column, message }) => {
      return `MaskingRule ${rule}, ${at}${column === undefined ? '' : ` (column ${column})`}: ${message}`;
    });
    throw new CommandError(lines.join('\n'));
  }
}

function readRules(file: string): CompiledMaskingRule[] {
  const documents = parseAllDocuments(readFileSync(file, 'utf8'));
  return documents.map((document) => {
    if (document.errors.length > 0) throw new CommandError(`${file}: ${document.errors[0]!.message}`);
    const rule = document.toJS() as (MaskingRule & { kind?: unknown }) | null;
    if (rule?.kind !== 'MaskingRule') throw new CommandError(`${file}: holds something that is no MaskingRule`);
    return compileMaskingRule(rule);
  });
}
