interface Panel {
  readonly title: string;
  readonly unit?: string;
  readonly queries: readonly (readonly [expression: string, legend: string])[];
}

const rate = (metric: string, by: string, more = ''): string =>
  `sum by (${by}) (rate(${metric}${more}[$__rate_interval]))`;
const quantile = (q: number, metric: string): string =>
  `histogram_quantile(${q}, sum by (le) (rate(${metric}_bucket[$__rate_interval])))`;

const PANELS: readonly Panel[] = [
  {
    title: 'Requests by decision',
    unit: 'reqps',
    queries: [[rate('sallyport_requests_total', 'decision'), '{{decision}}']],
  },
  { title: 'Requests by code', unit: 'reqps', queries: [[rate('sallyport_requests_total', 'code'), '{{code}}']] },
  {
    title: 'Refusals by the gateway itself',
    unit: 'reqps',
    queries: [[rate('sallyport_errors_total', 'code'), '{{code}}']],
  },
  {
    title: 'Duration',
    unit: 's',
    queries: [
      [quantile(0.5, 'sallyport_request_duration_seconds'), 'whole, p50'],
      [quantile(0.99, 'sallyport_request_duration_seconds'), 'whole, p99'],
      [quantile(0.99, 'sallyport_upstream_duration_seconds'), 'API server, p99'],
      [quantile(0.99, 'sallyport_decision_duration_seconds'), 'decision, p99'],
    ],
  },
  {
    title: 'Streams and requests under way',
    queries: [
      ['sum by (kind) (sallyport_streams)', '{{kind}}'],
      ['sum(sallyport_requests_in_flight)', 'requests'],
    ],
  },
  {
    title: 'Approvals',
    queries: [
      ['max(sallyport_approvals_pending)', 'waiting for a person'],
      ['sum(sallyport_approval_holds)', 'connections held'],
    ],
  },
  {
    title: 'Approvals decided and ended',
    unit: 'ops',
    queries: [
      [rate('sallyport_approval_decisions_total', 'type'), '{{type}}'],
      [rate('sallyport_approvals_ended_total', 'reason'), 'ended: {{reason}}'],
    ],
  },
  {
    title: 'Webhook reviews',
    unit: 'reqps',
    queries: [[rate('sallyport_admission_reviews_total', 'result'), '{{result}}']],
  },
  {
    title: 'Webhook duration',
    unit: 's',
    queries: [[quantile(0.99, 'sallyport_admission_review_duration_seconds'), 'p99']],
  },
  { title: 'Masked values', unit: 'ops', queries: [[rate('sallyport_masked_values_total', 'kind'), '{{kind}}']] },
  {
    title: 'Recordings: spool',
    unit: 'bytes',
    queries: [
      ['sum by (pod) (sallyport_recording_spool_bytes)', '{{pod}}'],
      ['max(sallyport_recording_spool_limit_bytes)', 'limit'],
    ],
  },
  {
    title: 'Recordings: refused, dropped, failed',
    unit: 'ops',
    queries: [
      ['sum(rate(sallyport_recording_refused_total[$__rate_interval]))', 'refused'],
      ['sum(rate(sallyport_recording_dropped_total[$__rate_interval]))', 'dropped'],
      [rate('sallyport_recording_failures_total', 'fault'), 'failed: {{fault}}'],
    ],
  },
  {
    title: 'Age of what is known',
    unit: 's',
    queries: [['max by (informer) (sallyport_watch_age_seconds)', '{{informer}}']],
  },
  {
    title: 'Certificates end in',
    unit: 's',
    queries: [['min by (certificate) (sallyport_certificate_expiry_timestamp_seconds) - time()', '{{certificate}}']],
  },
  {
    title: 'Memory and processor',
    queries: [
      ['sum by (pod) (process_resident_memory_bytes{job=~".*sallyport.*"}) / 1e6', '{{pod}}: MB'],
      ['sum by (pod) (rate(process_cpu_seconds_total{job=~".*sallyport.*"}[$__rate_interval]))', '{{pod}}: cores'],
    ],
  },
];

/** The Grafana dashboard, as its import takes it. */
export function dashboard(): string {
  const datasource = { type: 'prometheus', uid: '$datasource' };
  const panels = PANELS.map(({ title, unit, queries }, index) => ({
    id: index + 1,
    type: 'timeseries',
    title,
    datasource,
    gridPos: { h: 8, w: 12, x: (index % 2) * 12, y: Math.floor(index / 2) * 8 },
    fieldConfig: { defaults: { unit: unit ?? 'short', min: 0 }, overrides: [] },
    targets: queries.map(([expr, legendFormat], at) => ({
      refId: String.fromCharCode(65 + at),
      expr,
      legendFormat,
      datasource,
    })),
  }));
  return `${JSON.stringify(
    {
      title: 'Sallyport',
      uid: 'sallyport',
      tags: ['sallyport'],
      schemaVersion: 39,
      refresh: '30s',
      time: { from: 'now-3h', to: 'now' },
      templating: { list: [{ name: 'datasource', type: 'datasource', query: 'prometheus' }] },
      panels,
    },
    null,
    1,
  )}\n`;
}
