import { allow, approve, type DecisionCase, deny, match, policy, row } from './case.ts';

const SHOP = '/api/v1/namespaces/shop';
const create = `POST ${SHOP}/configmaps`;
const get = `GET ${SHOP}/configmaps/settings`;
const any = allow('any', match('*', '*,pods/exec'));
const settings = {
  kind: 'ConfigMap',
  apiVersion: 'v1',
  metadata: { name: 'settings', labels: { team: 'a' } },
  data: { n: '1' },
};
const given = { object: settings };
const pod = {
  kind: 'Pod',
  apiVersion: 'v1',
  metadata: { name: 'web', labels: { app: 'web' } },
  spec: { hostNetwork: true, containers: [] },
};
const exec = `POST ${SHOP}/pods/web/exec?command=ls&command=-l&container=app&stdout=true`;
const on = match('*', '*,pods/exec');

/** matchConditions: truth, errors, what cannot be known, and what they may read. */
export const CONDITION_CASES: readonly DecisionCase[] = [
  row('a true condition', [allow('a', on, 'true')], create, 'Allow p/a', given),
  row('a false condition', [allow('a', on, 'false')], create, 'Deny SP_POLICY_DENIED', given),
  row('all conditions must hold', [allow('a', on, 'true', 'false')], create, 'Deny SP_POLICY_DENIED', given),
  row(
    'an error in an Allow rule is no match',
    [allow('a', on, 'object.data.missing == "x"')],
    create,
    'Deny SP_POLICY_DENIED',
    given,
  ),
  row(
    'an error in an Allow rule leaves the others',
    [allow('a', on, 'object.data.missing == "x"'), any],
    create,
    'Allow p/any',
    given,
  ),
  row(
    'an error in a Deny rule refuses',
    [any, deny('d', on, 'object.data.missing == "x"')],
    create,
    'Deny SP_POLICY_ERROR p/d',
    given,
  ),
  row(
    'an error in an approval rule refuses',
    [any, approve('q', on, 'object.data.missing == "x"')],
    create,
    'Deny SP_POLICY_ERROR p/q',
    given,
  ),
  row(
    'a false condition beats an error before it',
    [any, deny('d', on, 'object.data.missing == "x"', 'false')],
    create,
    'Allow p/any',
    given,
  ),
  row(
    'a false condition beats an error after it',
    [any, deny('d', on, 'false', 'object.data.missing == "x"')],
    create,
    'Allow p/any',
    given,
  ),
  row(
    'a true condition does not',
    [any, deny('d', on, 'true', 'object.data.missing == "x"')],
    create,
    'Deny SP_POLICY_ERROR p/d',
    given,
  ),
  row(
    'a Deny that matches beats an error in another',
    [any, deny('a', on, 'object.data.missing == "x"'), deny('b', on)],
    create,
    'Deny SP_POLICY_DENIED p/b',
    given,
  ),
  row(
    'an error beats an approval',
    [any, deny('d', on, 'object.data.missing == "x"'), approve('a', on)],
    create,
    'Deny SP_POLICY_ERROR p/d',
    given,
  ),
  row(
    'a hostile type is an error',
    [any, deny('d', on, "images(object).exists(i, i == 'x')")],
    `POST ${SHOP}/pods`,
    'Deny SP_POLICY_ERROR p/d',
    { object: { ...pod, spec: { containers: 'x' } } },
  ),

  row(
    'the object of a read is not known: not in Allow',
    [allow('a', on, 'object == null || true')],
    get,
    'Deny SP_POLICY_DENIED',
  ),
  row(
    'the object of a read is not known: matched in Deny',
    [any, deny('d', on, "object.data.n == 'never'")],
    get,
    'Deny SP_POLICY_DENIED p/d',
  ),
  row(
    'the object of a read is not known: matched in approvals',
    [any, approve('q', on, "object.data.n == 'never'")],
    get,
    'RequireApproval p/q',
  ),
  row(
    'a false condition beats what is not known',
    [any, deny('d', on, "object.data.n == '1'", "request.verb == 'create'")],
    get,
    'Allow p/any',
  ),
  row(
    'an error beats what is not known',
    [any, deny('d', on, "object.data.n == '1'", "caller.groups[99] == 'x'")],
    get,
    'Deny SP_POLICY_ERROR p/d',
  ),
  row('oldObject of a read', [any, deny('d', on, 'oldObject != null')], get, 'Deny SP_POLICY_DENIED p/d'),
  row(
    'an object that could not be had: Deny refuses',
    [any, deny('d', on, "object.data.n == '2'")],
    create,
    'Deny SP_OBJECT_UNREADABLE p/d',
    { unknown: { object: 'no dry run' } },
  ),
  row(
    'an object that could not be had: approvals refuse',
    [any, approve('q', on, "object.data.n == '2'")],
    create,
    'Deny SP_OBJECT_UNREADABLE p/q',
    { unknown: { object: 'no dry run' } },
  ),
  row(
    'an object that could not be had: Allow does not match',
    [allow('a', on, "object.data.n == '2'")],
    create,
    'Deny SP_POLICY_DENIED',
    { unknown: { object: 'no dry run' } },
  ),
  row(
    'an object that nobody read',
    [any, deny('d', on, "object.data.n == '2'")],
    create,
    'Deny SP_OBJECT_UNREADABLE p/d',
  ),
  row('an object that no rule reads need not be had', [any], create, 'Allow p/any', {
    unknown: { object: 'no dry run' },
  }),

  row('object', [allow('a', on, "object.data.n == '1'")], create, 'Allow p/a', given),
  row('oldObject of a create is null', [allow('a', on, 'oldObject == null')], create, 'Allow p/a', given),
  row(
    'oldObject of an update',
    [allow('a', on, 'oldObject.metadata.labels == object.metadata.labels')],
    `PUT ${SHOP}/configmaps/settings`,
    'Allow p/a',
    { ...given, oldObject: settings, creates: false },
  ),
  row(
    'oldObject of a PUT that creates is null',
    [allow('a', on, 'oldObject == null')],
    `PUT ${SHOP}/configmaps/settings`,
    'Allow p/a',
    { ...given, creates: true },
  ),
  row(
    'object of a delete is null',
    [allow('a', on, "object == null && oldObject.data.n == '1'")],
    `DELETE ${SHOP}/configmaps/settings`,
    'Allow p/a',
    { oldObject: settings },
  ),
  row(
    'oldObject of a deletecollection is one of many',
    [any, deny('d', on, "oldObject.data.n == '2'")],
    `DELETE ${SHOP}/configmaps`,
    'Deny SP_POLICY_DENIED p/d',
    { admission: null },
  ),
  row('target of an exec', [any, deny('d', on, 'target.spec.hostNetwork')], exec, 'Deny SP_POLICY_ERROR p/d', {
    target: pod,
  }),
  row(
    'target of an exec, as a bool',
    [any, deny('d', on, 'target.spec.hostNetwork == true')],
    exec,
    'Deny SP_POLICY_DENIED p/d',
    { target: pod },
  ),
  row('target by its labels', [allow('a', on, "target.metadata.labels.app == 'web'")], exec, 'Allow p/a', {
    target: pod,
  }),
  row(
    'target that could not be read',
    [any, deny('d', on, "target.metadata.labels.app == 'web'")],
    exec,
    'Deny SP_OBJECT_UNREADABLE p/d',
    { unknown: { target: 'forbidden' } },
  ),
  row(
    'target that could not be read, by WebSocket',
    [any, approve('q', on, "target.metadata.labels.app == 'web'")],
    exec.replace('POST', 'GET'),
    'Deny SP_OBJECT_UNREADABLE p/q',
    { unknown: { target: 'forbidden' } },
  ),
  row('target of what has none is null', [allow('a', on, 'target == null')], create, 'Allow p/a', given),
  row('object of an exec is null', [allow('a', on, 'object == null && oldObject == null')], exec, 'Allow p/a'),
  row(
    'the command, exactly',
    [allow('a', on, "request.exec.command == ['ls', '-l'] && request.exec.container == 'app'")],
    exec,
    'Allow p/a',
  ),
  row('another command', [allow('a', on, "request.exec.command in [['ls'], ['id']]")], exec, 'Deny SP_POLICY_DENIED'),
  row('the input of an exec', [allow('a', on, '!request.exec.stdin && request.exec.stdout')], exec, 'Allow p/a'),
  row('exec of what is none', [allow('a', on, 'has(request.exec)')], create, 'Deny SP_POLICY_DENIED', given),
  row(
    'request, in Kubernetes terms',
    [
      allow(
        'a',
        on,
        "request.verb == 'get' && request.apiGroup == '' && request.apiVersion == 'v1' && request.resource == 'configmaps' && request.namespace == 'shop' && request.name == 'settings' && request.subresource == ''",
      ),
    ],
    get,
    'Allow p/a',
  ),
  row(
    'request.userInfo',
    [
      allow(
        'a',
        on,
        "request.userInfo.username == 'alice' && 'ai-agents' in request.userInfo.groups && request.agent == 'cursor'",
      ),
    ],
    get,
    'Allow p/a',
  ),
  row('request.dryRun', [allow('a', on, 'request.dryRun')], `${create}?dryRun=All`, 'Allow p/a', given),
  row(
    'request.sourceIP; the webhook does not know it',
    [allow('a', on, "cidr('10.0.0.0/8').containsIP(request.sourceIP)")],
    create,
    'Allow p/a',
    { ...given, admission: 'Deny SP_POLICY_DENIED' },
  ),
  row(
    'a Deny by sourceIP refuses in the webhook',
    [any, deny('d', on, "request.sourceIP == '10.9.9.9'")],
    create,
    'Allow p/any',
    { ...given, admission: 'Deny SP_POLICY_ERROR p/d' },
  ),
  row(
    'caller',
    [
      allow(
        'a',
        on,
        "caller.issuer == 'https://idp.example' && caller.onBehalfOf == 'alice' && caller.agent == 'cursor' && caller.session == ''",
      ),
    ],
    get,
    'Allow p/a',
  ),
  row('now', [allow('a', on, "now.getHours('UTC') < 18 && now < timestamp('2027-01-01T00:00:00Z')")], get, 'Allow p/a'),
  row('now, at night', [allow('a', on, "now.getHours('UTC') < 18")], get, 'Deny SP_POLICY_DENIED', {
    now: '2026-11-21T19:00:00Z',
  }),
  row('namespaceObject', [allow('a', on, "namespaceObject.metadata.labels.env == 'dev'")], get, 'Allow p/a', {
    namespaceObject: { metadata: { labels: { env: 'dev' } } },
  }),
  row(
    'namespaceObject of the cluster is null',
    [allow('a', on, 'namespaceObject == null')],
    'GET /api/v1/nodes/a',
    'Allow p/a',
  ),
  row(
    'namespaceObject of all namespaces is not known',
    [any, deny('d', on, "namespaceObject.metadata.labels.env == 'dev'")],
    'GET /api/v1/configmaps',
    'Deny SP_POLICY_DENIED p/d',
    { options: { allNamespaces: 'Exclude' } },
  ),

  row(
    'variables',
    [
      policy('p', [allow('a', on, "variables.twice == 'settingssettings'")], {
        variables: [
          { name: 'n', expression: 'request.name' },
          { name: 'twice', expression: 'variables.n + variables.n' },
        ],
      }),
    ],
    get,
    'Allow p/a',
  ),
  row(
    'a variable that is not used is not evaluated',
    [policy('p', [allow('a', on, 'true')], { variables: [{ name: 'broken', expression: 'object.a.b.c == 1' }] })],
    create,
    'Allow p/a',
    given,
  ),
  row(
    'a variable without an answer, absorbed',
    [
      policy('p', [any, deny('d', on, "request.verb == 'get' && variables.broken")], {
        variables: [{ name: 'broken', expression: 'object.a.b.c == 1' }],
      }),
    ],
    `DELETE ${SHOP}/configmaps/settings`,
    'Allow p/any',
    { oldObject: settings },
  ),
  row(
    'a variable without an answer',
    [
      policy('p', [any, deny('d', on, 'variables.broken')], {
        variables: [{ name: 'broken', expression: 'object.a.b.c == 1' }],
      }),
    ],
    create,
    'Deny SP_POLICY_ERROR p/d',
    given,
  ),
  row(
    'a variable that reads the object, of a read',
    [
      policy('p', [any, deny('d', on, 'variables.big')], {
        variables: [{ name: 'big', expression: 'object.data.size() > 9' }],
      }),
    ],
    get,
    'Deny SP_POLICY_DENIED p/d',
  ),
  row(
    'another variable that does not, beside it',
    [
      policy('p', [any, deny('d', on, "variables.who == 'bob'")], {
        variables: [
          { name: 'big', expression: 'object.data.size() > 9' },
          { name: 'who', expression: 'caller.username' },
        ],
      }),
    ],
    get,
    'Allow p/any',
  ),
  row(
    'functions over Pods',
    [any, deny('d', on, "images(object).exists(i, !i.startsWith('good/'))")],
    `POST ${SHOP}/pods`,
    'Deny SP_POLICY_DENIED p/d',
    { object: { ...pod, spec: { containers: [{ image: 'good/a' }], ephemeralContainers: [{ image: 'bad/b' }] } } },
  ),
  row(
    'functions over what is no Pod',
    [
      any,
      deny('d', on, "images(object).size() + secretsOf(object).size() + podSecurity(object, 'restricted').size() > 0"),
    ],
    create,
    'Allow p/any',
    given,
  ),
  row(
    'podSecurity',
    [any, approve('q', on, "podSecurity(object, 'baseline').exists(v, v.id == 'hostNamespaces')")],
    `POST ${SHOP}/pods`,
    'RequireApproval p/q',
    { object: pod },
  ),
];
