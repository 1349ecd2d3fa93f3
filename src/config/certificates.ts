import * as z from 'zod';
import { duration } from './duration.ts';

const secretName = (name: string) =>
  z
    .string()
    .regex(/^sallyport-[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$/, 'a Secret whose name begins with "sallyport-"')
    .default(name);

/** The controller's own certificate authority: `certificates`. Absent: certificates come from elsewhere. */
export const certificates = z
  .strictObject({
    secretName: secretName('sallyport-tls').describe(
      'Secret for the serving certificate: `tls.crt`, `tls.key`, and in `ca.crt` every authority that may vouch for it. Name it in `listen.tls.secretName` and `admission.tls.secretName`.',
    ),
    authoritySecretName: secretName('sallyport-ca').describe(
      'Secret for the authority’s key, which the controller alone need read. Delete it, and a new authority takes over without a refused connection.',
    ),
    dnsNames: z
      .array(z.string().regex(/^(\*\.)?([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?\.)*[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/))
      .max(64)
      .default([])
      .describe('Names of the certificate, beside those of the Service of `admission.webhook`.'),
    ipAddresses: z
      .array(z.union([z.ipv4(), z.ipv6()]))
      .max(64)
      .default([])
      .describe('Addresses of the certificate.'),
    lifetime: duration('2160h', { min: '1m', max: '8760h' }).describe(
      'Life of a serving certificate; a new one takes over when a third of it is left.',
    ),
    authorityLifetime: duration('87600h', { min: '1h', max: '175200h' }).describe(
      'Life of an authority; when a third of it is left the next one is published beside it.',
    ),
    publishedFor: duration('1m', { min: '1s', max: '24h' }).describe(
      'An authority signs nothing before it was published for so long: the webhook’s configuration must have it first.',
    ),
  })
  .refine(({ lifetime, authorityLifetime }) => lifetime * 3 <= authorityLifetime, {
    message: 'an authority lives at least three times as long as what it signs',
    path: ['authorityLifetime'],
  });

export type CertificatesConfiguration = z.output<typeof certificates>;
