/** Values by name: what people set. Each is linted, kept as a snapshot, and shown to a real API server. */
export const CASES: Readonly<Record<string, { readonly values: object; readonly kubernetes: string }>> = {
  defaults: { values: {}, kubernetes: '1.37.0' },
  'people-and-s3': {
    kubernetes: '1.37.0',
    values: {
      image: { registry: 'registry.shop.example', digest: `sha256:${'0'.repeat(64)}`, pullSecrets: ['registry'] },
      config: {
        identity: {
          tokenReview: null,
          oidc: [
            {
              issuer: 'https://login.shop.example',
              audiences: ['sallyport'],
              claimMappings: { username: { claim: 'email', prefix: 'shop:' }, groups: { claim: 'groups' } },
            },
          ],
          sessions: {
            agents: [{ name: 'cursor', groups: ['ai-agents'] }],
            signIn: [{ issuer: 'https://login.shop.example', clientID: 'sallyport-cli' }],
          },
        },
        recording: {
          storage: {
            s3: {
              bucket: 'shop-recordings',
              region: 'eu-central-1',
              objectLock: { mode: 'Compliance' },
              credentials: {
                secret: {
                  accessKeyIDFile: '/etc/sallyport/secrets/s3/id',
                  secretAccessKeyFile: '/etc/sallyport/secrets/s3/key',
                },
              },
            },
          },
        },
        notifications: { slack: [{ webhookURLFile: '/etc/sallyport/secrets/slack/url' }] },
      },
      secrets: [
        { name: 's3', secretName: 'sallyport-s3' },
        { name: 'slack', secretName: 'sallyport-slack' },
      ],
      impersonation: { groups: ['developers'] },
      service: { type: 'LoadBalancer', externalTrafficPolicy: 'Local', loadBalancerSourceRanges: ['192.0.2.0/24'] },
      certificates: { dnsNames: ['gate.shop.example'] },
      autoscaling: { enabled: true },
    },
  },
  'ingress-and-cert-manager': {
    kubernetes: '1.35.0',
    values: {
      config: { recording: null, limits: { burst: 100 }, listen: { maxConnections: 1000 } },
      configMaps: [{ name: 'authorities', configMapName: 'shop-ca' }],
      certificates: { source: 'CertManager', issuerRef: { name: 'shop' } },
      impersonation: { serviceAccountNamespaces: ['ci'] },
      guardrails: { subjects: [{ kind: 'ServiceAccount', namespace: 'ci', name: 'deployer' }] },
      ingress: { enabled: true, className: 'nginx', host: 'gate.shop.example' },
      tlsRoute: {
        enabled: true,
        hostnames: ['gate.shop.example'],
        parentRefs: [{ name: 'edge', namespace: 'edge', sectionName: 'passthrough' }],
      },
      networkPolicy: {
        agents: [{ ipBlock: { cidr: '192.0.2.0/24' } }],
        webhook: [{ ipBlock: { cidr: '198.51.100.0/28' } }],
        metrics: [{ namespaceSelector: { matchLabels: { team: 'monitoring' } } }],
        egress: [{ to: [{ ipBlock: { cidr: '198.51.100.0/28' } }] }],
      },
      persistence: { storageClassName: 'fast', size: '20Gi' },
      metrics: {
        serviceMonitor: { enabled: true, labels: { release: 'prometheus' } },
        prometheusRule: { enabled: true },
        dashboard: { enabled: true },
      },
      priorityClassName: 'system-cluster-critical',
      nodeSelector: { 'kubernetes.io/os': 'linux' },
      tolerations: [{ key: 'gate', operator: 'Exists' }],
      podLabels: { team: 'platform' },
    },
  },
  small: {
    kubernetes: '1.36.0',
    values: {
      gateway: { replicas: 1 },
      controller: { replicas: 1 },
      persistence: { enabled: false },
      admission: { enabled: false },
      podDisruptionBudget: { enabled: false },
      networkPolicy: { enabled: false },
      crds: { upgrade: false },
      check: { enabled: false },
      cleanUp: { enabled: false },
      guardrails: { enabled: false },
      impersonation: { groups: ['*'], mode: 'Legacy' },
      certificates: { source: 'Secret', dnsNames: ['gate.shop.example'] },
      service: { type: 'NodePort', nodePort: 30_443 },
    },
  },
};
