import { setTimeout } from 'node:timers/promises';
import type { AdmissionConfiguration } from '../config/admission.ts';
import type { GatewayConfiguration } from '../config/gateway.ts';
import { Audit } from '../gateway/approval/audit.ts';
import type { RunningGateway } from '../gateway/gateway.ts';
import { Approved } from '../identity/approved.ts';
import { Via } from '../identity/upstream-name.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import type { Check } from '../observe/probes.ts';
import { certificateSource } from '../serving/certificate-source.ts';
import { ServingCertificate } from '../serving/serving-certificate.ts';
import { AdmissionApprovals } from './admission-approvals.ts';
import { type RunningAdmission, serveAdmission } from './admission-server.ts';
import { Reviewer } from './reviewer.ts';

/** Serves the second leg over the policies of the gateway in this process. @throws Error where it cannot serve */
export async function startAdmission(
  configuration: AdmissionConfiguration,
  gateway: Pick<RunningGateway, 'policies' | 'installationKey' | 'secrets' | 'own' | 'approvals' | 'masking'>,
  { approvals: limits, shutdown }: Pick<GatewayConfiguration, 'approvals' | 'shutdown'>,
  log: Logger,
  metrics: Metrics,
): Promise<RunningAdmission & { readonly check: Check }> {
  const { own, masking, installationKey: key } = gateway;
  const { book, differ, mustStand } = gateway.approvals;
  const audit = new Audit(log, metrics);
  const retryAfter = limits.retryAfter / 1_000;
  const approvals = new AdmissionApprovals({
    ...limits,
    own,
    book,
    differ,
    mustStand,
    masking,
    key,
    audit,
    retryAfter,
  });
  const reviewer = new Reviewer({
    policies: gateway.policies,
    via: new Via(key),
    approved: new Approved(key),
    ask: (reviewed) => approvals.heed(reviewed),
  });
  const certificate = await ServingCertificate.load({
    name: 'admission.tls',
    source: certificateSource(configuration.tls, gateway.secrets),
    clientCAFile: configuration.clientCAFile,
    log,
    metrics,
  });
  try {
    const serving = await serveAdmission(configuration, certificate, reviewer, log, metrics);
    return {
      ...serving,
      check: () => certificate.check(),
      // API servers go on calling until they have heard that this replica is gone.
      async stop() {
        serving.drain();
        await setTimeout(shutdown.readyDelay);
        await serving.stop();
      },
    };
  } catch (error) {
    certificate.stop();
    throw error;
  }
}
