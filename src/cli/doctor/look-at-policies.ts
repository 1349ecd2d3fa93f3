import type { AgentPolicy, Subject } from '../../policy/agent-policy.ts';
import { atTheAPIServer, subjectWords } from '../../policy/around-the-gate.ts';
import { subjectKey } from '../../policy/subjects.ts';
import { findBypasses } from '../../upstream/bypass.ts';
import { type Finding, good, warning, wrong } from './finding.ts';
import type { Patient } from './patient.ts';

/** Namespaces that each subject is asked about; a cluster with more is asked about its first ones, and told so. */
const MOST_NAMESPACES = 100;

/** Subjects that API servers know, each once. */
export function directSubjects(policies: readonly AgentPolicy[]): readonly Subject[] {
  const all = policies.flatMap(({ spec }) => spec.subjects ?? []);
  return [...new Map(all.map((subject) => [subjectKey(subject), subject])).values()];
}

export function lookAtPolicies(policies: readonly AgentPolicy[]): readonly Finding[] {
  if (policies.length === 0) {
    return [
      warning(
        'policies',
        'there is none: every caller is refused',
        'kubectl apply -f examples/policies/read-only-agent.yaml',
      ),
    ];
  }
  const findings: Finding[] = [];
  for (const { metadata, spec, status } of policies) {
    const { name } = metadata;
    const condition = (type: string) => status?.conditions?.find((one) => one.type === type);
    const ready = condition('Ready');
    const describe = `kubectl describe agentpolicy ${name}`;
    if (ready === undefined)
      findings.push(wrong('policies', `${name}: no replica has said anything of it`, 'is a gateway running?'));
    else if (ready.status !== 'True') findings.push(wrong('policies', `${name}: ${ready.message}`, describe));
    const coverage = condition('AdmissionCoverage');
    if (coverage?.status === 'False') findings.push(warning('policies', `${name}: ${coverage.message}`, describe));
    if (spec.enforcement === 'Warn' || spec.enforcement === 'Audit') {
      findings.push(
        warning(
          'policies',
          `${name} stops nothing (enforcement: ${spec.enforcement})`,
          'set it to Enforce once it is right',
        ),
      );
    }
  }
  const bad = findings.filter(({ level }) => level === 'Wrong').length;
  return bad > 0 ? findings : [good('policies', `${policies.length} in force`), ...findings];
}

/** What each governed subject could do with a credential of the API server's own: for reads no webhook helps. */
export async function lookAtBypasses(patient: Patient, subjects: readonly Subject[]): Promise<readonly Finding[]> {
  const known = subjects.filter((subject) => atTheAPIServer(subject) !== undefined);
  const list = await patient.list({ group: '', version: 'v1', resource: 'namespaces' });
  const namespaces = list.map(({ metadata }) => metadata.name as string);
  const asked = namespaces.slice(0, MOST_NAMESPACES);
  const found = await findBypasses(patient, known, asked);
  const findings: Finding[] = [];
  for (const subject of known) {
    const places = new Map<string, string[]>();
    for (const { what, namespace } of found.filter((one) => one.subject === subject)) {
      const where = namespace ?? '';
      places.set(where, [...(places.get(where) ?? []), what.words]);
    }
    for (const [where, words] of places) {
      const message = `${subjectWords(subject)} can, without the gate${where === '' ? '' : `, in ${where}`}: ${words.join(', ')}`;
      findings.push(wrong('bypass', message, next(subject, where)));
    }
  }
  if (findings.length === 0) findings.push(good('bypass', `none of ${known.length} subjects can go around the gate`));
  if (asked.length < namespaces.length) {
    const message = `asked about ${asked.length} of ${namespaces.length} namespaces`;
    findings.push(warning('bypass', message, 'look at RoleBindings in the others'));
  }
  return findings;
}

/** Rights belong to the names that only the gateway can assert. */
function next(subject: Subject, namespace: string): string {
  const upstream =
    subject.kind === 'ServiceAccount'
      ? `User sallyport:sa:${subject.namespace}:${subject.name}`
      : `${subject.kind} sallyport:${subject.name}`;
  const where = namespace === '' ? 'ClusterRoleBindings' : `RoleBindings of ${namespace}`;
  return `in ${where}, name "${upstream}" in its place`;
}
