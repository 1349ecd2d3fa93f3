import { allow, approve, type DecisionCase, deny, match, row, url } from './case.ts';

const SHOP = '/api/v1/namespaces/shop';
const all = allow('all', match('*', '*'));
const everything = allow('everything', match('*', '*/*'));

/** What `*` and its kin name, and what must be spelled out. */
export const WILDCARD_CASES: readonly DecisionCase[] = [
  row('* is every resource', [all], `GET ${SHOP}/pods/web`, 'Allow p/all'),
  row('* is every verb', [all], `DELETE ${SHOP}/pods/web`, 'Allow p/all', { oldObject: {} }),
  row('* is no subresource', [all], `GET ${SHOP}/pods/web/log`, 'Deny SP_POLICY_DENIED'),
  row('* is no exec', [all], `POST ${SHOP}/pods/web/exec?command=ls`, 'Deny SP_POLICY_DENIED'),
  row('*/* is every subresource', [everything], `GET ${SHOP}/pods/web/log`, 'Allow p/everything'),
  row('*/* is every resource', [everything], `GET ${SHOP}/pods/web`, 'Allow p/everything'),
  row('*/* is exec too', [everything], `POST ${SHOP}/pods/web/exec?command=ls`, 'Allow p/everything'),
  row('pods/* is a subresource of pods', [allow('a', match('get', 'pods/*'))], `GET ${SHOP}/pods/web/log`, 'Allow p/a'),
  row('pods/* is not pods', [allow('a', match('get', 'pods/*'))], `GET ${SHOP}/pods/web`, 'Deny SP_POLICY_DENIED'),
  row(
    'pods/* is nothing of services',
    [allow('a', match('get', 'pods/*'))],
    `GET ${SHOP}/services/web/status`,
    'Deny SP_POLICY_DENIED',
  ),
  row(
    '*/scale is that subresource of anything',
    [allow('a', match('get', '*/scale'))],
    `GET /apis/apps/v1/namespaces/shop/deployments/web/scale`,
    'Allow p/a',
  ),
  row(
    '*/scale is no other subresource',
    [allow('a', match('get', '*/scale'))],
    `GET /apis/apps/v1/namespaces/shop/deployments/web/status`,
    'Deny SP_POLICY_DENIED',
  ),
  row('pods is not pods/log', [allow('a', match('get', 'pods'))], `GET ${SHOP}/pods/web/log`, 'Deny SP_POLICY_DENIED'),
  row('pods/log is not pods', [allow('a', match('get', 'pods/log'))], `GET ${SHOP}/pods/web`, 'Deny SP_POLICY_DENIED'),
  row(
    'the core group is ""',
    [allow('a', match('get', '*', { apiGroups: [''] }))],
    `GET ${SHOP}/pods/web`,
    'Allow p/a',
  ),
  row(
    'the core group is not apps',
    [allow('a', match('get', '*', { apiGroups: ['apps'] }))],
    `GET ${SHOP}/pods/web`,
    'Deny SP_POLICY_DENIED',
  ),
  row(
    'a group by name',
    [allow('a', match('get', 'deployments', { apiGroups: ['apps'] }))],
    'GET /apis/apps/v1/namespaces/shop/deployments/web',
    'Allow p/a',
  ),
  row(
    'the same resource of another group',
    [allow('a', match('get', 'deployments', { apiGroups: ['apps'] }))],
    'GET /apis/evil.example/v1/namespaces/shop/deployments/web',
    'Deny SP_POLICY_DENIED',
  ),
  row(
    'a Deny on * does not reach subresources',
    [everything, deny('d', match('*', '*'))],
    `GET ${SHOP}/pods/web/log`,
    'Allow p/everything',
  ),
  row(
    'a Deny on */* does',
    [everything, deny('d', match('*', '*/*'))],
    `GET ${SHOP}/pods/web/log`,
    'Deny SP_POLICY_DENIED p/d',
  ),

  row(
    'a token is not in serviceaccounts/*',
    [allow('a', match('create', 'serviceaccounts/*'))],
    `POST ${SHOP}/serviceaccounts/web/token`,
    'Deny SP_POLICY_DENIED',
  ),
  row('a token is not in */*', [everything], `POST ${SHOP}/serviceaccounts/web/token`, 'Deny SP_POLICY_DENIED'),
  row(
    'a token by name',
    [allow('a', match('create', 'serviceaccounts/token'))],
    `POST ${SHOP}/serviceaccounts/web/token`,
    'Allow p/a',
  ),
  row(
    'a proxy is not in services/*',
    [allow('a', match('get', 'services/*'))],
    `GET ${SHOP}/services/web/proxy/`,
    'Deny SP_POLICY_DENIED',
  ),
  row('a proxy by name', [allow('a', match('get', 'services/proxy'))], `GET ${SHOP}/services/web/proxy/`, 'Allow p/a'),
  row('a proxy by */proxy', [allow('a', match('get', '*/proxy'))], `GET ${SHOP}/pods/web/proxy/`, 'Allow p/a'),
  row(
    'a signing request is not in *',
    [all],
    'GET /apis/certificates.k8s.io/v1/certificatesigningrequests/x',
    'Deny SP_POLICY_DENIED',
  ),
  row(
    'a signing request by name',
    [allow('a', match('get', 'certificatesigningrequests'))],
    'GET /apis/certificates.k8s.io/v1/certificatesigningrequests/x',
    'Allow p/a',
  ),
  row(
    'an approval by wildcard does not open it either',
    [approve('q', match('*', '*/*'))],
    `POST ${SHOP}/serviceaccounts/web/token`,
    'Deny SP_POLICY_DENIED',
  ),
  row(
    'an approval by name does',
    [approve('q', match('*', 'serviceaccounts/token'))],
    `POST ${SHOP}/serviceaccounts/web/token`,
    'RequireApproval p/q',
  ),
  row(
    'a wildcard approval beats an Allow by name',
    [approve('q', match('*', '*/*')), allow('a', match('create', 'serviceaccounts/token'))],
    `POST ${SHOP}/serviceaccounts/web/token`,
    'RequireApproval p/q',
  ),
  row(
    'a wildcard Deny beats an Allow by name',
    [deny('d', match('*', '*/*')), allow('a', match('create', 'serviceaccounts/token'))],
    `POST ${SHOP}/serviceaccounts/web/token`,
    'Deny SP_POLICY_DENIED p/d',
  ),
  row(
    'the same words in another group are free of it',
    [all],
    'GET /apis/example.com/v1/certificatesigningrequests/x',
    'Allow p/all',
  ),

  row('a URL', [allow('a', url('get', '/healthz'))], 'GET /healthz', 'Allow p/a'),
  row('another URL', [allow('a', url('get', '/healthz'))], 'GET /healthz/etcd', 'Deny SP_POLICY_DENIED'),
  row('a URL with a star', [allow('a', url('get', '/healthz*'))], 'GET /healthz/etcd', 'Allow p/a'),
  row('every URL', [allow('a', url('*', '*'))], 'POST /anything', 'Allow p/a'),
  row('the method of a URL', [allow('a', url('get', '/logs/*'))], 'DELETE /logs/x', 'Deny SP_POLICY_DENIED'),
  row('HEAD of a URL is head', [allow('a', url('get', '/healthz'))], 'HEAD /healthz', 'Deny SP_POLICY_DENIED'),
  row('URLs are no resources', [allow('a', url('*', '*'))], `GET ${SHOP}/pods`, 'Deny SP_POLICY_DENIED'),
  row('resources are no URLs', [everything], 'GET /metrics', 'Deny SP_POLICY_DENIED'),
];
