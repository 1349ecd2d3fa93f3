import { z } from 'zod';

const free = z.record(z.string(), z.unknown());
const labels = z.record(z.string(), z.string()).default({});

/** How the Pods are spread, watched, upgraded and checked. */
export const operation = {
  autoscaling: z
    .strictObject({
      enabled: z.boolean().default(false).describe('A HorizontalPodAutoscaler for the gateway.'),
      minReplicas: z.int().min(2).default(2).describe('At least.'),
      maxReplicas: z.int().min(2).default(6).describe('At most.'),
      targetCPUUtilizationPercentage: z.int().min(1).default(70).describe('Of the request.'),
    })
    .prefault({})
    .describe('Scaling.'),
  podDisruptionBudget: z
    .strictObject({
      enabled: z.boolean().default(true).describe('One replica at a time leaves of its own accord.'),
    })
    .prefault({})
    .describe('Disruption.'),
  topologySpreadConstraints: z
    .array(free)
    .default([
      { maxSkew: 1, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'ScheduleAnyway' },
      { maxSkew: 1, topologyKey: 'topology.kubernetes.io/zone', whenUnsatisfiable: 'ScheduleAnyway' },
    ])
    .describe('How replicas are spread; each gets the selector of its own Pods.'),
  nodeSelector: labels.describe('Nodes.'),
  tolerations: z.array(free).default([]).describe('Tolerations.'),
  affinity: free.default({}).describe('Affinity.'),
  priorityClassName: z.string().default('').describe('Agents wait for these Pods; give them a priority above theirs.'),
  podAnnotations: labels.describe('Annotations of all Pods.'),
  podLabels: labels.describe('Labels of all Pods.'),
  terminationGracePeriodSeconds: z
    .int()
    .min(1)
    .default(60)
    .describe('More than `config.shutdown` takes: 3 s, then 30 s for what is under way.'),
  metrics: z
    .strictObject({
      serviceMonitor: z
        .strictObject({
          enabled: z.boolean().default(false).describe('For the Prometheus operator.'),
          interval: z.string().default('30s').describe('Between scrapes.'),
          labels: labels.describe('By which your Prometheus selects.'),
        })
        .prefault({})
        .describe('Scraping.'),
      prometheusRule: z
        .strictObject({
          enabled: z.boolean().default(false).describe('The alerts of docs/operations.md.'),
          labels: labels.describe('By which your Prometheus selects.'),
        })
        .prefault({})
        .describe('Alerts.'),
      dashboard: z
        .strictObject({
          enabled: z.boolean().default(false).describe('A ConfigMap with the Grafana dashboard.'),
          labels: z
            .record(z.string(), z.string())
            .default({ grafana_dashboard: '1' })
            .describe('By which Grafana’s sidecar finds it.'),
        })
        .prefault({})
        .describe('Dashboard.'),
    })
    .prefault({})
    .describe('Metrics.'),
  crds: z
    .strictObject({
      upgrade: z
        .boolean()
        .default(true)
        .describe(
          'Bring the kinds to this version before each upgrade (helm itself only ever installs them). They are never removed with a release.',
        ),
    })
    .prefault({})
    .describe('The kinds.'),
  check: z
    .strictObject({
      enabled: z
        .boolean()
        .default(true)
        .describe('After install and upgrade, wait until everything answers; else they fail.'),
      timeoutSeconds: z.int().min(10).max(3_600).default(240).describe('How long it waits.'),
    })
    .prefault({})
    .describe('The check after install and upgrade; `helm test` runs it too.'),
  cleanUp: z
    .strictObject({
      enabled: z
        .boolean()
        .default(true)
        .describe(
          'Before the release goes: end the controller, remove the webhook’s configuration, and what was made at run time (certificates, session keys, the Lease). Recordings’ keys stay.',
        ),
    })
    .prefault({})
    .describe('What happens before `helm uninstall`.'),
};
