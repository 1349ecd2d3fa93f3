import { z } from 'zod';

const annotations = z.record(z.string(), z.string()).default({}).describe('Annotations.');
const free = z.record(z.string(), z.unknown());

/** How agents reach the gateway, and who may reach what. */
export const exposure = {
  service: z
    .strictObject({
      type: z.enum(['ClusterIP', 'NodePort', 'LoadBalancer']).default('ClusterIP').describe('Of the agents’ Service.'),
      port: z.int().min(1).max(65_535).default(443).describe('Its port.'),
      nodePort: z.int().min(0).max(65_535).default(0).describe('With type NodePort or LoadBalancer; 0: a free one.'),
      annotations,
      loadBalancerClass: z.string().default('').describe('With type LoadBalancer.'),
      loadBalancerSourceRanges: z.array(z.string()).default([]).describe('Who may come in, with type LoadBalancer.'),
      externalTrafficPolicy: z
        .enum(['Cluster', 'Local'])
        .default('Cluster')
        .describe('Local keeps the caller’s address, which policies can ask about.'),
    })
    .prefault({})
    .describe('Where agents call.'),
  ingress: z
    .strictObject({
      enabled: z.boolean().default(false).describe('An Ingress that passes TLS through.'),
      className: z.string().default('').describe('Its class.'),
      host: z.string().default('').describe('Its host; also a name of the certificate.'),
      annotations: z
        .record(z.string(), z.string())
        .default({ 'nginx.ingress.kubernetes.io/ssl-passthrough': 'true' })
        .describe(
          'How your controller is told to pass TLS through. TLS that ends before the gateway is of no use to it.',
        ),
    })
    .prefault({})
    .describe('For agents outside.'),
  tlsRoute: z
    .strictObject({
      enabled: z
        .boolean()
        .default(false)
        .describe('A TLSRoute of the Gateway API, for a listener of mode Passthrough.'),
      apiVersion: z
        .enum(['v1', 'v1alpha3', 'v1alpha2'])
        .default('v1')
        .describe('Of gateway.networking.k8s.io, as the cluster has it.'),
      hostnames: z.array(z.string().min(1)).default([]).describe('Its names; also names of the certificate.'),
      parentRefs: z.array(free).default([]).describe('The Gateways.'),
    })
    .prefault({})
    .describe('For agents outside.'),
  networkPolicy: z
    .strictObject({
      enabled: z.boolean().default(true).describe('Only the ports that are served can be reached.'),
      agents: z.array(free).default([]).describe('Peers that may call the gateway; absent: anyone.'),
      webhook: z
        .array(free)
        .default([])
        .describe('Peers that may call the webhook (API servers, whose addresses only you know); absent: anyone.'),
      metrics: z
        .array(free)
        .default([{ podSelector: {} }])
        .describe('Peers that may read metrics; by default the release’s own namespace.'),
      egress: z.array(free).default([]).describe('Rules for what the Pods may reach; absent: anything.'),
    })
    .prefault({})
    .describe('Network policies.'),
};
