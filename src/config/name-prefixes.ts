interface NameSource {
  readonly path: (string | number)[];
  readonly prefix: string;
}

interface Sources {
  readonly oidc: readonly {
    readonly issuer: string;
    readonly claimMappings: {
      readonly username: { readonly prefix: string };
      readonly groups?: { readonly prefix: string } | undefined;
    };
  }[];
  readonly clientCertificates?: { readonly usernamePrefix: string; readonly groupsPrefix: string } | undefined;
}

/** Every place where usernames come from, with its prefix. ServiceAccounts have a namespace of their own. */
export function usernameSources(methods: Sources): NameSource[] {
  const sources = methods.oidc.map(({ claimMappings }, index) => ({
    path: ['oidc', index, 'claimMappings', 'username', 'prefix'],
    prefix: claimMappings.username.prefix,
  }));
  const certificates = methods.clientCertificates;
  if (certificates) {
    sources.push({ path: ['clientCertificates', 'usernamePrefix'], prefix: certificates.usernamePrefix });
  }
  return sources;
}

/** Every place where groups come from, with its prefix. */
export function groupSources(methods: Sources): NameSource[] {
  const sources: NameSource[] = [];
  for (const [index, { claimMappings }] of methods.oidc.entries()) {
    const groups = claimMappings.groups;
    if (groups) sources.push({ path: ['oidc', index, 'claimMappings', 'groups', 'prefix'], prefix: groups.prefix });
  }
  const certificates = methods.clientCertificates;
  if (certificates) sources.push({ path: ['clientCertificates', 'groupsPrefix'], prefix: certificates.groupsPrefix });
  return sources;
}

/**
 * Two issuers that both know an `alice` must not make one Alice of them. So at most one source goes without a prefix
 * (its names that begin like another's prefix are refused when they come), and no prefix begins another.
 */
export function nameConflicts(methods: Sources): { path: (string | number)[]; message: string }[] {
  const conflicts: { path: (string | number)[]; message: string }[] = [];
  const issuers = new Set<string>();
  for (const [index, { issuer }] of methods.oidc.entries()) {
    if (issuers.has(issuer))
      conflicts.push({ path: ['oidc', index, 'issuer'], message: 'this issuer is listed twice' });
    issuers.add(issuer);
  }
  for (const sources of [usernameSources(methods), groupSources(methods)]) {
    for (const [index, one] of sources.entries()) {
      for (const other of sources.slice(0, index)) {
        const [shorter, longer] = one.prefix.length < other.prefix.length ? [one, other] : [other, one];
        const same = one.prefix === other.prefix;
        if (!same && (shorter.prefix === '' || !longer.prefix.startsWith(shorter.prefix))) continue;
        conflicts.push({
          path: one.path,
          message: same
            ? `"${one.prefix}" is also the prefix of ${other.path.join('.')}: the same name from both would be one caller`
            : `"${longer.prefix}" begins with "${shorter.prefix}": names of both could be one`,
        });
      }
    }
  }
  return conflicts;
}
