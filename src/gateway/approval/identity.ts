import { type Approved, EXTRA_APPROVED } from '../../identity/approved.ts';
import { UPSTREAM_PREFIX, type UpstreamName } from '../../identity/upstream-name.ts';
import type { Operation } from '../../request/operation.ts';

/** How long admission may take an approved request for one; long enough for a slow webhook and clocks that differ. */
const APPROVED_FOR = 120_000;

/** The caller's name with groups more: just-in-time privilege, for one request. */
export function withGroups(name: UpstreamName, groups: readonly string[]): UpstreamName {
  if (groups.length === 0) return name;
  const all = new Set([...name.groups, ...groups.map((group) => UPSTREAM_PREFIX + group)]);
  return Object.freeze({ ...name, groups: [...all] });
}

/** The name under which an approved request goes upstream; made for it alone. @param now Unix milliseconds */
export function approvedName(
  name: UpstreamName,
  groups: readonly string[],
  approved: Approved,
  approval: string,
  operation: Operation,
  now: number,
): UpstreamName {
  const { username, uid } = name;
  const value = approved.of(approval, { ...operation, username, uid }, now + APPROVED_FOR);
  return Object.freeze({
    ...withGroups(name, groups),
    extra: Object.freeze({ ...name.extra, [EXTRA_APPROVED]: [value] }),
  });
}
