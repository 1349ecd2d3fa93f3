import { escapeLine } from '../errors.ts';
import { compileMaskingRule, type MaskingRule } from '../masking/masking-rule.ts';
import type { AgentPolicy } from '../policy/agent-policy.ts';
import { compilePolicy } from '../policy/compiled-policy.ts';
import type { AdmissionResponse } from './admission-answer.ts';
import { readAdmissionReview } from './admission-review.ts';

/** kubectl shows one message; an author mends a few mistakes at a time. */
const MOST_TOLD = 8;

/**
 * Whether a policy or a masking rule compiles, for whoever writes it. What does not is refused with the place of each mistake;
 * it would be in force all the same, allowing nothing, and its status would say so.
 * @param text the posted AdmissionReview
 * @throws SallyportError SP_BAD_REQUEST
 */
export function compileReview(text: string): AdmissionResponse {
  const { uid, resource } = readAdmissionReview(text);
  const { request } = JSON.parse(text) as { request: { object?: unknown } };
  const mistakes = resource === 'agentpolicies' ? ofPolicy(request.object) : ofRule(request.object);
  if (mistakes.length === 0) return { uid, allowed: true };
  const told = mistakes.slice(0, MOST_TOLD);
  const more = mistakes.length > told.length ? [`and ${mistakes.length - told.length} more`] : [];
  const message = `it does not compile: ${[...told, ...more].map(escapeLine).join('; ')}`;
  return { uid, allowed: false, status: { code: 422, reason: 'Invalid', message } };
}

function ofPolicy(object: unknown): readonly string[] {
  return compilePolicy(object as AgentPolicy).errors.map(({ rule, expression, line, column, message }) => {
    const place = line === undefined ? '' : `, line ${line}:${column ?? 1}`;
    return `${rule === '' ? '' : `${rule}, `}${expression}${place}: ${message}`;
  });
}

function ofRule(object: unknown): readonly string[] {
  return compileMaskingRule(object as MaskingRule).errors.map(
    ({ at, column, message }) => `${at}${column === undefined ? '' : `, column ${column}`}: ${message}`,
  );
}
