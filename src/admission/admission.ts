import type { AdmissionConfiguration } from '../config/admission.ts';
import { SallyportError } from '../errors.ts';
import { Approved } from '../identity/approved.ts';
import type { SecretStore } from '../identity/session-key.ts';
import { Via } from '../identity/upstream-name.ts';
import type { Logger } from '../observe/log.ts';
import type { Metrics } from '../observe/metrics.ts';
import { certificateSource } from '../serving/certificate-source.ts';
import { ServingCertificate } from '../serving/serving-certificate.ts';
import { type RunningAdmission, serveAdmission } from './admission-server.ts';
import { Reviewer, type ReviewerOptions } from './reviewer.ts';

export interface SecondLegOf {
  /** The set in force, the gateway's own. */
  readonly policies: ReviewerOptions['policies'];
  readonly installationKey: Uint8Array;
  readonly secrets: Pick<SecretStore, 'get'>;
}

/** Serves the second leg over the policies of the gateway in this process. @throws Error where it cannot serve */
export async function startAdmission(
  configuration: AdmissionConfiguration,
  gateway: SecondLegOf,
  log: Logger,
  metrics: Metrics,
): Promise<RunningAdmission> {
  const reviewer = new Reviewer({
    policies: gateway.policies,
    via: new Via(gateway.installationKey),
    approved: new Approved(gateway.installationKey),
    ask: async ({ decision }) => {
      const message = `${decision.reason}; people are asked through the gateway: run it with the gateway's kubeconfig`;
      throw new SallyportError('SP_APPROVAL_REQUIRED', message);
    },
  });
  const certificate = await ServingCertificate.load({
    name: 'admission.tls',
    source: certificateSource(configuration.tls, gateway.secrets),
    clientCAFile: configuration.clientCAFile,
    log,
    metrics,
  });
  try {
    return await serveAdmission(configuration, certificate, reviewer, log, metrics);
  } catch (error) {
    certificate.stop();
    throw error;
  }
}
