/** Where objects of a kind live that the gateway touches in its own name. */
export type Placement = 'Cluster' | 'GatewayNamespace' | 'AnyNamespace';

export interface OwnKind {
  readonly group: string;
  readonly version: string;
  readonly resource: string;
  readonly placement: Placement;
  /** Names that it may touch; all of them when left out. */
  readonly names?: RegExp;
}

const sallyport = (resource: string, placement: Placement): OwnKind => ({
  group: 'sallyport.dev',
  version: 'v1alpha1',
  resource,
  placement,
});

const admission = (resource: string): OwnKind => ({
  group: 'admissionregistration.k8s.io',
  version: 'v1',
  resource,
  placement: 'Cluster',
  names: /^sallyport-/,
});

/** All that the gateway reads or writes in its own name. What is not here cannot be asked for. */
export const OWN_KINDS = {
  AgentPolicy: sallyport('agentpolicies', 'Cluster'),
  MaskingRule: sallyport('maskingrules', 'Cluster'),
  ApprovalRequest: sallyport('approvalrequests', 'AnyNamespace'),
  AgentSession: sallyport('agentsessions', 'GatewayNamespace'),
  AgentFreeze: sallyport('agentfreezes', 'GatewayNamespace'),
  SessionRecording: sallyport('sessionrecordings', 'GatewayNamespace'),
  // Its own Secrets only, even where RBAC would give more.
  Secret: { group: '', version: 'v1', resource: 'secrets', placement: 'GatewayNamespace', names: /^sallyport-/ },
  // Read only: whether the guard of our kinds stands.
  ValidatingAdmissionPolicy: admission('validatingadmissionpolicies'),
  ValidatingAdmissionPolicyBinding: admission('validatingadmissionpolicybindings'),
  // Made, never read.
  Event: { group: '', version: 'v1', resource: 'events', placement: 'AnyNamespace' },
  Lease: { group: 'coordination.k8s.io', version: 'v1', resource: 'leases', placement: 'GatewayNamespace' },
} as const satisfies Record<string, OwnKind>;

export type OwnKindName = keyof typeof OWN_KINDS;
