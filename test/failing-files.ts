interface TestEvent {
  readonly type: string;
  readonly data: { readonly file?: string };
}

/** A reporter of node:test: the files in which something failed, a line each. */
export default async function* failingFiles(source: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  const told = new Set<string>();
  for await (const { type, data } of source) {
    if (type !== 'test:fail' || data.file === undefined || told.has(data.file)) continue;
    told.add(data.file);
    yield `${data.file}\n`;
  }
}
