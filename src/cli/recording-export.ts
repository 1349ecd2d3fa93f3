import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { asciicast } from '../recording/reading/asciicast.ts';
import { harmlessJSON } from '../recording/reading/escaping.ts';
import { kubernetesAuditEvent } from '../recording/reading/kubernetes-audit.ts';
import { ocsfEvent } from '../recording/reading/ocsf.ts';
import { WholeEndings } from '../recording/reading/whole-ending.ts';
import type { NumberedLine } from '../recording/stored-recording.ts';
import { linesOf } from '../recording/timeline-lines.ts';
import { VERSION } from '../version.ts';
import { type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';
import { plain } from './recording-replay.ts';
import { requireRecording, STORE_OPTIONS, STORE_USAGE, withStore } from './recording-store.ts';

const USAGE = `sallyport recording export NAME --format asciicast|asciicast-v3|audit|ocsf [--request ID] [--file FILE] [--input] [--raw]

asciicast      for every asciinema since 2 (asciicast v2); terminal sequences through a list of harmless ones unless --raw
asciicast-v3   for asciinema since 3
audit          Events of audit.k8s.io/v1, one a line
ocsf           OCSF API Activity (class 6003), one a line

--request takes one request alone; --input keeps keystrokes too, in an asciicast; --file writes there, not to standard output.
${STORE_USAGE}`;

const FORMATS = ['asciicast', 'asciicast-v3', 'audit', 'ocsf'] as const;

/** `sallyport recording export`. */
export async function runExport(args: readonly string[], io: CommandIO): Promise<number> {
  return await runCommand({ name: 'recording export', usage: USAGE }, args, io, async () => {
    const options = {
      ...STORE_OPTIONS,
      format: { type: 'string' },
      request: { type: 'string' },
      file: { type: 'string' },
      input: { type: 'boolean' },
      raw: { type: 'boolean' },
    } as const;
    const { values, positionals } = readArguments(args, options, 1);
    const [name] = positionals;
    if (name === undefined) throw usageError('which recording? "sallyport recording list" names them');
    const format = FORMATS.find((each) => each === values.format);
    if (format === undefined) throw usageError(`--format is one of ${FORMATS.join(', ')}`);
    await withStore(values, io, async (storage) => {
      await requireRecording(storage, name);
      const { request, raw = false, input = false } = values;
      const lines = linesOf(storage, name);
      const exported =
        format === 'audit' || format === 'ocsf'
          ? events(lines, format, request)
          : asciicast(name, plain(lines), { version: format === 'asciicast' ? 2 : 3, request, raw, input });
      await write(exported, values.file, io);
    });
  });
}

async function* events(
  lines: AsyncIterable<NumberedLine>,
  format: 'audit' | 'ocsf',
  request: string | undefined,
): AsyncGenerator<string> {
  const endings = new WholeEndings();
  for await (const { line } of lines) {
    if (line.kind !== 'Event' || (request !== undefined && line.auditID !== request)) continue;
    const event = endings.of(line);
    yield harmlessJSON(format === 'audit' ? kubernetesAuditEvent(event) : ocsfEvent(event, { version: VERSION }));
  }
}

async function write(lines: AsyncIterable<string>, file: string | undefined, io: CommandIO): Promise<void> {
  if (file === undefined) {
    for await (const line of lines) io.stdout(`${line}\n`);
    return;
  }
  // What was recorded is nobody else's to read.
  const out = createWriteStream(file, { mode: 0o600 });
  const failed = once(out, 'error').then(([error]) => {
    throw error as Error;
  });
  failed.catch(() => {});
  for await (const line of lines) {
    if (!out.write(`${line}\n`)) await Promise.race([once(out, 'drain'), failed]);
  }
  out.end();
  await Promise.race([once(out, 'finish'), failed]);
}
