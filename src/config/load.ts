import { readFileSync } from 'node:fs';
import { LineCounter, parseDocument } from 'yaml';
import { type GatewayConfiguration, gateway } from './gateway.ts';

/** A configuration that cannot be used: one line for each mistake, each naming its place. */
export class ConfigurationError extends Error {
  readonly problems: readonly string[];

  constructor(file: string, problems: readonly string[]) {
    super(
      `${file}: ${problems.length === 1 ? problems[0] : `${problems.length} mistakes\n  ${problems.join('\n  ')}`}`,
    );
    this.name = 'ConfigurationError';
    this.problems = problems;
  }
}

/**
 * Reads the gateway's configuration file.
 * @throws ConfigurationError with every mistake, each with line and key.
 */
export function loadConfiguration(file: string): GatewayConfiguration {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    throw new ConfigurationError(file, [`cannot be read: ${(error as Error).message}`]);
  }
  return parseConfiguration(text, file);
}

/** @throws ConfigurationError */
export function parseConfiguration(text: string, file: string): GatewayConfiguration {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, version: '1.2' });
  if (document.errors.length > 0) {
    throw new ConfigurationError(
      file,
      document.errors.map((error) => `line ${lines.linePos(error.pos[0]).line}: ${error.message.split('\n')[0]}`),
    );
  }
  const parsed = gateway.safeParse(document.toJS({ maxAliasCount: 50 }) ?? {});
  if (parsed.success) return parsed.data;
  const problems = parsed.error.issues.map((issue) => {
    const path = issue.path.map(String);
    const node = document.getIn(path, true) as { range?: [number, number, number] } | undefined;
    const line = node?.range === undefined ? '' : `line ${lines.linePos(node.range[0]).line}: `;
    return `${line}${path.length === 0 ? 'the file' : path.join('.')}: ${issue.message}`;
  });
  throw new ConfigurationError(file, problems);
}
