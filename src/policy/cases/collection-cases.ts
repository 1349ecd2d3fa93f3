import { allow, approve, type DecisionCase, deny, match, row } from './case.ts';

const inShop = allow('shop', match('*', '*', { namespaces: ['shop', 'shop-*'] }));
const web = allow('web', match('*', '*', { resourceNames: ['web', 'web-*'] }));
const any = allow('any', match('*', '*'));
const dev = { matchLabels: { env: 'dev' } };
const inDev = allow('dev', match('*', '*', { namespaceSelector: dev }));
const labelled = (env: string) => ({ namespaceObject: { metadata: { name: 'shop', labels: { env } } } });
const map = (name: string, namespace = 'shop') => ({ metadata: { name, namespace } });

/** Where: namespaces, names, selectors; and requests that may touch several objects. */
export const COLLECTION_CASES: readonly DecisionCase[] = [
  row('a namespace by name', [inShop], 'GET /api/v1/namespaces/shop/pods', 'Allow p/shop'),
  row('a namespace by glob', [inShop], 'GET /api/v1/namespaces/shop-eu/pods', 'Allow p/shop'),
  row('a namespace outside', [inShop], 'GET /api/v1/namespaces/workshop/pods', 'Deny SP_POLICY_DENIED'),
  row('all namespaces are not inside some', [inShop], 'GET /api/v1/pods', 'Deny SP_POLICY_DENIED', {
    options: { allNamespaces: 'Exclude' },
  }),
  row(
    'all namespaces are inside *',
    [allow('a', match('list', 'pods', { namespaces: ['*'] }))],
    'GET /api/v1/pods',
    'Allow p/a',
    { options: { allNamespaces: 'Exclude' } },
  ),
  row('a watch of all namespaces', [inShop], 'GET /api/v1/pods?watch=true', 'Deny SP_POLICY_DENIED', {
    options: { allNamespaces: 'Exclude' },
  }),
  row(
    'a Deny in one namespace stops all',
    [any, deny('d', match('*', 'pods', { namespaces: ['prod'] }))],
    'GET /api/v1/pods',
    'Deny SP_POLICY_DENIED p/d',
    { options: { allNamespaces: 'Exclude' } },
  ),
  row(
    'an approval in one namespace holds all',
    [any, approve('q', match('*', 'pods', { namespaces: ['prod'] }))],
    'GET /api/v1/pods',
    'RequireApproval p/q',
    { options: { allNamespaces: 'Exclude' } },
  ),
  row(
    'a Deny in one namespace leaves others',
    [any, deny('d', match('*', 'pods', { namespaces: ['prod'] }))],
    'GET /api/v1/namespaces/shop/pods',
    'Allow p/any',
  ),
  row('nodes are in no namespace', [inShop], 'GET /api/v1/nodes', 'Deny SP_POLICY_DENIED'),
  row(
    'nodes are not in * either',
    [allow('a', match('*', '*', { namespaces: ['*'] }))],
    'GET /api/v1/nodes',
    'Deny SP_POLICY_DENIED',
  ),
  row(
    'a Deny in a namespace says nothing of nodes',
    [any, deny('d', match('*', '*', { namespaces: ['prod'] }))],
    'GET /api/v1/nodes',
    'Allow p/any',
  ),
  row(
    'a single cluster-scoped object',
    [any, deny('d', match('*', '*', { namespaces: ['*'] }))],
    'GET /apis/example.com/v1/widgets/x',
    'Allow p/any',
  ),
  row(
    'a list of an unknown group could be of all namespaces',
    [any, deny('d', match('*', '*', { namespaces: ['prod'] }))],
    'GET /apis/example.com/v1/widgets',
    'Deny SP_POLICY_DENIED p/d',
  ),
  row(
    'a list of an unknown group could be of the cluster',
    [allow('a', match('*', '*', { namespaces: ['*'] }))],
    'GET /apis/example.com/v1/widgets',
    'Deny SP_POLICY_DENIED',
  ),
  row('a Namespace is in itself', [inShop], 'GET /api/v1/namespaces/shop', 'Allow p/shop'),
  row('another Namespace', [inShop], 'GET /api/v1/namespaces/prod', 'Deny SP_POLICY_DENIED'),
  row('Namespaces are a list of the cluster', [inShop], 'GET /api/v1/namespaces', 'Deny SP_POLICY_DENIED'),
  row('a new Namespace of a permitted name', [inShop], 'POST /api/v1/namespaces', 'Allow p/shop', {
    object: { metadata: { name: 'shop-eu' } },
  }),
  row('a new Namespace of another name', [inShop], 'POST /api/v1/namespaces', 'Deny SP_POLICY_DENIED', {
    object: { metadata: { name: 'prod' } },
  }),
  row('a new Namespace of a name not known', [inShop], 'POST /api/v1/namespaces', 'Deny SP_POLICY_DENIED', {
    object: { metadata: { generateName: 'shop-' } },
  }),
  row(
    'a new Namespace of a name not known, denied',
    [any, deny('d', match('*', '*', { namespaces: ['prod'] }))],
    'POST /api/v1/namespaces',
    'Deny SP_POLICY_DENIED p/d',
    { object: { metadata: { generateName: 'shop-' } } },
  ),

  row('an object by name', [web], 'GET /api/v1/namespaces/shop/pods/web', 'Allow p/web'),
  row('an object by glob', [web], 'GET /api/v1/namespaces/shop/pods/web-0', 'Allow p/web'),
  row('another object', [web], 'GET /api/v1/namespaces/shop/pods/db', 'Deny SP_POLICY_DENIED'),
  row('a list is not inside names', [web], 'GET /api/v1/namespaces/shop/pods', 'Deny SP_POLICY_DENIED'),
  row(
    'a list that a field selector pins is',
    [web],
    'GET /api/v1/namespaces/shop/pods?fieldSelector=metadata.name%3Dweb',
    'Allow p/web',
  ),
  row(
    'a watch that a field selector pins is',
    [web],
    'GET /api/v1/namespaces/shop/pods?watch=1&fieldSelector=metadata.name%3Dweb',
    'Allow p/web',
  ),
  row(
    'a list pinned to another',
    [web],
    'GET /api/v1/namespaces/shop/pods?fieldSelector=metadata.name%3Ddb',
    'Deny SP_POLICY_DENIED',
  ),
  row(
    'a list pinned by something else',
    [web],
    'GET /api/v1/namespaces/shop/pods?fieldSelector=spec.nodeName%3Dweb',
    'Deny SP_POLICY_DENIED',
  ),
  row(
    'a Deny by name stops a list',
    [any, deny('d', match('*', 'pods', { resourceNames: ['db'] }))],
    'GET /api/v1/namespaces/shop/pods',
    'Deny SP_POLICY_DENIED p/d',
  ),
  row(
    'a Deny by name leaves a list pinned to another',
    [any, deny('d', match('*', 'pods', { resourceNames: ['db'] }))],
    'GET /api/v1/namespaces/shop/pods?fieldSelector=metadata.name%3Dweb',
    'Allow p/any',
  ),
  row(
    'a Deny by name leaves another',
    [any, deny('d', match('*', 'pods', { resourceNames: ['db'] }))],
    'GET /api/v1/namespaces/shop/pods/web',
    'Allow p/any',
  ),
  row('a deletecollection is not inside names', [web], 'DELETE /api/v1/namespaces/shop/pods', 'Deny SP_POLICY_DENIED', {
    oldObject: map('web'),
    admission: 'Allow p/web',
  }),
  row(
    'a Deny by name stops a deletecollection, or its own object',
    [any, deny('d', match('*', 'pods', { resourceNames: ['db'] }))],
    'DELETE /api/v1/namespaces/shop/pods',
    'Deny SP_POLICY_DENIED p/d',
    { oldObject: map('web'), admission: 'Allow p/any' },
  ),
  row('a create by the name in the object', [web], 'POST /api/v1/namespaces/shop/configmaps', 'Allow p/web', {
    object: map('web-1'),
  }),
  row('a create of another name', [web], 'POST /api/v1/namespaces/shop/configmaps', 'Deny SP_POLICY_DENIED', {
    object: map('db'),
  }),
  row('a create of a name to be made up', [web], 'POST /api/v1/namespaces/shop/configmaps', 'Deny SP_POLICY_DENIED', {
    object: { metadata: { generateName: 'web-' } },
  }),
  row(
    'a name to be made up could be a denied one',
    [any, deny('d', match('*', '*', { resourceNames: ['db'] }))],
    'POST /api/v1/namespaces/shop/configmaps',
    'Deny SP_POLICY_DENIED p/d',
    { object: { metadata: { generateName: 'd' } } },
  ),
  row(
    'a proxy by the name of its Service, not its port',
    [allow('a', match('get', 'services/proxy', { resourceNames: ['web'] }))],
    'GET /api/v1/namespaces/shop/services/https:web:8443/proxy/',
    'Allow p/a',
  ),
  row(
    'a name in a subresource',
    [allow('a', match('create', 'pods/exec', { resourceNames: ['web'] }))],
    'POST /api/v1/namespaces/shop/pods/db/exec?command=ls',
    'Deny SP_POLICY_DENIED',
  ),

  row('labels of the namespace', [inDev], 'GET /api/v1/namespaces/shop/pods', 'Allow p/dev', labelled('dev')),
  row(
    'other labels of the namespace',
    [inDev],
    'GET /api/v1/namespaces/shop/pods',
    'Deny SP_POLICY_DENIED',
    labelled('prod'),
  ),
  row('labels that are not known allow nothing', [inDev], 'GET /api/v1/namespaces/shop/pods', 'Deny SP_POLICY_DENIED'),
  row(
    'labels that are not known may be denied ones',
    [any, deny('d', match('*', '*', { namespaceSelector: dev }))],
    'GET /api/v1/namespaces/shop/pods',
    'Deny SP_POLICY_DENIED p/d',
  ),
  row(
    'a Deny by label',
    [any, deny('d', match('*', '*', { namespaceSelector: dev }))],
    'GET /api/v1/namespaces/shop/pods',
    'Allow p/any',
    labelled('prod'),
  ),
  row('all namespaces are not inside labels', [inDev], 'GET /api/v1/pods', 'Deny SP_POLICY_DENIED', {
    options: { allNamespaces: 'Exclude' },
  }),
  row(
    'a Deny by label stops all namespaces',
    [any, deny('d', match('*', '*', { namespaceSelector: dev }))],
    'GET /api/v1/pods',
    'Deny SP_POLICY_DENIED p/d',
    { options: { allNamespaces: 'Exclude' } },
  ),
  row(
    'labels say nothing of nodes',
    [any, deny('d', match('*', '*', { namespaceSelector: dev }))],
    'GET /api/v1/nodes/a',
    'Allow p/any',
  ),
  row(
    'an expression over labels',
    [
      allow(
        'a',
        match('get', 'pods', {
          namespaceSelector: { matchExpressions: [{ key: 'env', operator: 'NotIn', values: ['prod'] }] },
        }),
      ),
    ],
    'GET /api/v1/namespaces/shop/pods/web',
    'Allow p/a',
    labelled('dev'),
  ),
  row('a new Namespace by the labels it comes with', [inDev], 'POST /api/v1/namespaces', 'Allow p/dev', {
    object: { metadata: { name: 'x', labels: { env: 'dev' } } },
  }),
];
