import { escapeLine } from '../errors.ts';
import type { ResourcePath } from './resource-path.ts';

/** What the gateway's own account asked for, for errors, metrics and logs. */
export interface Asked {
  readonly verb: string;
  /** `agentpolicies.sallyport.dev`, or a path for what is no resource. */
  readonly what: string;
  readonly namespace: string | undefined;
  readonly name: string | undefined;
}

export function asked(verb: string, path: ResourcePath): Asked {
  const resource = path.subresource === undefined ? path.resource : `${path.resource}/${path.subresource}`;
  return {
    verb,
    what: path.group === '' ? resource : `${resource}.${path.group}`,
    namespace: path.namespace,
    name: path.name,
  };
}

/** An answer of the API server that is not a success. The message is one line and says which verb on what. */
export class ApiError extends Error {
  readonly asked: Asked;
  /** HTTP status code. */
  readonly status: number;
  /** metav1.StatusReason, '' where the answer had none. */
  readonly reason: string;
  /** Seconds, from the Retry-After header. */
  readonly retryAfter: number | undefined;

  constructor(question: Asked, status: number, reason: string, serverMessage: string, retryAfter?: number) {
    super(`${describe(question)}: ${verdict(status, reason)}${serverMessage === '' ? '' : `: ${clip(serverMessage)}`}`);
    this.name = 'ApiError';
    this.asked = question;
    this.status = status;
    this.reason = reason;
    this.retryAfter = retryAfter;
  }
}

/** The API server did not answer, or with something that is not an answer. */
export class ApiUnreachableError extends Error {
  readonly asked: Asked;
  /** A class of causes, bounded: for metrics. */
  readonly kind: 'connect' | 'timeout' | 'tls' | 'broken' | 'size' | 'malformed';

  constructor(question: Asked, kind: ApiUnreachableError['kind'], detail: string, cause?: unknown) {
    super(`${describe(question)}: ${clip(detail)}`, cause === undefined ? undefined : { cause });
    this.name = 'ApiUnreachableError';
    this.asked = question;
    this.kind = kind;
  }
}

export function isStatus(error: unknown, status: number): error is ApiError {
  return error instanceof ApiError && error.status === status;
}

function describe({ verb, what, namespace, name }: Asked): string {
  const target = name === undefined ? what : `${what} "${name}"`;
  const where = namespace === undefined ? '' : ` in namespace "${namespace}"`;
  return escapeLine(`${verb} ${target}${where}`);
}

function verdict(status: number, reason: string): string {
  if (status === 403) return "forbidden to the gateway's own account (403)";
  if (status === 401) return "the gateway's own credential was not accepted (401)";
  return `${status}${reason === '' ? '' : ` ${escapeLine(reason).slice(0, 60)}`}`;
}

function clip(text: string): string {
  const line = escapeLine(text);
  return line.length > 500 ? `${line.slice(0, 500)}…` : line;
}
