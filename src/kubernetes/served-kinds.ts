import { isStatus } from './api-error.ts';
import type { Transport } from './transport.ts';

const RECORDING_KINDS = ['sessionrecordings', 'sessionrecordings/status'];

/** The gateway's own kinds, as discovery names them. */
export function ownKinds(recording: boolean): readonly string[] {
  const kinds = ['agentpolicies', 'agentsessions', 'maskingrules', 'approvalrequests'];
  return [...kinds.flatMap((kind) => [kind, `${kind}/status`]), 'agentfreezes', ...(recording ? RECORDING_KINDS : [])];
}

/**
 * Checks by discovery, which every account may ask for, that the API server serves the gateway's own kinds.
 * @param resources plurals, with subresources where they are needed: `agentpolicies`, `agentpolicies/status`.
 * @throws Error with one line that says what is missing and what to do; ApiError, ApiUnreachableError
 */
export async function requireKinds(transport: Transport, resources: readonly string[]): Promise<void> {
  const served = await servedResources(transport);
  const missing = resources.filter((resource) => !served.has(resource));
  if (missing.length === 0) return;
  throw new Error(
    `the API server does not serve ${missing.join(', ')} of sallyport.dev/v1alpha1: ` +
      'apply the CustomResourceDefinitions first (kubectl apply -f crds/)',
  );
}

async function servedResources(transport: Transport): Promise<ReadonlySet<string>> {
  let answer: unknown;
  try {
    answer = await transport.ask({ verb: 'get', path: '/apis/sallyport.dev/v1alpha1' });
  } catch (error) {
    // A group without a kind is not there at all.
    if (isStatus(error, 404)) return new Set();
    throw error;
  }
  const { resources } = (answer ?? {}) as { resources?: unknown };
  if (!Array.isArray(resources)) return new Set();
  return new Set(resources.map((resource) => String((resource as { name?: unknown } | null)?.name)));
}
