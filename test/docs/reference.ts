import { z } from 'zod';
import { gateway } from '../../src/config/gateway.ts';
import { ERRORS } from '../../src/errors.ts';

/** The reference pages that are made from the code, so that they cannot say anything else. */
export const REFERENCE: Readonly<Record<string, () => string>> = {
  'docs/configuration.md': configurationPage,
  'docs/errors.md': errorsPage,
};

interface Schema {
  readonly type?: string;
  readonly description?: string;
  readonly default?: unknown;
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly required?: readonly string[];
  readonly items?: Schema;
  readonly anyOf?: readonly Schema[];
  readonly allOf?: readonly Schema[];
  readonly enum?: readonly unknown[];
  readonly minimum?: number;
  readonly maximum?: number;
  readonly additionalProperties?: Schema | boolean;
}

function configurationPage(): string {
  const schema = z.toJSONSchema(gateway, { io: 'input', unrepresentable: 'any' }) as Schema;
  const rows: string[] = [];
  walk('', schema, rows);
  return `# Configuration

\`sallyport gateway --config FILE\` reads one YAML file. \`--check\` reads it, says every mistake with its line and key, and ends.
Unknown keys are mistakes. Durations are written as Go writes them: \`250ms\`, \`30s\`, \`15m\`, \`1h30m\`. Files that the
configuration names (certificates, CA bundles, key files, the projected token) are read again when they change; the
configuration itself is read once, at the start.

A small one, for a gateway inside the cluster ([examples/gateway.yaml](../examples/gateway.yaml) is this file):

\`\`\`yaml
listen:
  port: 8443
  tls: {certFile: /etc/sallyport/tls/tls.crt, keyFile: /etc/sallyport/tls/tls.key}
recording:
  storage: {filesystem: {path: /var/lib/sallyport/recordings}}   # or s3: docs/recording.md
  spool: {folder: /var/lib/sallyport/spool}
identity:
  oidc:
    - issuer: https://login.shop.example
      audiences: [sallyport]
      claimMappings: {username: {claim: email}, groups: {claim: groups}}
  sessions:
    agents: [{name: cursor, groups: [ai-agents]}]
    signIn: [{issuer: https://login.shop.example, clientID: sallyport-cli}]
\`\`\`

How callers are identified, with presets for people, GitHub Actions, GitLab CI and clusters, is in [identity.md](identity.md);
agent sessions are in [sessions.md](sessions.md).

## Every key

| key | default | meaning |
|---|---|---|
${rows.join('\n')}
`;
}

function walk(prefix: string, schema: Schema, rows: string[]): void {
  for (const part of schema.allOf ?? []) walk(prefix, part, rows);
  for (const [name, property] of Object.entries(schema.properties ?? {})) {
    const path = prefix === '' ? name : `${prefix}.${name}`;
    const inner = property.properties !== undefined || property.allOf !== undefined ? property : undefined;
    const element = property.items?.properties === undefined ? undefined : property.items;
    const required = schema.required?.includes(name) ?? false;
    rows.push(`| \`${path}\` | ${fallback(property, required)} | ${meaning(property)} |`);
    if (inner !== undefined) walk(path, inner, rows);
    if (element !== undefined) walk(`${path}[]`, element, rows);
    for (const choice of property.anyOf ?? []) walk(path, choice, rows);
  }
}

function fallback(schema: Schema, required: boolean): string {
  if (schema.default === undefined || isStructure(schema)) return required ? '**required**' : '';
  return `\`${JSON.stringify(schema.default).replaceAll('|', '\\|')}\``;
}

const isStructure = (schema: Schema): boolean => schema.properties !== undefined || schema.allOf !== undefined;

function meaning(schema: Schema): string {
  const choices =
    schema.enum === undefined ? '' : ` One of ${schema.enum.map((one) => `\`${String(one)}\``).join(', ')}.`;
  return `${schema.description ?? ''}${choices}`.trim().replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function errorsPage(): string {
  const rows = Object.entries(ERRORS).map(
    ([code, { status, reason, meaning: text }]) => `| \`${code}\` | ${status} | ${reason} | ${text} |`,
  );
  return `# Errors

Every refusal is a Kubernetes \`Status\`: kubectl and client libraries understand it. Its \`message\` is one line (kubectl shows
nothing else, and for exec only the first line) that begins with a stable code, says what to do next, and ends with the request's
id, which is also the \`Audit-ID\` at the API server and the \`requestID\` in the gateway's log.

\`\`\`
Error from server (Forbidden): SP_POLICY_DENIED: cursor-in-production/only-our-images: not from registry.shop.example: evil.example/miner (request 5c1e…)
\`\`\`

The code stands in \`details.causes[0].reason\` too. \`Retry-After\` is set wherever trying again can help.

| code | HTTP | reason | what it means |
|---|---|---|---|
${rows.join('\n')}
`;
}
