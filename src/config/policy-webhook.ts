import * as z from 'zod';

/** How API servers reach the webhook, and what the controller writes for them: a ValidatingWebhookConfiguration. */
export const policyWebhook = z
  .strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/)
      .default('sallyport-policy')
      .describe('Name of the ValidatingWebhookConfiguration, which the controller owns.'),
    service: z
      .strictObject({
        name: z.string().min(1).max(63).describe('A Service in the gateway’s namespace.'),
        port: z.int().min(1).max(65535).default(443).describe('Its port.'),
      })
      .optional()
      .describe('Where API servers reach the webhook in the cluster.'),
    url: z
      .url({ protocol: /^https$/ })
      .optional()
      .describe('Where they reach one outside the cluster; instead of `service`.'),
    caFile: z
      .string()
      .optional()
      .describe(
        'PEM authorities that API servers accept for the webhook; re-read when it changes. Absent: `ca.crt` of the Secret in `admission.tls.secretName`.',
      ),
    timeoutSeconds: z.int().min(1).max(30).default(5).describe('How long the API server waits for an answer.'),
    ownerClusterRole: z
      .string()
      .min(1)
      .max(253)
      .optional()
      .describe('The configuration goes when this ClusterRole goes, as when a release is uninstalled.'),
  })
  .refine(({ service, url }) => (service === undefined) !== (url === undefined), 'give either service or url');

export type PolicyWebhookConfiguration = z.output<typeof policyWebhook>;
