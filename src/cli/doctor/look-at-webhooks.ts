import { X509Certificate } from 'node:crypto';
import { governedExpression } from '../../admission/governed-expression.ts';
import type { Subject } from '../../policy/agent-policy.ts';
import { type Finding, good, warning, wrong } from './finding.ts';
import { type Found, type Patient, registration } from './patient.ts';

const DAY = 86_400_000;
/** A certificate is renewed when a third of its life is left; whoever sees less than this sees that nobody does it. */
const SOON = 7 * DAY;
const CONTROLLER = 'look at the log of the controller, which keeps it';

/** The configuration of the second leg. @param name of `admission.webhook.name` */
export async function lookAtWebhooks(
  patient: Patient,
  name: string,
  subjects: readonly Subject[],
  now: number,
): Promise<readonly Finding[]> {
  const configuration = await patient.get(registration('validatingwebhookconfigurations', name));
  if (configuration === undefined) {
    const next =
      'configure "admission" with "webhook" (docs/admission.md); it is written once a replica answers and a policy is there';
    return [warning('webhook', `there is no ${name}: writes around the gate meet RBAC alone`, next)];
  }
  const findings: Finding[] = [];
  const webhook: Found = (configuration.webhooks ?? []).find((one: Found) => one.name === 'policy.sallyport.dev');
  const expression: string = webhook?.matchConditions?.[0]?.expression ?? '';
  if (webhook === undefined) findings.push(wrong('webhook', `${name} holds no policy.sallyport.dev`, CONTROLLER));
  else if (!expression.startsWith(`(${governedExpression(subjects)})`)) {
    findings.push(wrong('webhook', `${name} is not in step with the subjects of the policies`, CONTROLLER));
  }
  if (webhook !== undefined && webhook.failurePolicy !== 'Fail') {
    findings.push(
      wrong('webhook', `${name} lets governed writes pass when nobody answers (failurePolicy)`, CONTROLLER),
    );
  }
  if (webhook !== undefined && (webhook.matchConditions?.length ?? 0) !== 1) {
    findings.push(wrong('webhook', `${name} has other match conditions than its own`, CONTROLLER));
  }
  const pem = Buffer.from(webhook?.clientConfig?.caBundle ?? '', 'base64').toString('utf8');
  findings.push(...authorities(pem, name, now));
  const compile = await patient.get(registration('validatingwebhookconfigurations', 'sallyport-compile'));
  if (compile === undefined) {
    findings.push(
      warning('webhook', 'policies are not compiled when they are written (no sallyport-compile)', CONTROLLER),
    );
  }
  return findings.length > 0 ? findings : [good('webhook', `${name} is in step with ${subjects.length} subjects`)];
}

function authorities(pem: string, name: string, now: number): Finding[] {
  const certificates = certificatesIn(pem);
  if (certificates.length === 0) return [wrong('webhook', `${name} has no authority in caBundle`, CONTROLLER)];
  const last = Math.max(...certificates.map(({ validToDate }) => validToDate.getTime()));
  if (last > now) return [];
  return [wrong('webhook', `every authority in the caBundle of ${name} has ended`, CONTROLLER)];
}

/** The certificates of the own authority, or of cert-manager, where they are in Secrets. */
export async function lookAtCertificates(
  patient: Patient,
  names: readonly string[],
  now: number,
): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const name of names) {
    const secret = await patient.secret(name);
    if (secret === undefined) {
      findings.push(
        wrong(
          'certificates',
          `the Secret ${name} is not there`,
          'look at the log of the controller, or of cert-manager',
        ),
      );
      continue;
    }
    const [leaf] = certificatesIn(Buffer.from(secret.data?.['tls.crt'] ?? '', 'base64').toString('utf8'));
    if (leaf === undefined) {
      findings.push(
        wrong(
          'certificates',
          `the Secret ${name} holds no certificate in tls.crt`,
          `kubectl -n ${patient.namespace} delete secret ${name}`,
        ),
      );
      continue;
    }
    const left = leaf.validToDate.getTime() - now;
    const until = leaf.validToDate.toISOString().slice(0, 10);
    if (left <= 0)
      findings.push(
        wrong('certificates', `${name} has ended (${until})`, 'look at the log of the controller, or of cert-manager'),
      );
    else if (left < SOON)
      findings.push(
        warning(
          'certificates',
          `${name} ends in ${Math.ceil(left / DAY)} days (${until})`,
          'somebody should have renewed it by now: look at the log of the controller, or of cert-manager',
        ),
      );
    else findings.push(good('certificates', `${name} is good until ${until}`));
  }
  return findings;
}

function certificatesIn(pem: string): X509Certificate[] {
  return (pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []).flatMap((text) => {
    try {
      return [new X509Certificate(text)];
    } catch {
      return [];
    }
  });
}
