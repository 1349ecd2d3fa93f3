import { z } from 'zod';
import { exposure } from './exposure.ts';
import { operation } from './operation.ts';

const resources = (cpu: string, memory: string, limit: string) =>
  z
    .record(z.string(), z.unknown())
    .default({ requests: { cpu, memory }, limits: { memory: limit } })
    .describe('Requests and limits.');

const image = z.strictObject({
  registry: z.string().default('').describe('Stands before the repository.'),
  repository: z.string().default('sallyport').describe('`make image` builds it.'),
  tag: z.string().default('').describe('Absent: the version of the chart.'),
  digest: z.string().default('').describe('`sha256:…`; then the tag does not matter.'),
  pullPolicy: z.enum(['Always', 'IfNotPresent', 'Never']).default('IfNotPresent').describe('As in a Pod.'),
  pullSecrets: z.array(z.string().min(1)).default([]).describe('Names of Secrets in the release’s namespace.'),
});

const gatewayPods = z.strictObject({
  replicas: z
    .int()
    .min(1)
    .default(2)
    .describe('Replicas of the data path and the webhook; not used with `autoscaling`.'),
  resources: resources('250m', '256Mi', '1Gi'),
});

const controllerPods = z.strictObject({
  replicas: z.int().min(1).default(2).describe('Replicas of the controller, of which one leads.'),
  resources: resources('50m', '128Mi', '512Mi'),
});

const mounted = (what: string) =>
  z
    .array(
      z.strictObject({
        name: z
          .string()
          .regex(/^[a-z0-9]([-a-z0-9]{0,40}[a-z0-9])?$/)
          .describe('Name of the folder.'),
        [what]: z.string().min(1).describe('Its name, in the release’s namespace.'),
      }),
    )
    .default([]);

const certificates = z.strictObject({
  source: z
    .enum(['Controller', 'CertManager', 'Secret'])
    .default('Controller')
    .describe('Who makes certificates: the controller’s own authority, cert-manager, or you, in a Secret.'),
  secretName: z
    .string()
    .regex(/^sallyport-[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$/)
    .default('sallyport-tls')
    .describe('Secret that holds `tls.crt`, `tls.key` and `ca.crt`.'),
  dnsNames: z.array(z.string().min(1)).default([]).describe('Names that agents use, beside those of the Services.'),
  ipAddresses: z.array(z.string().min(1)).default([]).describe('Addresses that agents use.'),
  issuerRef: z
    .strictObject({
      name: z.string().default('').describe('Name of the cert-manager issuer.'),
      kind: z.string().default('ClusterIssuer').describe('Its kind.'),
      group: z.string().default('cert-manager.io').describe('Its group.'),
    })
    .prefault({})
    .describe('Who issues, with source CertManager.'),
  lifetime: z.string().default('2160h').describe('Life of a certificate.'),
});

const impersonation = z.strictObject({
  mode: z
    .enum(['Auto', 'Constrained', 'Legacy'])
    .default('Auto')
    .describe(
      'Constrained: the gateway’s account can impersonate no ServiceAccount and no node (Kubernetes 1.36 and newer). Auto: where the cluster’s version has it.',
    ),
  groups: z
    .array(z.string().min(1))
    .default([])
    .describe(
      'Groups of callers that the gateway may assert upstream, beside those of `config.identity.sessions.agents`; without the prefix. A caller in another group is refused by the API server. `"*"` lets it assert any.',
    ),
  serviceAccountNamespaces: z
    .array(z.string().min(1))
    .default([])
    .describe('Namespaces whose ServiceAccounts call through the gateway (`config.identity.tokenReview`).'),
});

const persistence = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe('A volume for each replica, for the spool and, without S3, the recordings. Off: both end with the Pod.'),
  size: z.string().default('10Gi').describe('Its size.'),
  storageClassName: z.string().default('').describe('Absent: the cluster’s default.'),
  whenDeleted: z.enum(['Retain', 'Delete']).default('Retain').describe('What becomes of it when the release goes.'),
  whenScaled: z
    .enum(['Retain', 'Delete'])
    .default('Retain')
    .describe('What becomes of it when a replica goes for good.'),
});

const guardrails = z.strictObject({
  enabled: z
    .boolean()
    .default(true)
    .describe(
      'An AgentPolicy `sallyport-guardrails` of Deny and RequireApproval rules; it allows nothing. Made where there are `subjects`.',
    ),
  subjects: z
    .array(z.record(z.string(), z.string()))
    .default([])
    .describe(
      'Whom it binds, as in an AgentPolicy; absent: the groups of `config.identity.sessions.agents` and of `impersonation.groups`.',
    ),
});

/** The chart's values: values.yaml, values.schema.json and the table in its README are made from this. */
export const values = z.strictObject({
  image: image.prefault({}).describe('The image.'),
  gateway: gatewayPods.prefault({}).describe('Pods of the data path and the webhook.'),
  controller: controllerPods.prefault({}).describe('Pods of the controller.'),
  config: z
    .record(z.string(), z.unknown())
    .default({ identity: { tokenReview: {} }, recording: {} })
    .describe(
      'The gateway’s configuration: every key of docs/configuration.md but those that the chart sets (`listen.port`, `listen.tls`, `probes`, `upstream.namespace`, `admission`, `certificates`, `controller.enabled`).',
    ),
  secrets: mounted('secretName').describe(
    'Secrets for files that `config` names, mounted at `/etc/sallyport/secrets/NAME`.',
  ),
  configMaps: mounted('configMapName').describe('The same for ConfigMaps, at `/etc/sallyport/config-maps/NAME`.'),
  certificates: certificates.prefault({}).describe('What the gateway and the webhook serve with.'),
  admission: z
    .strictObject({
      enabled: z.boolean().default(true).describe('Serve the second leg.'),
      timeoutSeconds: z.int().min(1).max(30).default(5).describe('How long API servers wait for it.'),
    })
    .prefault({})
    .describe('The webhook (docs/admission.md). The controller makes its configuration, not the chart.'),
  impersonation: impersonation.prefault({}).describe('Whom the gateway’s account may speak for.'),
  guardrails: guardrails.prefault({}).describe('Rules to begin with.'),
  persistence: persistence.prefault({}).describe('Volumes.'),
  ...exposure,
  ...operation,
});

export type Values = z.input<typeof values>;
