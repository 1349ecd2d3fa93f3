import { readFileSync } from 'node:fs';
import type { GatewayConfiguration } from '../../config/gateway.ts';
import { IssuerFetch } from '../../identity/issuer-fetch.ts';
import { checkStorage, openStorage } from '../../recording/storage/open.ts';
import { type Finding, good, warning, wrong } from './finding.ts';

const ISSUER_TIMEOUT = 10_000;

/** What can be seen from here of what the configuration names: issuers, the store of recordings, and what it leaves open. */
export async function lookAtConfiguration(configuration: GatewayConfiguration): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const one of configuration.identity.oidc ?? []) findings.push(await lookAtIssuer(one));
  if (configuration.policy.defaultEnforcement === 'Audit') {
    const message = 'callers whom no policy names pass (policy.defaultEnforcement: Audit)';
    findings.push(warning('configuration', message, 'write policies for them, then set it to Enforce'));
  }
  const { recording } = configuration;
  if (!recording.enabled) {
    findings.push(warning('recordings', 'nothing is recorded', 'set recording.enabled (docs/recording.md)'));
  } else findings.push(await lookAtStore(recording));
  return findings;
}

async function lookAtIssuer(one: NonNullable<GatewayConfiguration['identity']['oidc']>[number]): Promise<Finding> {
  const { issuer, discoveryURL, caFile, jwksFile, insecureLoopbackHTTP } = one;
  if (jwksFile !== undefined) return good('issuers', `${issuer}: keys from ${jwksFile}`);
  const url = discoveryURL ?? `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`;
  let fetcher: IssuerFetch | undefined;
  try {
    const ca = caFile === undefined ? undefined : readFileSync(caFile, 'utf8');
    fetcher = new IssuerFetch({ ca, allowLoopbackHTTP: insecureLoopbackHTTP });
    const document = await fetcher.json(url, AbortSignal.timeout(ISSUER_TIMEOUT));
    if (document['issuer'] !== issuer) {
      const message = `${url} speaks for ${JSON.stringify(document['issuer'])}, not for ${issuer}`;
      return wrong('issuers', message, 'write the issuer exactly as its tokens do, a trailing slash included');
    }
    return good('issuers', `${issuer} answers`);
  } catch (error) {
    const cause = (error as Error).cause as NodeJS.ErrnoException | undefined;
    const why = (error as NodeJS.ErrnoException).code ?? cause?.code ?? (error as Error).message;
    const next = 'is it reachable from where the gateway runs, and caFile the authority that signed its certificate?';
    return wrong('issuers', `${issuer} cannot be asked: ${why}`, next);
  } finally {
    await fetcher?.close();
  }
}

async function lookAtStore({ storage }: GatewayConfiguration['recording']): Promise<Finding> {
  try {
    const problem = await checkStorage(openStorage(storage));
    if (problem === undefined)
      return good('recordings', storage.s3 === undefined ? 'the store is a folder' : 'the store answers');
    return wrong('recordings', `the store does not answer: ${problem.message}`, 'docs/recording-storage.md');
  } catch (error) {
    return wrong('recordings', (error as Error).message, 'docs/recording-storage.md');
  }
}
