import { readFileSync } from 'node:fs';
import { parseDuration } from '../config/duration-text.ts';
import { escapeLine } from '../errors.ts';
import type { PublicConfiguration } from '../identity/session-endpoint.ts';
import { CommandError, type CommandIO, readArguments, runCommand, usageError } from './command-io.ts';
import { type CachedCredential, CredentialCache, cacheFolder } from './credential-cache.ts';
import { type ClusterInfo, execCredential, readExecInfo } from './exec-credential.ts';
import type { GatewayClient, SessionToken } from './gateway-client.ts';
import { agentName, gatewayURL, readCertificates } from './gateway-url.ts';
import type { SignInOptions } from './sign-in-terms.ts';

/** Options of everything that may have to sign a person in. */
export const SIGN_IN_OPTIONS = {
  gateway: { type: 'string' },
  ca: { type: 'string' },
  'oidc-ca': { type: 'string' },
  'sign-in': { type: 'string' },
  timeout: { type: 'string' },
  'token-file': { type: 'string' },
  'client-certificate': { type: 'string' },
  'client-key': { type: 'string' },
} as const;

export const SIGN_IN_USAGE = `  --sign-in auto|browser|device   how a person signs in (auto: browser, else device flow)
  --timeout DURATION              how long to wait for the person (3m)
  --token-file FILE               an ID token in a file, for CI (also SALLYPORT_TOKEN_FILE)
  --client-certificate FILE, --client-key FILE
                                  a client certificate in place of a sign-in
  --ca FILE                       the gateway's authorities, PEM (default: the system's)
  --oidc-ca FILE                  the issuer's authorities, PEM (default: the system's)
`;

const OPTIONS = {
  ...SIGN_IN_OPTIONS,
  agent: { type: 'string' },
  ttl: { type: 'string' },
  'offline-access': { type: 'boolean' },
  renew: { type: 'boolean' },
} as const;

const HELP = {
  name: 'credential',
  usage: `sallyport credential --gateway URL --agent NAME [options]

kubectl's exec-credential plugin: prints an ExecCredential with a session token for the agent. The token is cached in
~/.cache/sallyport/credentials (0600). "sallyport kubeconfig" writes the kubeconfig that runs this.

  --ttl DURATION                  length of the session (the gateway's default, and at most its bound)
  --renew                         a new session, whatever is cached
  --offline-access                keep the issuer's refresh token beside it: no sign-in while that lasts
${SIGN_IN_USAGE}`,
};

/** A session is not handed out when it ends within this: the request that it is for should not outlive it. */
const TOO_SHORT = 30_000;

export interface SignInFlags {
  readonly gateway: string;
  readonly ca: string | undefined;
  readonly issuerCA: string | undefined;
  readonly method: SignInOptions['method'];
  readonly timeout: number;
  readonly tokenFile: string | undefined;
  readonly clientCertificate: { readonly cert: string; readonly key: string } | undefined;
  readonly offline: boolean;
}

/**
 * `sallyport credential`: kubectl's exec-credential plugin. Standard output is the ExecCredential and nothing else.
 * A session from the cache where one stands; else the first of: token file, refresh token, browser, device flow, an
 * error that says what to run.
 */
