import type { Subject } from '../policy/agent-policy.ts';
import { AROUND_THE_GATE, type AroundTheGate, atTheAPIServer } from '../policy/around-the-gate.ts';
import type { Own } from './own.ts';

/** What a subject could do at the API server, with a credential of its own. */
export interface Bypass {
  readonly subject: Subject;
  readonly what: AroundTheGate;
  /** undefined: everywhere. */
  readonly namespace: string | undefined;
}

/** Reviews at once: an answer takes a millisecond, and the API server has others to answer. */
const AT_ONCE = 8;

/**
 * Asks the cluster's own authorizers (RBAC and whatever else there is) what these subjects could do without the gate.
 * What is allowed everywhere is not asked namespace by namespace.
 * @throws ApiError where this account may not ask
 */
export async function findBypasses(
  own: Pick<Own, 'subjectAccessReview'>,
  subjects: readonly Subject[],
  namespaces: readonly string[],
  signal?: AbortSignal,
): Promise<readonly Bypass[]> {
  const found: Bypass[] = [];
  const questions: (() => Promise<void>)[] = subjects.flatMap((subject) => {
    const who = atTheAPIServer(subject);
    if (who === undefined) return [];
    return AROUND_THE_GATE.map((what) => async () => {
      for (const namespace of [undefined, ...namespaces]) {
        const { verb, group, resource, subresource } = what;
        const status = await own.subjectAccessReview(
          {
            ...who,
            resourceAttributes: {
              verb,
              group,
              resource,
              ...(subresource === undefined ? {} : { subresource }),
              ...(namespace === undefined ? {} : { namespace }),
            },
          },
          signal,
        );
        if (!status.allowed) continue;
        found.push({ subject, what, namespace });
        if (namespace === undefined) return;
      }
    });
  });
  const next = questions.values();
  const worker = async (): Promise<void> => {
    for (const ask of next) await ask();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, worker));
  const place = ({ what, namespace }: Bypass) =>
    `${AROUND_THE_GATE.indexOf(what)}`.padStart(3, '0') + (namespace ?? '');
  return found.sort((a, b) => (place(a) < place(b) ? -1 : 1));
}
