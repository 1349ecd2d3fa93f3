// One entry of `match.resources`. `pods` is the resource alone, `pods/log` one subresource, `pods/*` every subresource
// of pods and not pods itself, `*` every resource and no subresource, `*/scale` that subresource of anything, `*/*`
// every resource and every subresource.
export interface ResourcePattern {
  readonly resource: string;
  readonly subresource: string;
}

export function parseResourcePattern(text: string): ResourcePattern {
  const slash = text.indexOf('/');
  return slash === -1
    ? { resource: text, subresource: '' }
    : { resource: text.slice(0, slash), subresource: text.slice(slash + 1) };
}

export function matchesResource(pattern: ResourcePattern, resource: string, subresource: string): boolean {
  if (pattern.resource !== '*' && pattern.resource !== resource) return false;
  if (pattern.subresource !== '*') return pattern.subresource === subresource;
  return subresource !== '' || pattern.resource === '*';
}

// What is too dangerous for a wildcard. A rule opens it only by an entry that spells the dangerous part out:
// `serviceaccounts/token` or `*/token`, `services/proxy` or `*/proxy`, `certificatesigningrequests`.
export function mustBeNamed(apiGroup: string, resource: string, subresource: string): boolean {
  return (
    subresource === 'proxy' ||
    (apiGroup === '' && resource === 'serviceaccounts' && subresource === 'token') ||
    (apiGroup === 'certificates.k8s.io' && resource === 'certificatesigningrequests')
  );
}

/** Whether this pattern, which matches, spells out the dangerous part. */
export function names(pattern: ResourcePattern, resource: string, subresource: string): boolean {
  if (subresource === 'proxy' || subresource === 'token') return pattern.subresource === subresource;
  return pattern.resource === resource;
}
