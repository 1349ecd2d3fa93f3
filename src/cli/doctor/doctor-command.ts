import { loadConfiguration } from '../../config/load.ts';
import { escapeLine } from '../../errors.ts';
import { Person, ServerRefusal } from '../../kubernetes/person.ts';
import type { AgentPolicy } from '../../policy/agent-policy.ts';
import { CommandError, type CommandIO, readArguments, runCommand, usageError } from '../command-io.ts';
import { type Finding, wrong } from './finding.ts';
import { lookAtAccounts } from './look-at-accounts.ts';
import { lookAtController, lookAtGuard, lookAtKinds, lookAtNamespace, lookAtVersion } from './look-at-cluster.ts';
import { lookAtConfiguration } from './look-at-configuration.ts';
import { directSubjects, lookAtBypasses, lookAtPolicies } from './look-at-policies.ts';
import { lookAtCertificates, lookAtWebhooks } from './look-at-webhooks.ts';
import { Patient } from './patient.ts';

const OPTIONS = {
  kubeconfig: { type: 'string' },
  context: { type: 'string' },
  namespace: { type: 'string' },
  config: { type: 'string' },
  account: { type: 'string' },
  'controller-account': { type: 'string' },
  webhook: { type: 'string' },
  output: { type: 'string', short: 'o' },
} as const;

const USAGE = `sallyport doctor [--config FILE] [-o text|json]

Looks at an installation with an administrator's own kubeconfig, straight at the API server, and says what is wrong and what to do:
what governed subjects could do without the gate, webhooks, accounts, certificates, versions, policies; with the gateway's
configuration also issuers and the store of recordings. It changes nothing. Exit code 1 where something is wrong.

  --config FILE                 the gateway's configuration
  --kubeconfig FILE, --context NAME
                                the administrator's own (default: as kubectl)
  --namespace NAME              the gateway's (SALLYPORT_NAMESPACE, else sallyport-system)
  --account NAME                the gateway's ServiceAccount (sallyport-gateway)
  --controller-account NAME     the controller's (sallyport-controller where there is one, else the gateway's)
  --webhook NAME                the ValidatingWebhookConfiguration (sallyport-policy)
`;

const WORDS = { Good: 'good   ', Warning: 'warning', Wrong: 'WRONG  ' } as const;

/** `sallyport doctor`. Exit codes: 0 nothing is wrong, 1 something is, 2 wrong arguments. */
export async function runDoctor(args: readonly string[], io: CommandIO): Promise<number> {
  let findings: readonly Finding[] = [];
  const failed = await runCommand({ name: 'doctor', usage: USAGE }, args, io, async () => {
    const { values } = readArguments(args, OPTIONS);
    const output = values.output ?? 'text';
    if (output !== 'text' && output !== 'json') throw usageError('--output is text or json');
    findings = await examine(values, io);
    io.stdout(output === 'json' ? `${JSON.stringify({ findings }, null, 2)}\n` : textOf(findings));
  });
  return failed || (findings.some(({ level }) => level === 'Wrong') ? 1 : 0);
}

type Values = ReturnType<typeof readArguments<typeof OPTIONS>>['values'];

async function examine(values: Values, io: CommandIO): Promise<readonly Finding[]> {
  const configuration = values.config === undefined ? undefined : loadConfiguration(values.config);
  const namespace =
    values.namespace ?? configuration?.upstream.namespace ?? (io.env['SALLYPORT_NAMESPACE'] || 'sallyport-system');
  let person: Person;
  try {
    person = new Person({ kubeconfig: values.kubeconfig, context: values.context, env: io.env });
  } catch (error) {
    throw new CommandError((error as Error).message);
  }
  try {
    const patient = new Patient(person, namespace);
    const gateway = values.account ?? 'sallyport-gateway';
    const controller = values['controller-account'] ?? (await patient.controllerAccount()) ?? gateway;
    const webhookName = values.webhook ?? configuration?.admission?.webhook?.name ?? 'sallyport-policy';
    const path = { group: 'sallyport.dev', version: 'v1alpha1', resource: 'agentpolicies' };
    const found: Finding[] = [];
    const look = async (about: string, looking: () => Promise<readonly Finding[]>): Promise<void> => {
      try {
        found.push(...(await looking()));
      } catch (error) {
        if (!(error instanceof ServerRefusal)) throw error;
        const isRight = error.status === 401 || error.status === 403;
        const next = isRight
          ? 'run it with an administrator’s kubeconfig'
          : 'is the API server there, and its CA the one of the kubeconfig?';
        found.push(wrong(about, `could not be looked at: ${error.message}`, next));
      }
    };
    await look('API server', () => lookAtVersion(patient));
    // Of a server that does not answer there is no more to say.
    if (found.some(({ message }) => message.startsWith('could not be looked at'))) return found;
    const now = Date.now();
    let policies: readonly AgentPolicy[] = [];
    await look('kinds', () => lookAtKinds(patient));
    await look('guard', () => lookAtGuard(patient));
    await look('controller', () => lookAtController(patient, now));
    await look('policies', async () => {
      policies = (await patient.list(path)) as readonly AgentPolicy[];
      return lookAtPolicies(policies);
    });
    const subjects = directSubjects(policies);
    await look('webhook', () => lookAtWebhooks(patient, webhookName, subjects, now));
    const secrets = new Set<string>();
    if (configuration?.certificates !== undefined) {
      secrets.add(configuration.certificates.secretName).add(configuration.certificates.authoritySecretName);
    }
    for (const tls of [configuration?.listen.tls, configuration?.admission?.tls]) {
      if (tls?.secretName !== undefined) secrets.add(tls.secretName);
    }
    await look('certificates', () => lookAtCertificates(patient, [...secrets], now));
    const webhook = configuration?.admission?.webhook !== undefined;
    await look('accounts', () => lookAtAccounts(patient, { gateway, controller, webhook }));
    await look('namespace', () => lookAtNamespace(patient));
    await look('bypass', () => lookAtBypasses(patient, subjects));
    if (configuration !== undefined) found.push(...(await lookAtConfiguration(configuration)));
    return found;
  } finally {
    person.close();
  }
}

function textOf(findings: readonly Finding[]): string {
  const lines = findings.flatMap(({ about, level, message, next }) => [
    `${WORDS[level]}  ${about}: ${escapeLine(message)}`,
    ...(next === undefined ? [] : [`           → ${escapeLine(next)}`]),
  ]);
  const count = (level: Finding['level']) => findings.filter((one) => one.level === level).length;
  return `${lines.join('\n')}\n\n${count('Wrong')} wrong, ${count('Warning')} to think about, ${count('Good')} good\n`;
}
