import { existsSync, readFileSync } from 'node:fs';
import { Agent, request } from 'undici';
import { requireKinds } from '../kubernetes/served-kinds.ts';
import { serviceAddress } from '../kubernetes/service-address.ts';
import { eventually, type ReleaseTask } from './release-task.ts';

export interface ReleaseCheck {
  readonly caFile: string | undefined;
  readonly serverName: string | undefined;
  readonly webhook: boolean;
}

const ANSWERS_WITHIN = 5_000;
const WORKLOADS = [
  ['statefulsets', 'sallyport-gateway'],
  ['deployments', 'sallyport-controller'],
] as const;

interface Workload {
  readonly metadata?: { readonly generation?: number };
  readonly spec?: { readonly replicas?: number };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly replicas?: number;
    readonly updatedReplicas?: number;
    readonly readyReplicas?: number;
  };
}

/** Waits until an installation answers where agents and API servers call it, with a certificate that they will accept. */
export async function checkRelease(task: ReleaseTask, check: ReleaseCheck): Promise<void> {
  await eventually(task, 'the API server serves the kinds', async () => {
    await requireKinds(task.transport, ['agentpolicies', 'agentsessions', 'approvalrequests', 'maskingrules']);
    return true;
  });
  for (const [resource, name] of WORKLOADS)
    await eventually(task, `every replica of ${name} is of this version and ready`, () =>
      rolledOut(task, resource, name),
    );
  await eventually(task, 'the gateway answers at its Service', async () => {
    const { status, text } = await ask(task, check, 'sallyport', '/version');
    // Nobody is let in without a credential, and the refusal is the gateway's own.
    return (status === 401 && text.includes('SP_')) || `it answers ${status}: ${text.slice(0, 200)}`;
  });
  if (!check.webhook) return;
  await eventually(task, 'the webhook answers at its Service', async () => {
    const { status } = await ask(task, check, 'sallyport-webhook', '/admit');
    return status === 405 || `it answers ${status}`;
  });
}

async function ask(
  task: ReleaseTask,
  check: ReleaseCheck,
  service: string,
  path: string,
): Promise<{ status: number; text: string }> {
  const { origin, serverName } = await serviceAddress(
    task.transport,
    task.namespace,
    service,
    await portOf(task, service),
  );
  const ca = check.caFile !== undefined && existsSync(check.caFile) ? readFileSync(check.caFile) : undefined;
  const dispatcher = new Agent({
    connect: { servername: check.serverName ?? serverName, timeout: ANSWERS_WITHIN, ...(ca && { ca }) },
    bodyTimeout: ANSWERS_WITHIN,
  });
  try {
    const { statusCode, body } = await request(`${origin}${path}`, { dispatcher, headersTimeout: ANSWERS_WITHIN });
    return { status: statusCode, text: await body.text() };
  } finally {
    await dispatcher.destroy();
  }
}

/** As `kubectl rollout status` has it. */
async function rolledOut(
  { transport, namespace }: ReleaseTask,
  resource: string,
  name: string,
): Promise<true | string> {
  const path = { group: 'apps', version: 'v1', resource, namespace, name };
  const { metadata, spec, status = {} } = (await transport.ask({ verb: 'get', path })) as Workload;
  const wanted = spec?.replicas ?? 1;
  const { observedGeneration = 0, replicas = 0, updatedReplicas = 0, readyReplicas = 0 } = status;
  if (observedGeneration < (metadata?.generation ?? 0)) return 'it was not looked at yet';
  if (replicas === wanted && updatedReplicas === wanted && readyReplicas === wanted) return true;
  return `of ${wanted}, ${updatedReplicas} are of this version and ${readyReplicas} ready`;
}

async function portOf({ transport, namespace }: ReleaseTask, name: string): Promise<number> {
  const path = { group: '', version: 'v1', resource: 'services', namespace, name };
  const service = (await transport.ask({ verb: 'get', path })) as { spec?: { ports?: { port?: number }[] } };
  return service.spec?.ports?.[0]?.port ?? 443;
}