export async function runCredential(args: readonly string[], io: CommandIO, parent = process.ppid): Promise<number> {
  return await runCommand(HELP, args, io, async () => {
    const { values } = readArguments(args, OPTIONS);
    const info = readExecInfo(io.env['KUBERNETES_EXEC_INFO']);
    const flags = readSignInFlags({ ...values, offline: values['offline-access'] }, io, info?.cluster);
    const agent = agentName(values.agent);
    const ttl = readTTL(values.ttl);
    const cache = new CredentialCache(cacheFolder(io.env), {
      gateway: flags.gateway,
      agent,
      source: flags.tokenFile ?? '',
    });
    const started = Date.now();

    let credential = values.renew === true ? undefined : usable(cache.read(), flags);
    if (credential !== undefined && cache.servedBefore(parent, credential.session)) {
      // kubectl asks a second time only when the first answer was refused: revoked, most likely.
      credential = (await stands(flags, credential)) ? credential : undefined;
      if (credential === undefined) cache.remove();
    }
    credential ??= await cache.exclusively(flags.timeout + 60_000, async () => {
      const failure = cache.failureSince(started);
      if (failure !== undefined) throw new CommandError(failure);
      const meanwhile = usable(cache.read(), flags);
      if (meanwhile !== undefined && (values.renew !== true || meanwhile.issuedAt >= started)) return meanwhile;
      try {
        const made = await obtain(flags, agent, ttl, cache.read()?.refreshToken, io);
        cache.write(made);
        return made;
      } catch (error) {
        cache.noteFailure((error as Error).message);
        throw error;
      }
    });
    cache.servedBefore(parent, credential.session);
    io.stdout(execCredential(info?.apiVersion, credential.token, credential.expiresAt));
  });
}

/** @throws CommandError */
export function readSignInFlags(
  values: { [Name in keyof typeof SIGN_IN_OPTIONS]?: string | undefined } & { offline?: boolean | undefined },
  io: CommandIO,
  cluster?: ClusterInfo,
): SignInFlags {
  const gateway = gatewayURL(values.gateway);
  // kubectl sends what we print to the cluster of its context, wherever that is (Teleport 10.3.15).
  if (cluster !== undefined && URL.parse(cluster.server)?.origin !== gateway) {
    throw new CommandError(
      `this credential is for ${gateway}; kubectl asks it for ${cluster.server}, which does not get it`,
    );
  }
  const method = values['sign-in'] ?? 'auto';
  if (method !== 'auto' && method !== 'browser' && method !== 'device') {
    throw usageError('--sign-in is auto, browser or device');
  }
  const timeout = values.timeout === undefined ? 180_000 : parseDuration(values.timeout);
  if (timeout === undefined || timeout < 1_000) throw usageError('--timeout is a duration such as 3m');
  const certificate = values['client-certificate'];
  const key = values['client-key'];
  if ((certificate === undefined) !== (key === undefined)) {
    throw usageError('--client-certificate and --client-key go together');
  }
  return {
    gateway,
    ca: values.ca === undefined ? cluster?.ca : readCertificates(values.ca),
    issuerCA: values['oidc-ca'] === undefined ? undefined : readCertificates(values['oidc-ca']),
    method,
    timeout,
    tokenFile: values['token-file'] ?? (io.env['SALLYPORT_TOKEN_FILE'] || undefined),
    clientCertificate:
      certificate === undefined || key === undefined ? undefined : { cert: readText(certificate), key: readText(key) },
    offline: values.offline === true,
  };
}

/** An ID token for the gateway: of the token file, or of a sign-in. Undefined where a client certificate speaks. */
export async function personToken(
  flags: SignInFlags,
  configuration: PublicConfiguration,
  fresh: boolean,
  io: CommandIO,
): Promise<{ idToken: string | undefined; refreshToken: string | undefined }> {
  if (flags.tokenFile !== undefined) return { idToken: readToken(flags.tokenFile), refreshToken: undefined };
  if (flags.clientCertificate !== undefined) return { idToken: undefined, refreshToken: undefined };
  const { signIn } = await import('./sign-in.ts');
  return await signIn(signInOptions(flags, configuration, fresh), io);
}

/** The gateway's endpoint, over the connection that the flags describe. */
export async function connect(flags: SignInFlags): Promise<GatewayClient> {
  // Loaded here and not above: most runs answer from the cache, and kubectl waits for each.
  const { GatewayClient } = await import('./gateway-client.ts');
  return new GatewayClient({ url: flags.gateway, ca: flags.ca, clientCertificate: flags.clientCertificate });
}

