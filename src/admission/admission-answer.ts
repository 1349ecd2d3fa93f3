import { escapeLine, type SallyportError, toStatus } from '../errors.ts';
import type { Decision } from '../policy/decision.ts';

/** `response` of an AdmissionReview. */
export interface AdmissionResponse {
  readonly uid: string;
  readonly allowed: boolean;
  readonly status?: { readonly code: number; readonly reason: string; readonly message: string };
  readonly warnings?: readonly string[];
  readonly auditAnnotations?: Readonly<Record<string, string>>;
}

/** The API server cuts a warning at 256 characters, and all of them at 4,096 (KEP-1693). */
const WARNING_LENGTH = 256;
const MOST_WARNINGS = 16;
/** Audit events are kept whole by whoever keeps them: no annotation grows without a bound. */
const ANNOTATION_LENGTH = 1_024;

/** The answer to one review. A refusal says what the gateway would have said of the same. */
export function admissionResponse(
  uid: string,
  decision: Decision | undefined,
  refusal: SallyportError | undefined,
): AdmissionResponse {
  const warnings = (decision?.warnings ?? [])
    .slice(0, MOST_WARNINGS)
    .map((line) => escapeLine(line).slice(0, WARNING_LENGTH));
  const annotations = decision === undefined ? {} : auditAnnotations(decision);
  return {
    uid,
    allowed: refusal === undefined,
    ...(refusal === undefined ? {} : { status: statusOf(refusal, uid) }),
    ...(warnings.length === 0 ? {} : { warnings }),
    ...(Object.keys(annotations).length === 0 ? {} : { auditAnnotations: annotations }),
  };
}

/** The review as it is sent: 200 whatever was decided, as the API server wants it. */
export function admissionReview(response: AdmissionResponse): string {
  return JSON.stringify({ apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response });
}

function statusOf(refusal: SallyportError, uid: string): NonNullable<AdmissionResponse['status']> {
  const { message, reason } = toStatus(refusal, uid);
  return { code: refusal.status, reason, message };
}

/** The API server puts the webhook's name before each key. */
function auditAnnotations(decision: Decision): Record<string, string> {
  const { action, policy, rule, audit } = decision;
  const annotations: Record<string, string> = {};
  if (policy !== '') annotations['decision'] = escapeLine(`${action} ${policy}/${rule}`).slice(0, ANNOTATION_LENGTH);
  if (audit.length > 0) {
    const would = audit.map((one) => `${one.enforcement} ${one.action} ${one.policy}/${one.rule}: ${one.reason}`);
    annotations['would-be'] = escapeLine(would.join('; ')).slice(0, ANNOTATION_LENGTH);
  }
  return annotations;
}
