import type { Subject } from '../policy/agent-policy.ts';
import { subjectProblem } from '../policy/subjects.ts';

/** Names of one match condition at most; beyond it the API server would spend more time on it than on the request. */
const MAX_NAMES = 5_000;

/**
 * The match condition of the policy webhook: true for whoever is governed, in CEL as the API server evaluates it. It is what
 * keeps an outage of the webhook from everyone else, so it says yes to nobody more:
 * - names under `sallyport:`, which only the gateway gives, and extras under `sallyport.dev/`, which nobody else may bring;
 * - the users, groups and ServiceAccounts that policies name, by the names that the API server itself gives them.
 *
 * Subjects that may not be governed are left out: their policies allow nothing. An Agent exists at the gateway only.
 *
 * @throws RangeError for more names than one condition can hold
 */
export function governedExpression(subjects: readonly Subject[]): string {
  const users = new Set<string>();
  const groups = new Set<string>();
  for (const subject of subjects) {
    if (subjectProblem(subject) !== undefined) continue;
    if (subject.kind === 'User') users.add(subject.name);
    else if (subject.kind === 'Group') groups.add(subject.name);
    else if (subject.kind === 'ServiceAccount') {
      users.add(`system:serviceaccount:${subject.namespace ?? ''}:${subject.name}`);
    }
  }
  if (users.size + groups.size > MAX_NAMES) {
    throw new RangeError(`policies name ${users.size + groups.size} subjects; one webhook holds ${MAX_NAMES}`);
  }
  const terms = [
    `request.userInfo.username.startsWith("sallyport:")`,
    `has(request.userInfo.extra) && request.userInfo.extra.exists(key, key.startsWith("sallyport.dev/"))`,
  ];
  if (users.size > 0) terms.push(`request.userInfo.username in ${list(users)}`);
  if (groups.size > 0) {
    terms.push(`has(request.userInfo.groups) && request.userInfo.groups.exists(group, group in ${list(groups)})`);
  }
  return terms.map((term) => `(${term})`).join(' || ');
}

/** Sorted: the same subjects are the same text, whatever order they came in. */
const list = (names: ReadonlySet<string>): string => `[${[...names].sort().map(literal).join(', ')}]`;

/** A CEL string literal; its escapes are those of JSON (cel-spec, "String and Bytes Values"). */
const literal = (name: string): string => JSON.stringify(name);
