import * as z from 'zod';
import { duration } from './duration.ts';
import { nameConflicts } from './name-prefixes.ts';

const prefix = z
  .string()
  .max(64)
  .regex(/^([\x21-\x7e]+[:/#@|])?$/, 'a prefix is empty or ends in one of : / # @ |, without white space')
  .regex(/^(?!system:|sa:|sallyport:)/i, 'system:, sa: and sallyport: are reserved')
  .default('');
const claimName = z.string().min(1).max(128);
const fileName = z.string().min(1);
const mapped = z.strictObject({
  claim: claimName,
  prefix: prefix.describe('Stands before every name of this issuer.'),
});

/** What `jose` verifies with a public key; never an HMAC, whose key would be the public one (CVE-2015-9235). */
export const ALGORITHMS = [
  'RS256',
  'RS384',
  'RS512',
  'PS256',
  'PS384',
  'PS512',
  'ES256',
  'ES384',
  'ES512',
  'EdDSA',
] as const;

const oidcIssuer = z
  .strictObject({
    issuer: z.url().max(512).describe('Exactly the `iss` of its tokens, a trailing slash included.'),
    discoveryURL: z
      .url()
      .max(1024)
      .optional()
      .describe('Discovery document; absent: the issuer and /.well-known/openid-configuration.'),
    caFile: fileName.optional().describe('PEM; replaces the system’s authorities for this issuer.'),
    jwksFile: fileName
      .optional()
      .describe(
        'Keys from a file (re-read every five minutes, and for an unknown key) in place of discovery, for an issuer that cannot be reached.',
      ),
    insecureLoopbackHTTP: z
      .boolean()
      .default(false)
      .describe('Allow http:// to 127.0.0.1, [::1] and localhost: tests.'),
    audiences: z.array(z.string().min(1).max(512)).min(1).max(16).describe('One of these must be in `aud`.'),
    algorithms: z
      .array(z.enum(ALGORITHMS))
      .min(1)
      .default([...ALGORITHMS])
      .describe('Asymmetric ones only.'),
    clockSkew: duration('30s', { max: '5m' }).describe('How far clocks may differ.'),
    maxTokenLifetime: duration('24h', { min: '1m', max: '8760h' }).describe(
      'A token whose `exp` is further from its `iat` is refused: a long one outlives its owner’s leaving.',
    ),
    claimMappings: z
      .strictObject({
        username: mapped.prefault({ claim: 'sub' }).describe('Who it is.'),
        groups: mapped.optional().describe('A string or an array of strings; absent: no groups.'),
        uid: z.strictObject({ claim: claimName }).optional().describe('A stable id, where the issuer has one.'),
        agent: z
          .union([z.strictObject({ claim: claimName, prefix }), z.strictObject({ value: z.string().min(1).max(128) })])
          .optional()
          .describe('Which tool calls: a claim, or one value for all tokens of this issuer.'),
        run: z
          .strictObject({ claim: claimName })
          .optional()
          .describe('The run of a CI system that a token was given to: each run gets a recording of its own.'),
      })
      .prefault({})
      .describe('Which claims make the caller.'),
    requiredClaims: z
      .record(claimName, z.union([z.string(), z.boolean(), z.number(), z.array(z.string()).min(1).max(64)]))
      .default({})
      .describe(
        'Claim and value; a list names the values that are accepted. A claim that is an array must contain one.',
      ),
    requiredScopes: z
      .array(z.string().min(1).max(128))
      .max(16)
      .default([])
      .describe('All must be in `scope` (or `scp`): "may invoke the gateway".'),
  })
  .superRefine((issuer, context) => {
    for (const field of ['issuer', 'discoveryURL'] as const) {
      const text = issuer[field];
      if (text === undefined || !URL.canParse(text) || (field === 'issuer' && issuer.jwksFile !== undefined)) continue;
      const problem = urlProblem(text, issuer.insecureLoopbackHTTP);
      if (problem) context.addIssue({ code: 'custom', path: [field], message: problem });
    }
    if (issuer.jwksFile !== undefined && issuer.discoveryURL !== undefined) {
      context.addIssue({ code: 'custom', path: ['jwksFile'], message: 'either jwksFile or discoveryURL' });
    }
  });

const tokenReview = z.strictObject({
  audience: z
    .string()
    .min(1)
    .max(512)
    .refine((text) => !/^(https?:\/\/)?kubernetes(\.default(\.svc(\..+)?)?)?(:\d+)?\/?$/.test(text), {
      message: 'this is an audience of the API server itself: its tokens would pass it without the gateway',
    })
    .default('sallyport')
    .describe('The only audience that a ServiceAccount token for the gateway has.'),
  cacheTTL: duration('10s', { min: '0s', max: '1m' }).describe(
    'How long an answer is remembered; the API server remembers it for up to 10s itself. A deleted account is out within both.',
  ),
  timeout: duration('5s', { min: '100ms', max: '30s' }).describe('For one TokenReview.'),
  maxConcurrent: z
    .int()
    .min(1)
    .max(1_000)
    .default(64)
    .describe(
      'TokenReviews under way; further tokens get a 503. Tokens that the cluster has not signed have a quarter of them.',
    ),
});

const clientCertificates = z.strictObject({
  caFile: fileName.describe('PEM: the authorities of the gateway’s own; each must have issued the leaf itself.'),
  denylistFile: fileName.optional().describe('Serial numbers in hex, one a line, # begins a comment.'),
  usernamePrefix: prefix.describe('Stands before the common name (CN).'),
  groupsPrefix: prefix.describe('Stands before every organisation (O).'),
});

/** Who may call: `identity` in the configuration (beside `sessions`). Durations are milliseconds once parsed. */
export const identityMethods = z
  .strictObject({
    oidc: z.array(oidcIssuer).max(64).default([]).describe('OIDC issuers: people and CI workloads.'),
    tokenReview: tokenReview.optional().describe('ServiceAccounts of the cluster behind the gate.'),
    clientCertificates: clientCertificates.optional().describe('Client certificates.'),
  })
  .superRefine((methods, context) => {
    for (const { path, message } of nameConflicts(methods)) context.addIssue({ code: 'custom', path, message });
  });

export type IdentityMethods = z.output<typeof identityMethods>;
export type OIDCIssuer = z.output<typeof oidcIssuer>;
export type TokenReviewOptions = z.output<typeof tokenReview>;
export type ClientCertificateOptions = z.output<typeof clientCertificates>;

/** Why keys must not be fetched from `text`, or undefined. */
export function urlProblem(text: string, allowLoopbackHTTP: boolean): string | undefined {
  const url = URL.parse(text);
  if (url === null) return 'not a URL';
  if (url.username !== '' || url.password !== '') return 'no user information in a URL';
  if (url.hash !== '' || (url.search !== '' && url.protocol !== 'https:')) return 'no query or fragment here';
  if (url.protocol === 'https:') return undefined;
  const loopback = ['127.0.0.1', '[::1]', 'localhost'].includes(url.hostname);
  if (url.protocol === 'http:' && loopback && allowLoopbackHTTP) return undefined;
  return 'https only (http to loopback with insecureLoopbackHTTP)';
}
