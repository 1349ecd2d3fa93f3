import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import type { IdentityMethods, OIDCIssuer } from '../config/identity.ts';
import { groupSources, usernameSources } from '../config/name-prefixes.ts';
import { SallyportError } from '../errors.ts';
import type { Caller } from './caller.ts';
import type { ForeignPrefixes } from './claims.ts';
import { ClientCertificates, type PeerSocket } from './client-certificate.ts';
import { ClusterSignature } from './cluster-signature.ts';
import { bearerToken, type RequestHead } from './credential.ts';
import { discoverKeys, IssuerFetch } from './issuer-fetch.ts';
import { KeySet } from './jwks.ts';
import { validCaller } from './name.ts';
import { OIDCVerifier } from './oidc.ts';
import { credentialExpired, notAuthenticated } from './refusal.ts';
import { tokenDigest } from './token-cache.ts';
import { type ReviewToken, TokenReviewer } from './token-review.ts';
import { readUnverified } from './unverified.ts';

export interface AuthenticationInput extends RequestHead {
  /** The TLS connection the request came on; only client certificates need it. */
  readonly socket?: PeerSocket | undefined;
  /** The client's address: bounds what one of them may ask the API server about. */
  readonly sourceIP?: string | undefined;
}

/** Judges the gateway's own agent session tokens. */
export interface SessionVerifier {
  /** Whether the token calls itself a session token; nothing is verified by that. */
  claims(token: string): boolean;
  /** @throws SallyportError */
  verify(token: string): Promise<Caller>;
}

export interface AuthenticatorDependencies {
  /** Required where `tokenReview` is configured. */
  readonly reviewToken?: ReviewToken | undefined;
  /** The key set of the cluster behind the gate, as it publishes it: spares it reviews of tokens that it never signed. */
  readonly clusterKeys?: ((signal: AbortSignal) => Promise<Record<string, unknown>>) | undefined;
  readonly sessions?: SessionVerifier | undefined;
  readonly log?: { warn(fields: object, message: string): void; info(fields: object, message: string): void };
  /** Unix milliseconds. */
  readonly now?: () => number;
}

export interface IssuerState {
  readonly issuer: string;
  readonly usable: boolean;
  /** Unix milliseconds; undefined before the first time. */
  readonly keysLoadedAt: number | undefined;
  readonly failure: string | undefined;
}

export interface Authenticator {
  /**
   * Who sends this request.
   * @throws SallyportError SP_NOT_AUTHENTICATED, SP_CREDENTIAL_EXPIRED, SP_IDENTITY_UNAVAILABLE: one constant message
   * each, the cause in `error.cause`, without the credential.
   */
  authenticate(input: AuthenticationInput): Promise<Caller>;
  /**
   * `ready` once every issuer's keys have been asked for, and at least one method works. One issuer that is out of
   * reach does not make a replica unready: only its own tokens are refused.
   */
  ready(): { readonly ready: boolean; readonly issuers: readonly IssuerState[] };
  /** Ends background refreshes and connections to issuers. */
  close(): Promise<void>;
}

/** Milliseconds: tokens that name an unknown key are judged by the API server meanwhile, a few at a time. */
const CLUSTER_KEYS_COOLDOWN = 60_000;

interface Issuer {
  readonly verifier: OIDCVerifier;
  readonly keys: KeySet;
  readonly close: () => Promise<void>;
}

/**
 * Builds every configured method. Keys are fetched in the background: an unreachable issuer stops no start.
 * @throws Error when a file that the configuration names cannot be used.
 */
