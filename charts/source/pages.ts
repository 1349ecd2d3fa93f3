import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stringify } from 'yaml';
import { z } from 'zod';
import manifest from '../../package.json' with { type: 'json' };
import { configurationSchema, type Schema } from './configuration.ts';
import { dashboard } from './dashboard.ts';
import { values } from './values.ts';

const ROOT = join(import.meta.dirname, '..', '..');
const CHART = 'charts/sallyport';

/** Every file of the chart that is made from something else, so that it cannot say anything else. */
export function chartFiles(): Map<string, string> {
  const schema = valuesSchema();
  const files = new Map<string, string>([
    [`${CHART}/Chart.yaml`, chartYaml()],
    [`${CHART}/values.schema.json`, `${JSON.stringify(schema, null, 2)}\n`],
    [`${CHART}/values.yaml`, valuesYaml(schema)],
    [`${CHART}/README.md`, readme(schema)],
    [`${CHART}/files/guards.yaml`, read('crds/guards.yaml')],
    [`${CHART}/files/dashboard.json`, dashboard()],
  ]);
  for (const name of readdirSync(join(ROOT, 'crds')).filter((each) => each !== 'guards.yaml'))
    files.set(`${CHART}/crds/${name}`, read(`crds/${name}`));
  files.set('deploy/kinds.yaml', kinds());
  return files;
}

/** The kinds and their guard in one file, for who has no helm. */
function kinds(): string {
  const texts = readdirSync(join(ROOT, 'crds'))
    .sort((a, b) => a.localeCompare(b))
    .map((name) => read(`crds/${name}`).trimEnd());
  return `# Made from crds/ by "make manifests". Apply these first.\n${texts.join('\n---\n')}\n`;
}

const read = (path: string): string => readFileSync(join(ROOT, path), 'utf8');

function chartYaml(): string {
  return `${stringify({
    apiVersion: 'v2',
    name: 'sallyport',
    description: manifest.description,
    type: 'application',
    version: manifest.version,
    appVersion: manifest.version,
    kubeVersion: '>=1.35.0-0',
    keywords: ['kubernetes', 'ai-agents', 'security', 'gateway', 'admission'],
  })}`;
}

function valuesSchema(): Schema {
  const schema = z.toJSONSchema(values, { io: 'input' }) as Schema;
  const described = schema.properties!['config']!.description!;
  schema.properties!['config'] = { ...configurationSchema(), description: described };
  // helm gives charts of charts this one.
  schema.properties!['global'] = { type: 'object', description: 'Of a chart that this one is part of.' };
  schema['title'] = 'Values of the chart sallyport';
  return schema;
}

/** The defaults, each under its meaning. */
function valuesYaml(schema: Schema): string {
  const defaults = values.parse({}) as Record<string, unknown>;
  return `# Values of the chart sallyport. README.md is the table of them; docs/installation.md says what to set first.\n${block(defaults, schema, '')}`;
}

function block(value: Readonly<Record<string, unknown>>, schema: Schema, indent: string): string {
  let text = '';
  for (const [key, one] of Object.entries(value)) {
    const part = schema.properties?.[key];
    const structure = part?.properties !== undefined && key !== 'config';
    if (indent === '') text += '\n';
    text += `${indent}# ${part?.description ?? ''}\n`;
    if (structure) text += `${indent}${key}:\n${block(one as Record<string, unknown>, part, `${indent}  `)}`;
    else text += stringify({ [key]: one }, { lineWidth: 0 }).replace(/^(?=.)/gm, indent);
  }
  return text;
}

function readme(schema: Schema): string {
  const rows: string[] = [];
  const defaults = values.parse({}) as Record<string, unknown>;
  table(defaults, schema, '', rows);
  return `# Helm chart of Sallyport

The gateway (data path and webhook), its controller, their accounts, the guard of its kinds. One release in a cluster.
[docs/installation.md](../../docs/installation.md) says how to install, upgrade and remove it.

\`\`\`
helm install sallyport charts/sallyport --namespace sallyport-system --create-namespace --values my-values.yaml
\`\`\`

The policy webhook's configuration is not in here: the controller makes it once a replica answers and a policy is there, so that no install, upgrade
or failure of one can stop anybody's writes.

## Values

| value | default | meaning |
|---|---|---|
${rows.join('\n')}
`;
}

function table(value: Readonly<Record<string, unknown>>, schema: Schema, prefix: string, rows: string[]): void {
  for (const [key, one] of Object.entries(value)) {
    const part = schema.properties?.[key];
    const path = `${prefix}${key}`;
    if (part?.properties !== undefined && key !== 'config') {
      table(one as Record<string, unknown>, part, `${path}.`, rows);
      continue;
    }
    const choices =
      part?.enum === undefined ? '' : ` One of ${part.enum.map((each) => `\`${String(each)}\``).join(', ')}.`;
    rows.push(`| \`${path}\` | \`${JSON.stringify(one)}\` | ${part?.description ?? ''}${choices} |`);
  }
}
