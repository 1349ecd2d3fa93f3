import { governedExpression } from '../admission/governed-expression.ts';
import { probeMark, probeTerm } from '../admission/webhook-probe.ts';
import type { PolicyWebhookConfiguration } from '../config/policy-webhook.ts';
import type { OwnerReference } from '../kubernetes/object.ts';
import type { Subject } from '../policy/agent-policy.ts';

/** Name of the configuration that has policies and rules compiled as they are written. */
export const COMPILE_WEBHOOK = 'sallyport-compile';

export interface WebhookTerms {
  readonly configuration: PolicyWebhookConfiguration;
  /** The gateway's. */
  readonly namespace: string;
  /** PEM. */
  readonly authorities: string;
  readonly owner?: OwnerReference | undefined;
}

/**
 * The second leg as the API server is told of it. Its one condition is true for the governed, and for a probe of its own mark.
 * @throws RangeError for more subjects than one condition can hold
 */
export function policyWebhook(terms: WebhookTerms, subjects: readonly Subject[]) {
  const { configuration, namespace } = terms;
  const governed = governedExpression(subjects);
  const mark = probeMark(governed);
  const object = webhookConfiguration(terms, configuration.name, {
    name: 'policy.sallyport.dev',
    path: '/admit',
    failurePolicy: 'Fail',
    matchConditions: [{ name: 'governed', expression: `(${governed}) || (${probeTerm(namespace, mark)})` }],
    rules: [
      {
        apiGroups: ['*'],
        apiVersions: ['*'],
        operations: ['CREATE', 'UPDATE', 'DELETE', 'CONNECT'],
        resources: ['*/*'],
        scope: '*',
      },
    ],
  });
  return { object, mark };
}

/** Policies and masking rules are compiled when they are written: what does not compile never allows more, so this may be down. */
export function compileWebhook(terms: WebhookTerms) {
  const own = `system:serviceaccounts:${terms.namespace}`;
  return webhookConfiguration(terms, COMPILE_WEBHOOK, {
    name: 'compile.sallyport.dev',
    path: '/compile',
    failurePolicy: 'Ignore',
    matchConditions: [
      {
        name: 'not-our-own',
        expression: `!has(request.userInfo.groups) || !(${JSON.stringify(own)} in request.userInfo.groups)`,
      },
    ],
    rules: [
      {
        apiGroups: ['sallyport.dev'],
        apiVersions: ['*'],
        operations: ['CREATE', 'UPDATE'],
        resources: ['agentpolicies', 'maskingrules'],
        scope: '*',
      },
    ],
  });
}

interface Webhook {
  readonly name: string;
  readonly path: string;
  readonly failurePolicy: 'Fail' | 'Ignore';
  readonly matchConditions: readonly { readonly name: string; readonly expression: string }[];
  readonly rules: readonly object[];
}

function webhookConfiguration(
  { configuration, namespace, authorities, owner }: WebhookTerms,
  name: string,
  { path, ...webhook }: Webhook,
) {
  const { service, url, timeoutSeconds } = configuration;
  return {
    apiVersion: 'admissionregistration.k8s.io/v1',
    kind: 'ValidatingWebhookConfiguration',
    metadata: {
      name,
      labels: { 'app.kubernetes.io/part-of': 'sallyport' },
      ...(owner === undefined ? {} : { ownerReferences: [owner] }),
    },
    webhooks: [
      {
        ...webhook,
        admissionReviewVersions: ['v1'],
        clientConfig: {
          ...(url === undefined ? { service: { ...service, namespace, path } } : { url: new URL(path, url).href }),
          caBundle: Buffer.from(authorities).toString('base64'),
        },
        matchPolicy: 'Equivalent',
        // A person is asked; of a dry run nobody is.
        sideEffects: 'NoneOnDryRun',
        timeoutSeconds,
      },
    ],
  };
}
