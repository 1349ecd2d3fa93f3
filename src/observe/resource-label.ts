/** Resources of Kubernetes itself; whatever else a request names is `custom`, so that no caller can add a series. */
const BUILT_IN = new Set(
  `pods services endpoints nodes namespaces secrets configmaps serviceaccounts events persistentvolumes
  persistentvolumeclaims replicationcontrollers resourcequotas limitranges podtemplates bindings componentstatuses
  deployments daemonsets statefulsets replicasets controllerrevisions jobs cronjobs horizontalpodautoscalers
  ingresses ingressclasses networkpolicies endpointslices ipaddresses servicecidrs poddisruptionbudgets
  roles rolebindings clusterroles clusterrolebindings storageclasses volumeattachments csidrivers csinodes
  csistoragecapacities volumeattributesclasses leases leasecandidates priorityclasses runtimeclasses
  flowschemas prioritylevelconfigurations certificatesigningrequests clustertrustbundles podcertificaterequests
  customresourcedefinitions apiservices mutatingwebhookconfigurations validatingwebhookconfigurations
  validatingadmissionpolicies validatingadmissionpolicybindings mutatingadmissionpolicies mutatingadmissionpolicybindings
  deviceclasses resourceclaims resourceclaimtemplates resourceslices tokenreviews subjectaccessreviews
  localsubjectaccessreviews selfsubjectaccessreviews selfsubjectrulesreviews selfsubjectreviews
  agentpolicies agentsessions agentfreezes approvalrequests maskingrules sessionrecordings`.split(/\s+/),
);

const SUBRESOURCES = new Set(
  `status scale log exec attach portforward proxy eviction binding token ephemeralcontainers approval finalize
  resize`.split(/\s+/),
);

/**
 * The label for a resource: its name, `pods/exec` with a subresource, `custom` for what Kubernetes does not ship,
 * `none` for what is no resource. The set of answers is bounded whatever is asked.
 */
export function resourceLabel(resource: string, subresource: string): string {
  if (resource === '') return 'none';
  if (!BUILT_IN.has(resource)) return 'custom';
  if (subresource === '') return resource;
  return `${resource}/${SUBRESOURCES.has(subresource) ? subresource : 'other'}`;
}
