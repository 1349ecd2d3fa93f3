import type { Transport } from './transport.ts';

/** Minor version of Kubernetes 1 that this gateway needs at least, and the newest that it was tried with (docs/operations.md). */
export const OLDEST_MINOR = 35;
export const NEWEST_MINOR = 37;

/**
 * What is wrong with an API server of this version.
 * @param version `/version` as it answers
 * @returns undefined where nothing is
 */
export function versionProblem(version: unknown): string | undefined {
  const { major, minor, gitVersion } = (version ?? {}) as { major?: unknown; minor?: unknown; gitVersion?: unknown };
  // Clouds add a plus: "36+".
  const number = typeof minor === 'string' ? /^(\d{1,3})\+?$/.exec(minor)?.[1] : undefined;
  const name = typeof gitVersion === 'string' ? gitVersion.slice(0, 64) : 'of an unknown version';
  if (major !== '1' || number === undefined) return `the API server is ${name}, which is no Kubernetes 1.x`;
  if (Number(number) >= OLDEST_MINOR) return undefined;
  return (
    `the API server is ${name}; this gateway needs Kubernetes 1.${OLDEST_MINOR} or newer ` +
    '(older ones do not ask for the verb create on WebSocket exec, attach and port-forward)'
  );
}

/** @throws Error in one line where the API server is too old; ApiError, ApiUnreachableError */
export async function requireVersion(transport: Transport): Promise<void> {
  const problem = versionProblem(await transport.ask({ verb: 'get', path: '/version' }));
  if (problem !== undefined) throw new Error(problem);
}
