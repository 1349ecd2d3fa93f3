/**
 * Whether a resource is cluster-scoped cannot be read from the path of an all-namespaces list: `/api/v1/nodes` and
 * `/api/v1/pods` look alike. What kube-apiserver itself serves is known here; of anything else either is possible.
 */
const CLUSTER_SCOPED: Readonly<Record<string, readonly string[]>> = {
  '': ['componentstatuses', 'namespaces', 'nodes', 'persistentvolumes'],
  'admissionregistration.k8s.io': [
    'mutatingadmissionpolicies',
    'mutatingadmissionpolicybindings',
    'mutatingwebhookconfigurations',
    'validatingadmissionpolicies',
    'validatingadmissionpolicybindings',
    'validatingwebhookconfigurations',
  ],
  'apiextensions.k8s.io': ['customresourcedefinitions'],
  'apiregistration.k8s.io': ['apiservices'],
  'authentication.k8s.io': ['selfsubjectreviews', 'tokenreviews'],
  'authorization.k8s.io': ['selfsubjectaccessreviews', 'selfsubjectrulesreviews', 'subjectaccessreviews'],
  'certificates.k8s.io': ['certificatesigningrequests', 'clustertrustbundles'],
  'flowcontrol.apiserver.k8s.io': ['flowschemas', 'prioritylevelconfigurations'],
  'internal.apiserver.k8s.io': ['storageversions'],
  'metrics.k8s.io': ['nodes'],
  'networking.k8s.io': ['ingressclasses', 'ipaddresses', 'servicecidrs'],
  'node.k8s.io': ['runtimeclasses'],
  'rbac.authorization.k8s.io': ['clusterrolebindings', 'clusterroles'],
  'resource.k8s.io': ['deviceclasses', 'devicetaintrules', 'resourceslices', 'resourcepoolstatusrequests'],
  'sallyport.dev': ['agentpolicies', 'maskingrules'],
  'scheduling.k8s.io': ['priorityclasses'],
  'storage.k8s.io': ['csidrivers', 'csinodes', 'storageclasses', 'volumeattachments', 'volumeattributesclasses'],
  'storagemigration.k8s.io': ['storageversionmigrations'],
};

/** Groups of kube-apiserver itself (and Sallyport's own) whose every cluster-scoped resource is in the table above. */
const KNOWN_GROUPS = new Set([
  ...Object.keys(CLUSTER_SCOPED),
  'apps',
  'autoscaling',
  'batch',
  'coordination.k8s.io',
  'discovery.k8s.io',
  'events.k8s.io',
  'policy',
]);

const clusterScoped = new Set(
  Object.entries(CLUSTER_SCOPED).flatMap(([group, resources]) => resources.map((resource) => `${group}/${resource}`)),
);

export type ResourceScope = 'Cluster' | 'Namespaced' | 'Either';

export function resourceScope(apiGroup: string, resource: string): ResourceScope {
  if (clusterScoped.has(`${apiGroup}/${resource}`)) return 'Cluster';
  return KNOWN_GROUPS.has(apiGroup) ? 'Namespaced' : 'Either';
}
