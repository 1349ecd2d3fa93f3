import type { Must, Section, Table } from './section.ts';

export interface Report {
  /** Date, machine and versions: name and value. */
  readonly facts: readonly (readonly [string, string])[];
  readonly sections: readonly Section[];
}

/** docs/benchmarks.md, docs/soak.md. */
export function asMarkdown(report: Report, title: 'Benchmarks' | 'Soak' = 'Benchmarks'): string {
  const musts = report.sections.flatMap((section) => section.musts);
  const blocks = [
    `# ${title}`,
    `Written by \`make ${title === 'Soak' ? 'soak' : 'bench'}\`; not edited by hand. Everything of one run, side by side on one machine, clients and API server on the same cores: read the ratios, not the milliseconds.`,
    markdownTable({ columns: ['', ''], rows: report.facts.map(([name, value]) => [name, value]) }),
    '## What must hold',
    markdownTable(mustTable(musts)),
    ...report.sections.flatMap((section) => [
      `## ${section.title}`,
      ...section.notes,
      ...section.tables.map((table) => markdownTable(table)),
      ...(section.printed ?? []).map((text) => `\`\`\`\n${text}\n\`\`\``),
    ]),
  ];
  return `${blocks.join('\n\n')}\n`;
}

/** The same for a terminal. */
export function asText(section: Section): string {
  const lines = [`\n${section.title}`, ...section.notes.map((note) => `  ${note}`)];
  for (const table of section.tables) lines.push('', textTable(table));
  for (const text of section.printed ?? []) lines.push('', text);
  if (section.musts.length > 0) lines.push('', textTable(mustTable(section.musts)));
  return `${lines.join('\n')}\n`;
}

function mustTable(musts: readonly Must[]): Table {
  return {
    columns: ['must', 'measured', ''],
    rows: musts.map(({ what, measured, pass }) => [what, measured, pass ? 'PASS' : 'MISS']),
  };
}

function markdownTable({ columns, rows }: Table): string {
  const line = (cells: readonly string[]): string =>
    `| ${cells.map((cell) => cell.replaceAll('|', '\\|')).join(' | ')} |`;
  const rule = columns.map((_, index) => (isNumeric(rows, index) ? '--:' : '---'));
  return [line(columns), `|${rule.join('|')}|`, ...rows.map(line)].join('\n');
}

function textTable({ columns, rows }: Table): string {
  const widths = columns.map((column, index) =>
    Math.max(column.length, ...rows.map((row) => (row[index] ?? '').length)),
  );
  const line = (cells: readonly string[]): string =>
    cells
      .map((cell, index) => (isNumeric(rows, index) ? cell.padStart(widths[index]!) : cell.padEnd(widths[index]!)))
      .join('  ')
      .trimEnd();
  return [columns, ...rows].map((row) => `  ${line(row)}`).join('\n');
}

function isNumeric(rows: Table['rows'], column: number): boolean {
  return rows.length > 0 && rows.every((row) => /^([-+–]|\d)/.test(row[column] ?? ''));
}
