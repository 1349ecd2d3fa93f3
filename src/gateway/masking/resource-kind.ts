import type { Operation } from '../../request/operation.ts';

/** Kinds that are masked by structure, by what is asked for: items of their lists do not say what they are. */
const KINDS: Readonly<Record<string, string>> = {
  '/secrets': 'Secret',
  '/configmaps': 'ConfigMap',
  '/serviceaccounts/token': 'TokenRequest',
  'authentication.k8s.io/tokenreviews': 'TokenReview',
  'authentication.k8s.io/tokenrequests': 'TokenRequest',
};

/** The kind that a request's answer is taken for until it says so itself; `''` where that is not known. */
export function resourceKind({ apiGroup, resource, subresource }: Operation): string {
  return KINDS[`${apiGroup}/${resource}${subresource === '' ? '' : `/${subresource}`}`] ?? '';
}
