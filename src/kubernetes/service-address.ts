import type { Transport } from './transport.ts';

export interface ServiceAddress {
  /** With the Service's own address: no cluster DNS is asked, as the API server asks none. */
  readonly origin: string;
  /** The name that its certificate has to have. */
  readonly serverName: string;
}

/** Where a Service is, the way API servers find the one of a webhook. @throws Error where it has no address */
export async function serviceAddress(
  transport: Transport,
  namespace: string,
  name: string,
  port: number,
): Promise<ServiceAddress> {
  const path = { group: '', version: 'v1', resource: 'services', namespace, name };
  const service = (await transport.ask({ verb: 'get', path })) as { spec?: { clusterIP?: unknown } } | undefined;
  const address = service?.spec?.clusterIP;
  if (typeof address !== 'string' || !/^[0-9a-f.:]+$/i.test(address))
    throw new Error(`the Service ${namespace}/${name} has no address in the cluster`);
  const host = address.includes(':') ? `[${address}]` : address;
  return { origin: `https://${host}:${port}`, serverName: `${name}.${namespace}.svc` };
}
