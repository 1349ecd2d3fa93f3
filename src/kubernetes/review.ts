/** authorization.k8s.io/v1 SubjectAccessReviewSpec: what could this subject do? */
export interface SubjectAccessReviewSpec {
  readonly user: string;
  readonly groups?: readonly string[];
  readonly uid?: string;
  readonly extra?: Readonly<Record<string, readonly string[]>>;
  readonly resourceAttributes?: {
    readonly verb: string;
    readonly group?: string;
    readonly version?: string;
    readonly resource: string;
    readonly subresource?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly nonResourceAttributes?: { readonly path: string; readonly verb: string };
}

export interface SubjectAccessReviewStatus {
  readonly allowed: boolean;
  readonly denied: boolean;
  readonly reason: string;
  readonly evaluationError: string;
}

/** authentication.k8s.io/v1 TokenReviewStatus, with the types checked and nothing judged. */
export interface TokenReviewStatus {
  readonly authenticated: boolean;
  readonly audiences: readonly string[];
  readonly error: string;
  readonly user:
    | {
        readonly username: string;
        readonly uid: string;
        readonly groups: readonly string[];
        readonly extra: Readonly<Record<string, readonly string[]>>;
      }
    | undefined;
}

/**
 * Reads the status of an answered TokenReview. What is not of the right type counts as absent, and only the boolean
 * `true` as a yes.
 */
export function readTokenReview(answer: unknown): TokenReviewStatus {
  const status = fields(fields(answer)['status']);
  const user = status['user'] === undefined ? undefined : fields(status['user']);
  return {
    authenticated: status['authenticated'] === true,
    audiences: strings(status['audiences']),
    error: text(status['error']),
    user:
      user === undefined
        ? undefined
        : {
            username: text(user['username']),
            uid: text(user['uid']),
            groups: strings(user['groups']),
            extra: Object.fromEntries(
              Object.entries(fields(user['extra'])).map(([key, value]) => [key, strings(value)]),
            ),
          },
  };
}

/** Reads the status of an answered SubjectAccessReview; only the boolean `true` is a yes, and a denial beats it. */
export function readAccessReview(answer: unknown): SubjectAccessReviewStatus {
  const status = fields(fields(answer)['status']);
  const denied = status['denied'] === true;
  return {
    allowed: status['allowed'] === true && !denied,
    denied,
    reason: text(status['reason']),
    evaluationError: text(status['evaluationError']),
  };
}

function fields(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {};
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((item) => typeof item === 'string') : [];
}
