import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import type { GatewayConfiguration } from '../config/gateway.ts';
import type { Informer } from '../kubernetes/informer.ts';
import { locate } from '../kubernetes/locate.ts';
import { ownKinds, requireKinds } from '../kubernetes/served-kinds.ts';
import { requireVersion } from '../kubernetes/server-version.ts';
import { Transport } from '../kubernetes/transport.ts';
import { createChannels } from '../notify/channels.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Check } from '../observe/probes.ts';
import { Own } from '../upstream/own.ts';
import { secretStore } from '../upstream/secret-store.ts';
import { Approvals } from './approvals.ts';
import { certificateHosts } from './certificates/certificate-hosts.ts';
import type { Certificates, CertificatesOptions } from './certificates/certificates.ts';
import { LeaderElection } from './leader-election.ts';
import { PolicyKeeper } from './policies.ts';

/** Name of the Lease in the gateway's namespace. */
export const LEASE = 'sallyport-controller';

export interface RunningControllers {
  readonly leads: boolean;
  /** Who leads, and whether what this replica watches while it leads is fresh. */
  readonly checks: Readonly<Record<'lease' | 'watches', Check>>;
  stop(): Promise<void>;
}

/**
 * Starts what is done in the background for the whole installation; of any number of replicas one does it. It never ends
 * the process: whatever fails is logged and tried again.
 * @throws Error where the API server cannot be asked, or does not serve the kinds
 */
export async function startControllers(
  configuration: GatewayConfiguration,
  log: Logger,
  metrics: Metrics,
  version: string,
): Promise<RunningControllers> {
  const { upstream, controller, notifications, certificates, admission } = configuration;
  const webhook = admission?.webhook;
  const connection = locate({
    kubeconfig: upstream.kubeconfig,
    context: upstream.context,
    onError: (error) => log.warn({ error }, 'a credential file could not be re-read; the last good one stays in use'),
  });
  const transport = new Transport(connection, {
    connectTimeout: upstream.connectTimeout,
    userAgent: `sallyport-controller/${version}`,
    onAnswer: ({ verb, what }, code) => metrics.ownRequests.inc(verb, what, String(code)),
  });
  const own = new Own(transport, upstream.namespace);
  const secrets = secretStore(own);
  await requireVersion(transport);
  await requireKinds(transport, ownKinds(configuration.recording.enabled));
  metrics.leader.set(0);
  if (certificates !== undefined) certificateHosts(certificates, webhook, upstream.namespace);
  // A file that is missing is found now, not when this replica comes to lead.
  for (const channel of createChannels(notifications)) await channel.close();
  const outcomePatience = Math.max(controller.outcomePatience, upstream.requestTimeout + upstream.connectTimeout);
  let watched: readonly Informer<unknown>[] | undefined;
  const election = new LeaderElection({
    own,
    lease: LEASE,
    // Of a restarted container the host's name is the same, and the old process may still be ending.
    identity: `${hostname()}_${randomBytes(6).toString('hex')}`,
    leaseDuration: controller.leaseDuration,
    lead: async (signal) => {
      const approvals = new Approvals({ transport, own, log, metrics, ...controller, outcomePatience, notifications });
      const { namespace } = upstream;
      const policies = new PolicyKeeper({ transport, own, secrets, admission, log, metrics });
      const keeper =
        certificates &&
        (await ownCertificates({
          configuration: certificates,
          webhook,
          namespace,
          secrets,
          log,
          metrics,
          onChange: () => policies.lookAgain(),
        }));
      watched = [...approvals.informers, ...policies.informers];
      try {
        await Promise.all([approvals.run(signal), policies.run(signal), keeper?.run(signal)]);
      } finally {
        watched = undefined;
      }
    },
    onChange: (leads) => {
      metrics.leader.set(leads ? 1 : 0);
      log.info({ leads }, leads ? 'leading: this replica takes decisions in' : 'not leading any more');
    },
    onError: (error) => log.warn({ error }, 'leader election: the API server could not be asked; it is tried again'),
  });
  election.start();
  return {
    get leads() {
      return election.leads;
    },
    checks: {
      lease: () => election.check(),
      watches: () => freshness(watched, configuration.policy.staleAfter),
    },
    async stop() {
      await election.stop();
      await transport.close();
    },
  };
}

function freshness(watched: readonly Informer<unknown>[] | undefined, staleAfter: number): ReturnType<Check> {
  if (watched === undefined) return { note: 'this replica does not lead, and watches nothing' };
  for (const informer of watched) {
    if (!informer.synced) return `${informer.name}: not loaded yet`;
    const age = informer.age();
    if (age > staleAfter) return `${informer.name}: nothing was heard for ${Math.round(age / 1_000)} s`;
  }
  return true;
}

/** Only who keeps an authority loads what makes certificates. */
async function ownCertificates(options: CertificatesOptions): Promise<Certificates> {
  const { Certificates: Keeper } = await import('./certificates/certificates.ts');
  return new Keeper(options);
}
