import { z } from 'zod';
import { chartFiles } from '../../charts/source/pages.ts';
import { gateway } from '../../src/config/gateway.ts';
import { ERRORS } from '../../src/errors.ts';

/** The reference pages and the chart's files that are made from the code, so that they cannot say anything else. */
export const REFERENCE: Readonly<Record<string, () => string>> = {
  'docs/configuration.md': configurationPage,
  'docs/errors.md': errorsPage,
  ...Object.fromEntries([...chartFiles()].map(([path, text]) => [path, () => text])),
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

## Processes

| process | what it does | its account | its ports |
|---|---|---|---|
| \`sallyport gateway --config FILE\` | the data path; with \`admission\` the webhook too; with \`controller.enabled\` (the default) all that the next line does | [examples/rbac/gateway.yaml](../examples/rbac/gateway.yaml); with \`admission.webhook\` and the controller in it, also [admission.yaml](../examples/rbac/admission.yaml) | \`listen\`, \`admission\`, \`probes\` |
| \`sallyport controller --config FILE\` | for the whole installation, one replica at a time (Lease \`sallyport-controller\`): decisions, expiry, notifications, certificates, the webhooks' configurations | [examples/rbac/controller.yaml](../examples/rbac/controller.yaml) | \`probes\` |

Both read the same file ([examples/in-cluster.yaml](../examples/in-cluster.yaml)), which says \`controller.enabled: false\` where the controller
is a process of its own. The gateway's processes then need no Lease, no webhook configuration, and no authority's key.

## Certificates

| where from | what to write |
|---|---|
| the controller's own authority | \`certificates\`, and \`tls: {secretName: sallyport-tls}\` in \`listen\` and \`admission\` |
| cert-manager | no \`certificates\`; a Certificate with \`secretName: sallyport-tls\`, and \`tls: {secretName: sallyport-tls}\` (its \`ca.crt\` goes into the webhook's configuration) |
| a Secret of any other name, or files | no \`certificates\`; \`tls: {certFile, keyFile}\`, and \`admission.webhook.caFile\` |

Each server can have another one: a public name's certificate in \`listen\`, the own authority's in \`admission\`. A process that serves from a
Secret waits until it is filled. All of them are looked at again every five seconds: new connections get the new certificate, open
ones go on. What cannot serve (a half-written pair, a Secret that is gone) is never taken, the last good one stays, and the log says why;
\`sallyport_certificate_expiry_timestamp_seconds\` says when it ends.

The own authority is in the Secret \`sallyport-ca\`, which only the controller needs to read; what it signs is in \`sallyport-tls\`, with the authorities
that may vouch for it in \`ca.crt\`: for API servers the controller puts them into the webhook's configuration, for kubeconfigs
\`kubectl get secret -n sallyport-system sallyport-tls -o jsonpath='{.data.ca\\.crt}' | base64 -d\` prints them. A certificate is renewed when a
third of its life is left. When a third of the authority's is left, the next one is published beside it; it signs at the earliest
\`publishedFor\` later, and the old one stays published until it ends: at no moment anything serves that an API server does not know. Deleting
\`sallyport-tls\` renews the certificate at once; deleting \`sallyport-ca\` replaces the authority in the same order, without a refused
connection (kubeconfigs that were made before need the new \`ca.crt\` then). Deleting both begins anew.

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
