import { callerNamed } from './callers.ts';
import { allow, type CaseDetails, type DecisionCase, deny, match, row, url } from './case.ts';

/** As open as a policy can be: whatever is refused here, bedrock refused. */
const open = [
  allow(
    'all',
    match(
      '*',
      '*/*,*,*/proxy,*/token,certificatesigningrequests,certificatesigningrequests/approval,certificatesigningrequests/status',
    ),
  ),
  allow('urls', url('*', '*')),
];
const thing = { metadata: { name: 'x' } };
const written = { object: thing, oldObject: thing, creates: false };
const ADMISSION = '/apis/admissionregistration.k8s.io/v1';
const HOME = '/api/v1/namespaces/sallyport';
const CSR = '/apis/certificates.k8s.io/v1/certificatesigningrequests';
const CRDS = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';
const refused = (name: string, request: string, details: CaseDetails = {}): DecisionCase =>
  row(`bedrock: ${name}`, open, request, 'Deny SP_BEDROCK', details);
const fine = (name: string, request: string, details: CaseDetails = {}): DecisionCase =>
  row(`not bedrock: ${name}`, open, request, 'Allow p/all', details);
const excluding = { options: { allNamespaces: 'Exclude' as const } };
const free = (name: string, request: string, details: CaseDetails = {}): DecisionCase =>
  row(`free: ${name}`, [], request, 'Free', { caller: callerNamed('nobody'), ...details });

