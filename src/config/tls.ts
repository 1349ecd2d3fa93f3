import * as z from 'zod';

/** Where a server's certificate is: files of this machine, or a Secret of the gateway's namespace. */
export const servingTLS = z
  .strictObject({
    certFile: z.string().optional().describe('PEM certificate chain; re-read when it changes.'),
    keyFile: z.string().optional().describe('PEM private key; re-read when it changes.'),
    secretName: z
      .string()
      .regex(/^sallyport-[a-z0-9]([-a-z0-9]{0,50}[a-z0-9])?$/, 'a Secret whose name begins with "sallyport-"')
      .optional()
      .describe(
        'In place of files: a Secret of `upstream.namespace` with `tls.crt`, `tls.key` and, for the webhook, `ca.crt`; read from the API server, and again when it changes.',
      ),
  })
  .refine(
    ({ certFile, keyFile, secretName }) =>
      secretName === undefined
        ? certFile !== undefined && keyFile !== undefined
        : certFile === undefined && keyFile === undefined,
    'give certFile and keyFile, or secretName',
  );

export type ServingTLS = z.output<typeof servingTLS>;
