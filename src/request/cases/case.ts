import type { Operation } from '../operation.ts';

/** What a request must be read as; a field that is left out must be '', false or undefined. */
export type Expectation = Partial<Operation>;

export interface RequestCase {
  readonly method: string;
  readonly target: string;
  readonly contentType?: string;
  /** `SP_…` for a refusal. */
  readonly want: Expectation | 'SP_BAD_REQUEST' | 'SP_UNSUPPORTED_MEDIA_TYPE';
  /** What the API server's audit log says differently, and why that is meant. */
  readonly audit?: { readonly verb?: string; readonly name?: string };
  /** Not sent to the real API server: it would wait, or the target cannot travel over the test's client. */
  readonly offline?: true;
}

export const ok = (
  method: string,
  target: string,
  want: Expectation,
  more: Partial<RequestCase> = {},
): RequestCase => ({
  method,
  target,
  want,
  ...more,
});
export const bad = (target: string, method = 'GET'): RequestCase => ({ method, target, want: 'SP_BAD_REQUEST' });

/** Core group, version v1. */
export const core = (verb: string, resource: string, more: Expectation = {}): Expectation => ({
  verb,
  isResource: true,
  apiVersion: 'v1',
  resource,
  ...more,
});
export const named = (
  verb: string,
  apiGroup: string,
  apiVersion: string,
  resource: string,
  more: Expectation = {},
): Expectation => ({
  verb,
  isResource: true,
  apiGroup,
  apiVersion,
  resource,
  ...more,
});
export const path = (verb: string): Expectation => ({ verb });
export const shop = { namespace: 'shop' };
export const web = { namespace: 'shop', name: 'web' };
export const SHOP = '/api/v1/namespaces/shop';
export const quiet = { command: [], container: '', stdin: false, stdout: false, stderr: false, tty: false };