export function createAuthenticator(options: IdentityMethods, dependencies: AuthenticatorDependencies): Authenticator {
  const { sessions, reviewToken, clusterKeys, log, now = Date.now } = dependencies;
  const foreign: ForeignPrefixes = {
    usernames: usernameSources(options).flatMap(({ prefix }) => prefix || []),
    groups: groupSources(options).flatMap(({ prefix }) => prefix || []),
  };
  if (options.tokenReview && !reviewToken)
    throw new Error('tokenReview is configured, and there is no API server to ask');
  const keysOfCluster =
    options.tokenReview && clusterKeys
      ? new KeySet({ load: clusterKeys, now, cooldown: CLUSTER_KEYS_COOLDOWN, onLoad: reportLoads('kubernetes', log) })
      : undefined;
  const signature = keysOfCluster && new ClusterSignature(keysOfCluster);
  const reviewer =
    options.tokenReview && reviewToken
      ? new TokenReviewer(options.tokenReview, reviewToken, now, signature)
      : undefined;
  void keysOfCluster?.start();
  const certificates =
    options.clientCertificates &&
    new ClientCertificates(options.clientCertificates, foreign, now, (path, error) =>
      log?.warn({ path, err: error }, 'a file of the client certificates cannot be used; the last good one stays'),
    );
  const issuers = new Map<string, Issuer>();
  for (const issuer of options.oidc) {
    const { load, close } = keySource(issuer);
    const keys = new KeySet({ load, now, onLoad: reportLoads(issuer.issuer, log) });
    issuers.set(issuer.issuer, { verifier: new OIDCVerifier(issuer, keys, foreign, now), keys, close });
  }
  const verifiers = [...[...issuers.values()].map(({ verifier }) => verifier), ...(reviewer ? [reviewer] : [])];
  let asked = issuers.size === 0;
  void Promise.all([...issuers.values()].map(({ keys }) => keys.start())).then(() => {
    asked = true;
  });

  async function byToken(token: string, sourceIP: string | undefined): Promise<Caller> {
    const digest = tokenDigest(token);
    for (const verifier of verifiers) {
      const known = verifier.recall(digest);
      if (known !== undefined) return known;
    }
    if (sessions?.claims(token)) return bySession(sessions, token);
    const claims = readUnverified(token);
    if (claims === undefined) throw notAuthenticated('a token that is no JWT');
    // The issuer it names is the only one that may judge it; it is never tried on one after the other.
    const issuer = claims.iss === undefined ? undefined : issuers.get(claims.iss);
    if (issuer !== undefined) return issuer.verifier.verify(token, digest);
    if (reviewer !== undefined) return reviewer.verify(token, digest, claims, sourceIP);
    throw notAuthenticated('a token of an issuer that is not configured');
  }

  return {
    async authenticate(input) {
      const token = bearerToken(input);
      const socket = input.socket;
      const presents = certificates !== undefined && socket !== undefined && certificates.presents(socket);
      if (token !== undefined) {
        if (presents) throw notAuthenticated('a token and a client certificate');
        return byToken(token, input.sourceIP);
      }
      if (presents) return certificates.identify(socket);
      throw notAuthenticated('no credential');
    },
    ready() {
      const states = [...issuers].map(
        ([issuer, { keys }]): IssuerState => ({
          issuer,
          usable: keys.usable,
          keysLoadedAt: Number.isFinite(keys.loadedAt) ? keys.loadedAt : undefined,
          failure: keys.failure?.message,
        }),
      );
      const works = Boolean(sessions || reviewer || certificates) || states.some(({ usable }) => usable);
      return { ready: asked && works, issuers: states };
    },
    async close() {
      keysOfCluster?.close();
      await Promise.all(
        [...issuers.values()].map(({ keys, close }) => {
          keys.close();
          return close();
        }),
      );
    },
  };
}

/** A caller that the sessions have handed out, with its checked copy: the same object for as long as theirs lives. */
const checkedSessions = new WeakMap<Caller, Caller>();

async function bySession(sessions: SessionVerifier, token: string): Promise<Caller> {
  try {
    const caller = await sessions.verify(token);
    let checked = checkedSessions.get(caller);
    if (checked === undefined) {
      checked = validCaller(caller);
      checkedSessions.set(caller, checked);
    }
    return checked;
  } catch (error) {
    // The same words as for every other method; what else they refuse for (frozen, not loaded) stays as it is.
    if (!(error instanceof SallyportError))
      throw notAuthenticated(`session: ${error instanceof Error ? error.name : 'unknown error'}`);
    const cause = error.cause instanceof Error ? error.cause.message : 'refused';
    if (error.code === 'SP_NOT_AUTHENTICATED') throw notAuthenticated(`session: ${cause}`);
    if (error.code === 'SP_CREDENTIAL_EXPIRED') throw credentialExpired(`session: ${cause}`);
    throw error;
  }
}

function keySource(issuer: OIDCIssuer) {
  const { jwksFile, caFile, discoveryURL } = issuer;
  if (jwksFile !== undefined) {
    // Once now, so that a wrong path is told of at the start.
    JSON.parse(readFileSync(jwksFile, 'utf8'));
    return {
      load: async () => JSON.parse(await readFile(jwksFile, 'utf8')) as Record<string, unknown>,
      close: async () => {},
    };
  }
  const fetch = new IssuerFetch({
    ca: caFile === undefined ? undefined : readFileSync(caFile, 'utf8'),
    allowLoopbackHTTP: issuer.insecureLoopbackHTTP,
  });
  return {
    load: (signal: AbortSignal) => discoverKeys(fetch, issuer.issuer, discoveryURL, signal),
    close: () => fetch.close(),
  };
}

/** Says so when an issuer goes out of reach and when it comes back, not at every attempt. */
function reportLoads(issuer: string, log: AuthenticatorDependencies['log']): (error: Error | undefined) => void {
  let failing = false;
  return (error) => {
    if (error !== undefined && !failing) log?.warn({ issuer, err: error }, 'the keys of an issuer cannot be loaded');
    if (error === undefined && failing) log?.info({ issuer }, 'the keys of an issuer are loaded again');
    failing = error !== undefined;
  };
}
