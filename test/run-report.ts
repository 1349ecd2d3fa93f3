import { relative } from 'node:path';

interface TestEvent {
  readonly type: string;
  readonly data: { readonly file?: string; readonly name: string; readonly skip?: string | boolean };
}

/** What the end of a run has to know, a line of JSON each: a file in which something failed, or words for tests that skipped themselves. */
export type RunReport = { readonly failed: string } | { readonly skipped: string };

/** A reporter of node:test. One for both, since each reporter beyond two makes Node.js warn of its own listeners. */
export default async function* runReport(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const failed = new Set<string>();
  const skipped = new Map<string, string[]>();
  for await (const { type, data } of source) {
    const { name, skip } = data;
    const file = data.file === undefined ? undefined : relative(process.cwd(), data.file);
    if (type === 'test:fail' && file !== undefined) failed.add(file);
    // What failed after it skipped is told as failed.
    if (type !== 'test:pass' || skip === undefined || skip === false) continue;
    const reason = typeof skip === 'string' && skip !== '' ? skip.replaceAll(/\s+/g, ' ') : 'it does not say why';
    const key = JSON.stringify([file, reason]);
    const known = skipped.get(key);
    if (known === undefined) skipped.set(key, [name]);
    else known.push(name);
  }
  for (const file of failed) yield line({ failed: file });
  for (const [key, names] of skipped) {
    const [file, reason] = JSON.parse(key) as [string | null, string];
    const which = names.map((name) => `“${name}”`).join(', ');
    yield line({ skipped: `${names.length} of ${file ?? 'the tests'} (${which}): ${reason}` });
  }
}

function line(report: RunReport): string {
  return `${JSON.stringify(report)}\n`;
}