/** What no policy can open, and what needs none. */
export const BEDROCK_CASES: readonly DecisionCase[] = [
  refused('writing policies', 'POST /apis/sallyport.dev/v1alpha1/agentpolicies', written),
  refused('patching masking rules', 'PATCH /apis/sallyport.dev/v1alpha1/maskingrules/x', written),
  refused(
    'deleting approval requests',
    'DELETE /apis/sallyport.dev/v1alpha1/namespaces/shop/approvalrequests/x',
    written,
  ),
  refused(
    'approving by their status',
    'PATCH /apis/sallyport.dev/v1alpha1/namespaces/shop/approvalrequests/x/status',
    written,
  ),
  refused('deleting all of a kind', 'DELETE /apis/sallyport.dev/v1alpha1/agentpolicies', written),
  refused('other versions', 'PUT /apis/sallyport.dev/v9/agentpolicies/x', written),
  refused('sub-groups', 'POST /apis/masking.sallyport.dev/v1/things', written),
  fine('reading policies', 'GET /apis/sallyport.dev/v1alpha1/agentpolicies/x'),
  refused('deleting the CRDs of the kinds', `DELETE ${CRDS}/agentpolicies.sallyport.dev`, written),
  refused('deleting all CRDs', `DELETE ${CRDS}`, { ...written, admission: 'Allow p/all' }),
  fine('writing other CRDs', `PATCH ${CRDS}/widgets.example.com`, written),
  refused('validating webhooks', `DELETE ${ADMISSION}/validatingwebhookconfigurations/x`, written),
  refused('mutating webhooks', `POST ${ADMISSION}/mutatingwebhookconfigurations`, written),
  refused('admission policies', `PUT ${ADMISSION}/validatingadmissionpolicies/x`, written),
  refused('bindings of admission policies', `DELETE ${ADMISSION}/validatingadmissionpolicybindings/x`, written),
  refused('mutating admission policies', `PATCH ${ADMISSION}/mutatingadmissionpolicies/x`, written),
  fine('reading webhooks', `GET ${ADMISSION}/validatingwebhookconfigurations`),
  refused('APIServices', 'PUT /apis/apiregistration.k8s.io/v1/apiservices/v1.apps', written),
  fine('reading APIServices', 'GET /apis/apiregistration.k8s.io/v1/apiservices'),
  refused('nodes/proxy by GET', 'GET /api/v1/nodes/a/proxy/pods'),
  refused('nodes/proxy by POST', 'POST /api/v1/nodes/a/proxy/run/x'),
  refused('nodes/proxy without a path', 'GET /api/v1/nodes/a/proxy'),
  refused('approving CSRs', `PUT ${CSR}/x/approval`, written),
  refused('signing CSRs', `PATCH ${CSR}/x/status`, written),
  fine('reading CSRs that are named', `GET ${CSR}/x`),
  fine('making CSRs that are named', `POST ${CSR}`, written),

  refused('reading the gateway’s Secrets', `GET ${HOME}/secrets/keys`),
  refused('listing in the gateway’s namespace', `GET ${HOME}/pods`),
  refused('logs of the gateway', `GET ${HOME}/pods/gateway/log`),
  refused('sessions of others', '/apis/sallyport.dev/v1alpha1/namespaces/sallyport/agentsessions'.replace(/^/, 'GET ')),
  fine('metadata of the gateway’s namespace', `GET ${HOME}/pods`, { metadataOnly: true }),
  refused('logs are no metadata', `GET ${HOME}/pods/gateway/log`, { metadataOnly: true }),
  fine('the Namespace object itself', `GET ${HOME}`),
  refused('deleting the gateway’s namespace', `DELETE ${HOME}`, written),
  refused('labelling the gateway’s namespace', `PATCH ${HOME}`, written),
  refused('exec into the gateway', `POST ${HOME}/pods/gateway/exec?command=sh`),
  refused('attach to the gateway', `GET ${HOME}/pods/gateway/attach`),
  refused('forward into the gateway', `GET ${HOME}/pods/gateway/portforward`),
  refused('proxy into the gateway', `GET ${HOME}/services/gateway/proxy/`),
  refused('tokens of the gateway', `POST ${HOME}/serviceaccounts/gateway/token`),
  refused('a Pod beside the gateway', `POST ${HOME}/pods`, written),
  refused('a debug container in the gateway', `PATCH ${HOME}/pods/gateway/ephemeralcontainers`, written),
  refused(
    'a RoleBinding beside the gateway',
    '/apis/rbac.authorization.k8s.io/v1/namespaces/sallyport/rolebindings'.replace(/^/, 'POST '),
    written,
  ),
  fine('the same names elsewhere', 'GET /api/v1/namespaces/sallyport-2/secrets/keys'),
  refused('a list of all namespaces holds the gateway’s', 'GET /api/v1/secrets'),
  refused('a watch of all namespaces holds the gateway’s', 'GET /api/v1/secrets?watch=1'),
  fine(
    'a list of all namespaces but the gateway’s',
    'GET /api/v1/secrets?fieldSelector=metadata.namespace!%3Dsallyport',
  ),
  refused('a list of all namespaces but another', 'GET /api/v1/secrets?fieldSelector=metadata.namespace!%3Dshop'),
  refused(
    'an escaped comma excludes nothing',
    'GET /api/v1/secrets?fieldSelector=metadata.name!%3Da%5C%2Cmetadata.namespace!%3Dsallyport',
  ),
  fine('a list of all namespaces that the gateway will narrow', 'GET /api/v1/secrets', excluding),
  fine('a list of all namespaces, metadata only', 'GET /api/v1/pods', { metadataOnly: true }),
  fine('a list of the cluster', 'GET /api/v1/nodes'),
  fine('a list of an unknown group', 'GET /apis/example.com/v1/widgets'),

  free('/version', 'GET /version'),
  free('/api', 'GET /api'),
  free('/api/v1', 'GET /api/v1'),
  free('/apis', 'GET /apis'),
  free('/apis/GROUP/VERSION', 'GET /apis/apps/v1'),
  free('/openapi/v2', 'GET /openapi/v2'),
  free('/openapi/v3/…', 'GET /openapi/v3/apis/apps/v1?hash=x'),
  free('what may I do', 'POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews', { object: {} }),
  free('what are my rules', 'POST /apis/authorization.k8s.io/v1/selfsubjectrulesreviews', { object: {} }),
  free('who am I', 'POST /apis/authentication.k8s.io/v1/selfsubjectreviews', { object: {} }),
  free('HEAD', 'HEAD /version'),
  row('free: not POST', open, 'POST /version', 'Allow p/urls'),
  row('free: not /healthz', [], 'GET /healthz', 'Deny SP_NO_POLICY'),
  row(
    'free: not what others may do',
    [],
    'POST /apis/authorization.k8s.io/v1/subjectaccessreviews',
    'Deny SP_NO_POLICY',
    { object: {} },
  ),
  row('free: not tokens of others', [], 'POST /apis/authentication.k8s.io/v1/tokenreviews', 'Deny SP_NO_POLICY', {
    object: {},
  }),
  row('free: for a caller whose policies allow nothing', [allow('a', match('get', 'pods'))], 'GET /version', 'Free'),
  row(
    'free: a Deny that names it',
    [deny('d', url('get', '/openapi/*'))],
    'GET /openapi/v3',
    'Deny SP_POLICY_DENIED p/d',
  ),
  row('free: a Deny of everything names nothing', [deny('d', url('*', '*'))], 'GET /openapi/v3', 'Free'),
  row(
    'free: a Deny that names a review',
    [deny('d', match('create', 'selfsubjectaccessreviews'))],
    'POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    'Deny SP_POLICY_DENIED p/d',
    { object: {} },
  ),
  row(
    'free: a Deny of * names no review',
    [deny('d', match('*', '*'))],
    'POST /apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
    'Free',
    { object: {} },
  ),
  row(
    'free: a Deny that names it when its condition holds',
    [deny('d', url('get', '/version'), "caller.agent == 'other'")],
    'GET /version',
    'Free',
  ),
];
