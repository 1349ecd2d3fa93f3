import { isStatus } from '../kubernetes/api-error.ts';
import type { ResourcePath } from '../kubernetes/resource-path.ts';
import { eventually, type ReleaseTask } from './release-task.ts';

/** What the controller makes for API servers to call. */
const CONFIGURATIONS = ['sallyport-policy', 'sallyport-compile'];

/**
 * Before a release goes: the controller ends, and then the webhooks' configurations, which nobody writes anew. Their owner takes
 * them along too; this is for the time in between, in which nobody would answer for governed identities.
 */
export async function endRelease(task: ReleaseTask): Promise<void> {
  const { transport, namespace } = task;
  const controller = { group: 'apps', version: 'v1', resource: 'deployments', namespace, name: 'sallyport-controller' };
  const scale: ResourcePath = { ...controller, subresource: 'scale' };
  await eventually(task, 'the controller is scaled to nothing', async () => {
    try {
      const body = { spec: { replicas: 0 } };
      await transport.ask({ verb: 'patch', path: scale, patchType: 'application/merge-patch+json', body });
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
    }
    return true;
  });
  await eventually(task, 'nobody leads', () => nobodyLeads(task));
  for (const name of CONFIGURATIONS) {
    await remove(task, {
      group: 'admissionregistration.k8s.io',
      version: 'v1',
      resource: 'validatingwebhookconfigurations',
      name,
    });
  }
}

/** After it: what was made at run time. Recordings, their keys and the kinds stay. */
export async function sweepRelease(task: ReleaseTask, certificate: string | undefined): Promise<void> {
  const { namespace } = task;
  await remove(task, {
    group: 'coordination.k8s.io',
    version: 'v1',
    resource: 'leases',
    namespace,
    name: 'sallyport-controller',
  });
  const own = certificate === undefined ? [] : [certificate, 'sallyport-ca'];
  for (const name of [...own, 'sallyport-session-keys', 'sallyport-installation'])
    await remove(task, { group: '', version: 'v1', resource: 'secrets', namespace, name });
}

/** A leader that stops gives its Lease back; one that was killed lets it run out. */
async function nobodyLeads({ transport, namespace }: ReleaseTask): Promise<true | string> {
  const path = {
    group: 'coordination.k8s.io',
    version: 'v1',
    resource: 'leases',
    namespace,
    name: 'sallyport-controller',
  };
  try {
    const { spec = {} } = (await transport.ask({ verb: 'get', path })) as {
      spec?: { holderIdentity?: string; renewTime?: string; leaseDurationSeconds?: number };
    };
    if (!spec.holderIdentity) return true;
    const end = Date.parse(spec.renewTime ?? '') + (spec.leaseDurationSeconds ?? 15) * 1_000;
    return !(end > Date.now()) || `${spec.holderIdentity} does`;
  } catch (error) {
    if (isStatus(error, 404)) return true;
    throw error;
  }
}

async function remove(task: ReleaseTask, path: ResourcePath): Promise<void> {
  await eventually(task, `${path.resource}/${path.name} is gone`, async () => {
    try {
      await task.transport.ask({ verb: 'delete', path });
    } catch (error) {
      if (!isStatus(error, 404)) throw error;
    }
    return true;
  });
}
