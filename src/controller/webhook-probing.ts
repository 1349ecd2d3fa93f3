import { setTimeout as sleep } from 'node:timers/promises';
import { PROBE_ANNOTATION, wasCalled } from '../admission/webhook-probe.ts';
import { isStatus } from '../kubernetes/api-error.ts';
import type { Transport } from '../kubernetes/transport.ts';
import type { Own } from '../upstream/own.ts';
import { OWN_KINDS } from '../upstream/own-kinds.ts';

const LEASE = 'sallyport-controller';
/** Milliseconds: an API server hears of a new configuration within a second or so. */
const PAUSES = [0, 100, 200, 300, 500, 750, 1_000, 1_000, 1_500, 2_000];

/**
 * Writes the controller's own Lease as a dry run that the match condition of this mark lets through, and looks whether the
 * webhook has answered for it.
 * @returns why the API server does not call; undefined where it does
 */
export async function probeWebhook(
  {
    transport,
    own,
    namespace,
  }: { readonly transport: Transport; readonly own: Pick<Own, 'get'>; readonly namespace: string },
  mark: string,
): Promise<string | undefined> {
  let problem = 'the API server does not call the webhook';
  for (const pause of PAUSES) {
    if (pause > 0) await sleep(pause);
    try {
      const lease = await own.get('Lease', { name: LEASE });
      // Somebody else leads, or nobody yet: their Lease is there soon.
      if (lease === undefined) continue;
      let said: readonly string[] = [];
      const { group, version, resource } = OWN_KINDS.Lease;
      await transport.ask({
        verb: 'update',
        path: { group, version, resource, namespace, name: LEASE },
        query: { dryRun: 'All' },
        body: {
          ...lease,
          apiVersion: `${group}/${version}`,
          kind: 'Lease',
          metadata: { ...lease.metadata, managedFields: undefined, annotations: { [PROBE_ANNOTATION]: mark } },
        },
        onWarnings: (warnings) => {
          said = warnings;
        },
      });
      if (wasCalled(said, mark)) return undefined;
      problem = 'the API server does not call the webhook';
    } catch (error) {
      // Renewed in that very moment.
      if (isStatus(error, 409)) continue;
      problem = `the API server could not call the webhook: ${(error as Error).message}`;
    }
  }
  return problem;
}
