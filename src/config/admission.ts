import * as z from 'zod';
import { policyWebhook } from './policy-webhook.ts';
import { servingTLS } from './tls.ts';

/** The second leg: a validating webhook in the API server's own path. Absent: it is not served. */
export const admission = z
  .strictObject({
    address: z.string().default('0.0.0.0').describe('Address of the webhook.'),
    port: z.int().min(0).max(65535).default(10250).describe('Port of the webhook; 0 takes a free one.'),
    tls: servingTLS.describe('API servers call webhooks over TLS only.'),
    clientCAFile: z
      .string()
      .optional()
      .describe(
        'PEM bundle; then only who holds a certificate of it is answered (kube-apiserver: --admission-control-config-file).',
      ),
    webhook: policyWebhook
      .optional()
      .describe('What the controller tells API servers of the webhook; absent: an administrator does.'),
  })
  .refine(({ tls, webhook }) => webhook === undefined || webhook.caFile !== undefined || tls.secretName !== undefined, {
    message: 'give caFile, or a Secret in admission.tls.secretName, whose ca.crt it is then',
    path: ['webhook', 'caFile'],
  });

export type AdmissionConfiguration = z.output<typeof admission>;
