import { bad, core, named, ok, quiet, type RequestCase, SHOP, web } from './case.ts';

/** Ways into Pods, Services and nodes. */
export const CONNECTS: readonly RequestCase[] = [
  ok(
    'POST',
    `${SHOP}/pods/web/exec?command=ls&command=-l&container=c&stdout=true&stderr=true`,
    core('create', 'pods', {
      ...web,
      subresource: 'exec',
      exec: { command: ['ls', '-l'], container: 'c', stdin: false, stdout: true, stderr: true, tty: false },
    }),
  ),
  ok(
    'GET',
    `${SHOP}/pods/web/exec?command=ls`,
    core('create', 'pods', { ...web, subresource: 'exec', exec: { ...quiet, command: ['ls'] } }),
    { audit: { verb: 'get' } },
  ),
  ok(
    'GET',
    `${SHOP}/pods/web/%65xec?c%6Fmmand=l%73`,
    core('create', 'pods', {
      ...web,
      subresource: 'exec',
      path: `${SHOP}/pods/web/exec`,
      query: 'command=ls',
      exec: { ...quiet, command: ['ls'] },
    }),
    { audit: { verb: 'get' } },
  ),
  ok(
    'POST',
    `${SHOP}/pods/web/exec?command=sh&command=-c&command=a%0Ab%20%26%26+c&stdin=1&tty=yes&stdout=0&stderr=False`,
    core('create', 'pods', {
      ...web,
      subresource: 'exec',
      exec: { command: ['sh', '-c', 'a\nb && c'], container: '', stdin: true, stdout: false, stderr: false, tty: true },
    }),
  ),
  ok(
    'POST',
    `${SHOP}/pods/web/exec?command=&command=x`,
    core('create', 'pods', { ...web, subresource: 'exec', exec: { ...quiet, command: ['', 'x'] } }),
  ),
  ok(
    'POST',
    `${SHOP}/pods/web/exec?container=a&container=b&stdin=0&stdin=1`,
    core('create', 'pods', { ...web, subresource: 'exec', exec: { ...quiet, container: 'a' } }),
  ),
  ok(
    'POST',
    `${SHOP}/pods/web/attach?stdin&stdout&command=ls`,
    core('create', 'pods', { ...web, subresource: 'attach', exec: { ...quiet, stdin: true, stdout: true } }),
  ),
  ok('GET', `${SHOP}/pods/web/attach`, core('create', 'pods', { ...web, subresource: 'attach', exec: quiet }), {
    audit: { verb: 'get' },
  }),
  ok(
    'POST',
    `${SHOP}/pods/web/portforward`,
    core('create', 'pods', { ...web, subresource: 'portforward', portForward: { ports: [] } }),
  ),
  ok(
    'GET',
    `${SHOP}/pods/web/portforward?ports=80&ports=81,82`,
    core('create', 'pods', { ...web, subresource: 'portforward', portForward: { ports: [80, 81, 82] } }),
    { audit: { verb: 'get' } },
  ),
  bad(`${SHOP}/pods/web/portforward?ports=0`),
  bad(`${SHOP}/pods/web/portforward?ports=65536`),
  bad(`${SHOP}/pods/web/portforward?ports=80,`),
  bad(`${SHOP}/pods/web/portforward?ports=http`),
  bad(`${SHOP}/pods/web/portforward?ports=%2B80`),
  bad(`${SHOP}/pods/web/portforward?ports=`),
  bad(`${SHOP}/pods/web/exec?command=ls`, 'PUT'),
  bad(`${SHOP}/pods/web/exec?command=ls`, 'DELETE'),
  bad(`${SHOP}/pods/web/attach`, 'HEAD'),
  bad(`${SHOP}/pods/web/exec?command=a%00b`),
  bad('/api/v1/watch/namespaces/shop/pods/web/exec?command=ls'),
  ok(
    'GET',
    '/apis/example.com/v1/namespaces/shop/pods/web/exec?command=ls',
    named('get', 'example.com', 'v1', 'pods', { ...web, subresource: 'exec' }),
  ),
  ok(
    'GET',
    `${SHOP}/pods/web/proxy/`,
    core('get', 'pods', {
      ...web,
      subresource: 'proxy',
      proxyPath: '/',
      path: `${SHOP}/pods/web/proxy/`,
      proxyTarget: { scheme: '', name: 'web', port: '' },
    }),
  ),
  ok(
    'GET',
    `${SHOP}/pods/web/proxy`,
    core('get', 'pods', {
      ...web,
      subresource: 'proxy',
      proxyPath: '',
      path: `${SHOP}/pods/web/proxy`,
      proxyTarget: { scheme: '', name: 'web', port: '' },
    }),
  ),
  ok(
    'DELETE',
    `${SHOP}/pods/web:8080/proxy/a/b/`,
    core('delete', 'pods', {
      namespace: 'shop',
      name: 'web:8080',
      subresource: 'proxy',
      proxyPath: '/a/b/',
      proxyTarget: { scheme: '', name: 'web', port: '8080' },
    }),
  ),
  ok(
    'POST',
    `${SHOP}/services/https:web:tls/proxy/a;v=1/%25x?wsdl&a=1`,
    core('create', 'services', {
      namespace: 'shop',
      name: 'https:web:tls',
      subresource: 'proxy',
      proxyPath: '/a;v=1/%25x',
      query: 'wsdl&a=1',
      proxyTarget: { scheme: 'https', name: 'web', port: 'tls' },
    }),
  ),
  ok(
    'GET',
    `${SHOP}/services/https%3Aweb%3A/proxy/`,
    core('get', 'services', {
      namespace: 'shop',
      name: 'https:web:',
      subresource: 'proxy',
      proxyPath: '/',
      proxyTarget: { scheme: 'https', name: 'web', port: '' },
    }),
  ),
  ok(
    'GET',
    '/api/v1/nodes/n1:10250/proxy/run/shop/web/c?cmd=ls',
    core('get', 'nodes', {
      name: 'n1:10250',
      subresource: 'proxy',
      proxyPath: '/run/shop/web/c',
      proxyTarget: { scheme: '', name: 'n1', port: '10250' },
    }),
  ),
  ok(
    'PATCH',
    `${SHOP}/services/web/proxy/x`,
    core('patch', 'services', {
      ...web,
      subresource: 'proxy',
      proxyPath: '/x',
      proxyTarget: { scheme: '', name: 'web', port: '' },
    }),
    { contentType: 'text/plain' },
  ),
  ok(
    'GET',
    `${SHOP}/services/web/proxy/api/v1/namespaces/other/pods?watch=1`,
    core('get', 'services', {
      ...web,
      subresource: 'proxy',
      proxyPath: '/api/v1/namespaces/other/pods',
      proxyTarget: { scheme: '', name: 'web', port: '' },
    }),
  ),
  ok(
    'GET',
    '/apis/subresources.kubevirt.io/v1/namespaces/shop/virtualmachineinstances/web/portforward/22/tcp',
    named('get', 'subresources.kubevirt.io', 'v1', 'virtualmachineinstances', {
      ...web,
      subresource: 'portforward',
      proxyPath: '/22/tcp',
    }),
  ),
  bad(`${SHOP}/services/ftp:web:1/proxy/`),
  bad(`${SHOP}/services/a:b:c:d/proxy/`),
  bad(`${SHOP}/services/:80/proxy/`),
  bad(`${SHOP}/services/https::80/proxy/`),
];