async function obtain(
  flags: SignInFlags,
  agent: string,
  ttl: number | undefined,
  refreshToken: string | undefined,
  io: CommandIO,
): Promise<CachedCredential> {
  const gateway = await connect(flags);
  try {
    const configuration = await gateway.configuration();
    const keep = (session: SessionToken, refresh: string | undefined): CachedCredential => ({
      ...session,
      issuedAt: Date.now(),
      ...(flags.offline && refresh !== undefined ? { refreshToken: refresh } : {}),
    });
    // RFC 9470: a proof may be good and yet too old; then the person signs in anew, once.
    let fresh = false;
    const exchange = async (proof: { idToken: string | undefined; refreshToken: string | undefined }) => {
      try {
        return keep(await gateway.exchange(proof.idToken, agent, ttl), proof.refreshToken);
      } catch (error) {
        const interactive = flags.tokenFile === undefined && flags.clientCertificate === undefined;
        if (!wantsSignIn(error) || fresh || !interactive) throw error;
        io.stderr(`${escapeLine((error as Error).message)}\n`);
        fresh = true;
        return undefined;
      }
    };
    if (flags.offline && refreshToken !== undefined && flags.tokenFile === undefined) {
      const silent = await refreshed(flags, configuration, refreshToken);
      const made = silent === undefined ? undefined : await exchange(silent);
      if (made !== undefined) return made;
    }
    for (;;) {
      const made = await exchange(await personToken(flags, configuration, fresh, io));
      if (made !== undefined) return made;
    }
  } finally {
    await gateway.close();
  }
}

async function refreshed(flags: SignInFlags, configuration: PublicConfiguration, refreshToken: string) {
  const { refresh } = await import('./issuer.ts');
  return await refresh(signInOptions(flags, configuration, false), refreshToken);
}

function wantsSignIn(error: unknown): boolean {
  return (error as { code?: unknown }).code === 'insufficient_user_authentication';
}

function signInOptions(flags: SignInFlags, configuration: PublicConfiguration, fresh: boolean): SignInOptions {
  const issuer = configuration.signIn[0];
  if (issuer === undefined) {
    throw new CommandError(
      'this gateway names no issuer to sign in at (identity.sessions.signIn): use --token-file or --client-certificate',
    );
  }
  const { method, offline, timeout, issuerCA: ca } = flags;
  return { ...issuer, method, offline, timeout, ca, fresh };
}

/** A cached session that is worth handing out; where it can be renewed without a person, not in its last tenth. */
function usable(cached: CachedCredential | undefined, flags: SignInFlags): CachedCredential | undefined {
  if (cached === undefined) return undefined;
  const silent =
    flags.tokenFile !== undefined || flags.clientCertificate !== undefined || cached.refreshToken !== undefined;
  const margin = silent ? Math.max(TOO_SHORT, (cached.expiresAt - cached.issuedAt) / 10) : TOO_SHORT;
  return cached.expiresAt - Date.now() > margin ? cached : undefined;
}

async function stands(flags: SignInFlags, credential: CachedCredential): Promise<boolean> {
  const gateway = await connect({ ...flags, clientCertificate: undefined });
  try {
    return await gateway.stands(credential.token, credential.session);
  } finally {
    await gateway.close();
  }
}

function readTTL(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  const milliseconds = parseDuration(text);
  if (milliseconds === undefined || milliseconds < 1_000) throw usageError('--ttl is a duration such as 1h');
  return Math.floor(milliseconds / 1_000);
}

function readToken(file: string): string {
  const token = readText(file).trim();
  // What is no token goes nowhere, and into no message.
  if (!/^[A-Za-z0-9._~+/-]{1,16384}=*$/.test(token)) throw new CommandError(`${file}: this is not a token`);
  return token;
}

function readText(file: string): string {
  try {
    const text = readFileSync(file, 'utf8');
    if (text.length > 65_536) throw new CommandError(`${file}: over 64 KiB`);
    return text;
  } catch (error) {
    if (error instanceof CommandError) throw error;
    throw new CommandError(`${file}: ${(error as NodeJS.ErrnoException).code ?? 'cannot be read'}`);
  }
}
