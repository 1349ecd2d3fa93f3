/**
 * AgentPolicy as `crds/agentpolicies.yaml` declares it: the types are made from that file, which documents and bounds every
 * field. Nothing of it is trusted: `compile` checks what it reads again, because a policy may come from a file that no API
 * server has validated.
 */
export type {
  AgentPolicy,
  AgentPolicyRule as Rule,
  AgentPolicyRuleApproval as Approval,
  AgentPolicyRuleMatch as Match,
  AgentPolicyRuleMatchNamespaceSelector as LabelSelector,
  AgentPolicySpec,
  AgentPolicyStatus,
  AgentPolicySubject as Subject,
  AgentPolicyVariable as NamedExpression,
} from './agent-policy.generated.ts';
