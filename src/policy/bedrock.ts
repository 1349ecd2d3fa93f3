import { isConnect, type Operation } from '../request/operation.ts';
import { resourceScope } from './scope.ts';
import { isRead } from './verbs.ts';

export interface BedrockOptions {
  /** Where the gateway runs: its keys, sessions and recordings are there. */
  readonly gatewayNamespace: string;
  /**
   * What becomes of a read over all namespaces, which touches the gateway's too. `Exclude` lets it pass for a gateway
   * that forwards it with the field selector `metadata.namespace!=NAMESPACE` (`Decision.excludeNamespace`); `Refuse`,
   * the default, is for whoever cannot.
   */
  readonly allNamespaces?: 'Refuse' | 'Exclude' | undefined;
}

/** What a request shows beyond its operation. */
export interface BedrockView {
  /** The answer can only be PartialObjectMetadata: the Accept header offers nothing else. */
  readonly metadataOnly?: boolean | undefined;
}

const OWN_GROUP = 'sallyport.dev';
/** Verbs that RBAC knows and no HTTP method means; they would lend another identity or widen one's own. */
const NEVER = new Set(['impersonate', 'escalate', 'bind', 'approve', 'sign', 'attest']);

/**
 * What no policy can open, on both legs.
 * @returns why it is refused, undefined where bedrock has nothing to say
 */
export function bedrock(operation: Operation, options: BedrockOptions, view: BedrockView = {}): string | undefined {
  const { verb } = operation;
  if (NEVER.has(verb) || verb.startsWith('impersonate')) return `the verb ${verb} lends or widens an identity`;
  if (!operation.isResource) return undefined;
  return guardedWrite(operation) ?? guardedConnect(operation) ?? gatewayNamespace(operation, options, view);
}

function guardedWrite(operation: Operation): string | undefined {
  if (isRead(operation.verb)) return undefined;
  const { apiGroup, resource, subresource } = operation;
  if (apiGroup === OWN_GROUP || apiGroup.endsWith(`.${OWN_GROUP}`)) {
    return `${apiGroup} is how callers like this one are governed: they cannot write it`;
  }
  // Kubernetes calls no webhook for these, so the second leg would never see it.
  if (apiGroup === 'admissionregistration.k8s.io') return `${resource} decide what the API server admits`;
  if (apiGroup === 'apiregistration.k8s.io') return `${resource} decide who answers for an API`;
  if (apiGroup === 'apiextensions.k8s.io' && resource === 'customresourcedefinitions') {
    const name = operation.name || operation.fieldSelectorName;
    if (operation.verb === 'deletecollection' && name === undefined) return 'it would touch the kinds of sallyport.dev';
    if (name?.endsWith(`.${OWN_GROUP}`)) return `${name} is one of the kinds by which callers are governed`;
  }
  if (apiGroup === 'certificates.k8s.io' && resource === 'certificatesigningrequests') {
    if (subresource === 'approval') return 'approving a CertificateSigningRequest issues an identity';
    if (subresource === 'status') return 'signing a CertificateSigningRequest issues an identity';
  }
  return undefined;
}

function guardedConnect(operation: Operation): string | undefined {
  const isNodeProxy = operation.apiGroup === '' && operation.resource === 'nodes' && operation.subresource === 'proxy';
  return isNodeProxy ? 'nodes/proxy reaches the kubelet, and through it every Pod of the node' : undefined;
}

function gatewayNamespace(operation: Operation, options: BedrockOptions, view: BedrockView): string | undefined {
  const home = options.gatewayNamespace;
  if (operation.namespace !== home) {
    if (!touchesEveryNamespace(operation, home)) return undefined;
    if (!isRead(operation.verb)) return `it would touch the gateway's namespace ${home}: name one namespace`;
    if (view.metadataOnly === true || options.allNamespaces === 'Exclude') return undefined;
    return `it would read the gateway's namespace ${home}: name one namespace, or add the field selector metadata.namespace!=${home}`;
  }
  if (isConnect(operation)) return `nobody goes into the gateway's namespace ${home}`;
  if (isRead(operation.verb)) {
    const isNamespace = operation.resource === 'namespaces' && operation.subresource === '';
    if (isNamespace || (view.metadataOnly === true && operation.subresource === '')) return undefined;
    return `of the gateway's namespace ${home} callers can read metadata only`;
  }
  if (operation.resource === 'serviceaccounts' && operation.subresource === 'token') {
    return `tokens of the gateway's namespace ${home} are the gateway's identity`;
  }
  // A Pod in this namespace could mount the gateway's keys, a RoleBinding could hand them out.
  return `nobody writes in the gateway's namespace ${home}`;
}

/** Collections over all namespaces that have not excluded this one by themselves. */
export function touchesEveryNamespace(operation: Operation, home: string): boolean {
  if (!operation.isResource || !operation.isCollection || operation.namespace !== '') return false;
  // Of an unknown group either is possible. Its objects hold none of the gateway's secrets, and refusing would close
  // every cluster-scoped custom resource for good.
  if (resourceScope(operation.apiGroup, operation.resource) !== 'Namespaced') return false;
  return !excludes(operation.query, home);
}

function excludes(query: string, home: string): boolean {
  // The API server reads the first one only. A backslash could hide a comma: such a selector counts as excluding nothing.
  const selector = new URLSearchParams(query).get('fieldSelector') ?? '';
  if (selector.includes('\\')) return false;
  return selector.split(',').some((term) => {
    const excluded = /^metadata\.namespace!=(.*)$/.exec(term)?.[1];
    const pinned = /^metadata\.namespace==?([^=].*)$/.exec(term)?.[1];
    return excluded === home || (pinned !== undefined && pinned !== home);
  });
}
