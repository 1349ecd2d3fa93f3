import * as z from 'zod';
import { duration } from './duration.ts';

/** An agent's name: it becomes a CEL value, a file name and the start of object names, so it is a short DNS label. */
export const AGENT_NAME = /^[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?$/;

/** No session outlives this, whatever the configuration says. */
export const LONGEST_SESSION = '12h';

const agent = z.strictObject({
  name: z.string().regex(AGENT_NAME).describe('What people ask for: `sallyport kubeconfig --agent NAME`.'),
  groups: z
    .array(
      z
        .string()
        .min(1)
        .max(256)
        .regex(/^[\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?$/),
    )
    .max(16)
    .default([])
    .describe('Groups that every session of this agent is in, beside the person’s own: what policies name.'),
  maxTTL: duration('12h', { min: '1m', max: LONGEST_SESSION }).describe('Longest session of this agent.'),
});

const signIn = z.strictObject({
  issuer: z.url().describe('Issuer URL, one of the OIDC issuers that the gateway accepts.'),
  clientID: z.string().min(1).max(256).describe('Public client (no secret) registered for the command line.'),
  scopes: z.array(z.string().min(1).max(128)).max(16).default(['openid']).describe('Scopes asked for at sign-in.'),
  redirectPorts: z
    .array(z.int().min(1024).max(65_535))
    .max(8)
    .default([])
    .describe('Loopback ports registered as redirect, for providers that compare them; empty: any free port.'),
});

/** Agent sessions: `identity.sessions`. Durations are milliseconds once parsed. */
export const sessions = z.strictObject({
  agents: z
    .array(agent)
    .max(100)
    .default([])
    .refine((list) => new Set(list.map((one) => one.name)).size === list.length, 'agent names must be unique')
    .describe('The agents for which sessions are given; for any other name the exchange refuses.'),
  signIn: z.array(signIn).max(8).default([]).describe('Where the command line sends a person to sign in; first wins.'),
  defaultTTL: duration('1h', { min: '1m', max: LONGEST_SESSION }).describe(
    'Length of a session unless asked otherwise.',
  ),
  maxTTL: duration('12h', { min: '1m', max: LONGEST_SESSION }).describe('Longest session of any agent.'),
  maxSignInAge: duration('24h', { min: '1m', max: '720h' }).describe(
    'A session ends at the latest this long after the person really signed in (auth_time), where the issuer says when.',
  ),
  maxPerPerson: z.int().min(1).max(1_000).default(20).describe('Live sessions of one person.'),
  inheritGroups: z
    .boolean()
    .default(true)
    .describe('A session keeps the person’s groups, so that Deny rules and RBAC that name them still hold.'),
  allowServiceAccounts: z.boolean().default(false).describe('ServiceAccounts may take sessions too.'),
  issuers: z
    .array(z.string().min(1).max(512))
    .max(32)
    .default([])
    .describe('Issuers whose callers may take sessions; empty: every OIDC issuer, and client certificates (`x509`).'),
  keyRotation: duration('24h', { min: '1h', max: '720h' }).describe('Age at which a new signing key takes over.'),
  keySecret: z
    .string()
    .regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/)
    .default('sallyport-session-keys')
    .describe('Secret in the gateway’s namespace that holds the signing keys.'),
  staleAfter: duration('30s', { min: '5s', max: '10m' }).describe(
    'Without a sign of life from the watch on sessions for this long, every session is refused.',
  ),
  retention: duration('168h', { min: '1h', max: '8760h' }).describe('Expired AgentSession objects are kept this long.'),
});

export type SessionsConfiguration = z.output<typeof sessions>;
