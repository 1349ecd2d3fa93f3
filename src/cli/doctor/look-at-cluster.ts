import { versionProblem } from '../../kubernetes/server-version.ts';
import { type Finding, good, warning, wrong } from './finding.ts';
import { type Patient, registration } from './patient.ts';

const KINDS = [
  'agentpolicies',
  'maskingrules',
  'approvalrequests',
  'agentsessions',
  'agentfreezes',
  'sessionrecordings',
];
const GUARDS = ['sallyport-governed', 'sallyport-specs', 'sallyport-decisions', 'sallyport-recordings'];
const APPLY_CRDS = 'kubectl apply -f crds/';

export async function lookAtVersion(patient: Patient): Promise<readonly Finding[]> {
  const version = await patient.get('/version');
  const problem = versionProblem(version);
  return problem === undefined
    ? [good('API server', `${patient.person.server} is ${version.gitVersion}`)]
    : [wrong('API server', problem, 'upgrade the cluster before the gateway')];
}

export async function lookAtKinds(patient: Patient): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const kind of KINDS) {
    const name = `${kind}.sallyport.dev`;
    const path = { group: 'apiextensions.k8s.io', version: 'v1', resource: 'customresourcedefinitions', name };
    const crd = await patient.get(path);
    const conditions: { type: string; status: string }[] = crd?.status?.conditions ?? [];
    if (crd === undefined) findings.push(wrong('kinds', `${name} is not there`, APPLY_CRDS));
    else if (!conditions.some(({ type, status }) => type === 'Established' && status === 'True')) {
      findings.push(wrong('kinds', `${name} is not served`, `kubectl describe crd ${name}`));
    }
  }
  return findings.length > 0 ? findings : [good('kinds', `all ${KINDS.length} are served`)];
}

/** What keeps our kinds inside the API server: without it nobody knows who wrote a decision. */
export async function lookAtGuard(patient: Patient): Promise<readonly Finding[]> {
  const findings: Finding[] = [];
  for (const name of GUARDS) {
    const policy = await patient.get(registration('validatingadmissionpolicies', name));
    const binding = await patient.get(registration('validatingadmissionpolicybindings', name));
    const problem =
      policy === undefined
        ? 'the ValidatingAdmissionPolicy is not there'
        : binding === undefined
          ? 'its binding is not there'
          : policy.spec?.failurePolicy !== 'Fail'
            ? 'its failurePolicy is not Fail'
            : !(binding.spec?.validationActions ?? []).includes('Deny')
              ? 'its binding does not deny'
              : undefined;
    if (problem !== undefined) {
      findings.push(
        wrong(
          'guard',
          `${name}: ${problem}; no decision of an approver is taken in`,
          'kubectl apply -f crds/guards.yaml',
        ),
      );
    }
  }
  return findings.length > 0 ? findings : [good('guard', 'the API server guards our own kinds')];
}

export async function lookAtController(patient: Patient, now: number): Promise<readonly Finding[]> {
  const { namespace } = patient;
  const name = 'sallyport-controller';
  const lease = await patient.get({ group: 'coordination.k8s.io', version: 'v1', resource: 'leases', namespace, name });
  const next = `kubectl -n ${namespace} get pods, and the log of the controller`;
  const holder: string = lease?.spec?.holderIdentity ?? '';
  if (holder === '') return [wrong('controller', 'nobody leads: no decision is taken in, nothing expires', next)];
  const age = (now - Date.parse(lease.spec.renewTime ?? '')) / 1_000;
  const duration: number = lease.spec.leaseDurationSeconds ?? 15;
  // Clocks differ, and a leader that has just gone is followed within the Lease's own time.
  if (!(age < duration * 3 + 30))
    return [wrong('controller', `${holder} has not been heard of for ${Math.round(age)} s`, next)];
  return [good('controller', `${holder} leads`)];
}

export async function lookAtNamespace(patient: Patient): Promise<readonly Finding[]> {
  const { namespace } = patient;
  const pods = await patient.list({ group: '', version: 'v1', resource: 'pods', namespace });
  const others = pods.filter(({ metadata }) => metadata?.labels?.['app.kubernetes.io/part-of'] !== 'sallyport');
  if (others.length === 0) return [];
  const names = others.slice(0, 3).map(({ metadata }) => metadata.name as string);
  const message = `${others.length} Pods that are not the gateway's run in ${namespace} (${names.join(', ')}): whoever can exec into them is close to its keys`;
  return [warning('namespace', message, 'run them elsewhere')];
}
