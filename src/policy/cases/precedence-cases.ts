import { callerNamed } from './callers.ts';
import { agent, allow, approve, type DecisionCase, deny, match, policy, row } from './case.ts';

const get = 'GET /api/v1/namespaces/shop/configmaps/settings';
const create = 'POST /api/v1/namespaces/shop/configmaps';
const on = match('*', '*');
const object = { metadata: { name: 'settings' } };
const stranger = callerNamed('mallory');
const audited = { options: { defaultEnforcement: 'Audit' as const } };

/** Deny beats RequireApproval beats Allow; whom policies name; Warn and Audit; what does not compile. */
export const PRECEDENCE_CASES: readonly DecisionCase[] = [
  row('no rule matches', [allow('a', match('delete', '*'))], get, 'Deny SP_POLICY_DENIED'),
  row('Deny beats Allow', [allow('a', on), deny('d', on)], get, 'Deny SP_POLICY_DENIED p/d'),
  row('Deny beats RequireApproval', [approve('a', on), deny('d', on)], get, 'Deny SP_POLICY_DENIED p/d'),
  row('RequireApproval beats Allow', [allow('a', on), approve('q', on)], get, 'RequireApproval p/q'),
  row('RequireApproval needs no Allow', [approve('q', on)], get, 'RequireApproval p/q'),
  row(
    'Deny of one policy beats Allow of another',
    [policy('a', [allow('a', on)]), policy('b', [deny('d', on)])],
    get,
    'Deny SP_POLICY_DENIED b/d',
  ),
  row(
    'the order of policies does not matter',
    [policy('b', [deny('d', on)]), policy('a', [allow('a', on)])],
    get,
    'Deny SP_POLICY_DENIED b/d',
  ),
  row(
    'of several, the first by name',
    [policy('b', [allow('x', on)]), policy('a', [allow('z', on), allow('y', on)])],
    get,
    'Allow a/y',
  ),
  row(
    'the stricter approval holds',
    [policy('a', [approve('q', on)]), policy('b', [{ ...approve('q', on), approval: { requiredApprovals: 2 } }])],
    get,
    'RequireApproval b/q',
  ),
  row(
    'approval by others is stricter',
    [
      policy('a', [{ ...approve('q', on), approval: { approvers: 'IncludeOnBehalfOf' } }]),
      policy('b', [approve('q', on)]),
    ],
    get,
    'RequireApproval b/q',
  ),

  row('nobody names the caller', [policy('p', [allow('a', on)])], get, 'Deny SP_NO_POLICY', { caller: stranger }),
  row('no policies at all', [], get, 'Deny SP_NO_POLICY'),
  row('a user', [policy('p', [allow('a', on)], { subjects: [{ kind: 'User', name: 'alice' }] })], get, 'Allow p/a'),
  row(
    'a user, exactly',
    [policy('p', [allow('a', on)], { subjects: [{ kind: 'User', name: 'Alice' }] })],
    get,
    'Deny SP_NO_POLICY',
  ),
  row('an agent', [policy('p', [allow('a', on)], { subjects: [{ kind: 'Agent', name: 'cursor' }] })], get, 'Allow p/a'),
  row(
    'an agent is no user',
    [policy('p', [allow('a', on)], { subjects: [{ kind: 'User', name: 'cursor' }] })],
    get,
    'Deny SP_NO_POLICY',
  ),
  row(
    'a group is no user',
    [policy('p', [allow('a', on)], { subjects: [{ kind: 'User', name: 'ai-agents' }] })],
    get,
    'Deny SP_NO_POLICY',
  ),
  row(
    'a ServiceAccount',
    [policy('p', [allow('a', on)], { subjects: [{ kind: 'ServiceAccount', namespace: 'ci', name: 'deployer' }] })],
    get,
    'Allow p/a',
    {
      caller: callerNamed('system:serviceaccount:ci:deployer', {
        serviceAccount: { namespace: 'ci', name: 'deployer' },
      }),
    },
  ),
  row(
    'a ServiceAccount of another namespace',
    [policy('p', [allow('a', on)], { subjects: [{ kind: 'ServiceAccount', namespace: 'ci', name: 'deployer' }] })],
    get,
    'Deny SP_NO_POLICY',
    {
      caller: callerNamed('system:serviceaccount:qa:deployer', {
        serviceAccount: { namespace: 'qa', name: 'deployer' },
      }),
    },
  ),
  row(
    'a user with the name of a ServiceAccount',
    [policy('p', [allow('a', on)], { subjects: [{ kind: 'ServiceAccount', namespace: 'ci', name: 'deployer' }] })],
    get,
    'Deny SP_NO_POLICY',
    { caller: callerNamed('system:serviceaccount:ci:deployer') },
  ),
  row(
    'any of several subjects',
    [
      policy('p', [allow('a', on)], {
        subjects: [
          { kind: 'User', name: 'x' },
          { kind: 'Group', name: 'ai-agents' },
        ],
      }),
    ],
    get,
    'Allow p/a',
  ),
  row(
    'a Deny for another does not concern the caller',
    [allow('a', on), policy('z', [deny('d', on)], { subjects: [{ kind: 'User', name: 'bob' }] })],
    get,
    'Allow p/a',
  ),
  row(
    'an agent and its person, both named',
    [
      policy('a', [allow('a', on)], { subjects: [{ kind: 'User', name: 'alice' }] }),
      policy('b', [deny('d', on)], { subjects: [{ kind: 'Agent', name: 'cursor' }] }),
    ],
    get,
    'Deny SP_POLICY_DENIED b/d',
  ),
  row(
    'a group that means everyone allows nothing',
    [policy('p', [allow('a', on)], { subjects: [{ kind: 'Group', name: 'system:authenticated' }] })],
    get,
    'Deny SP_POLICY_DENIED',
    { caller: { ...agent, groups: ['system:authenticated'] } },
  ),
  row(
    'a group that means everyone may deny',
    [allow('a', on), policy('q', [deny('d', on)], { subjects: [{ kind: 'Group', name: 'system:authenticated' }] })],
    get,
    'Deny SP_POLICY_DENIED q/d',
    { caller: { ...agent, groups: ['system:authenticated', 'ai-agents'] } },
  ),

  row(
    'a Warn policy does not deny',
    [allow('a', on), policy('w', [deny('d', on)], { enforcement: 'Warn' })],
    get,
    'Allow p/a',
  ),
  row(
    'an Audit policy does not deny',
    [allow('a', on), policy('w', [deny('d', on)], { enforcement: 'Audit' })],
    get,
    'Allow p/a',
  ),
  row(
    'a Warn policy does not hold',
    [allow('a', on), policy('w', [approve('q', on)], { enforcement: 'Warn' })],
    get,
    'Allow p/a',
  ),
  row(
    'a Warn policy does not allow',
    [policy('w', [allow('a', on)], { enforcement: 'Warn' })],
    get,
    'Deny SP_NO_POLICY',
  ),
  row(
    'an Audit policy does not allow beside one that enforces',
    [allow('a', match('delete', '*')), policy('w', [allow('a', on)], { enforcement: 'Audit' })],
    get,
    'Deny SP_POLICY_DENIED',
  ),
  row(
    'an error in a Warn policy refuses nothing',
    [allow('a', on), policy('w', [deny('d', on, 'object.x.y == 1')], { enforcement: 'Warn' })],
    create,
    'Allow p/a',
    { object },
  ),
  row('roll-out lets a caller without a policy through', [], get, 'Allow', audited),
  row(
    'roll-out lets a caller of an Audit policy through',
    [policy('w', [deny('d', on)], { enforcement: 'Audit' })],
    get,
    'Allow',
    audited,
  ),
  row(
    'roll-out does not open what an Enforce policy does not allow',
    [allow('a', match('delete', '*'))],
    get,
    'Deny SP_POLICY_DENIED',
    audited,
  ),
  row(
    'roll-out does not open what must be named',
    [],
    'POST /api/v1/namespaces/shop/serviceaccounts/web/token',
    'Deny SP_NO_POLICY',
    audited,
  ),
  row(
    'roll-out does not open bedrock',
    [],
    'DELETE /apis/sallyport.dev/v1alpha1/agentpolicies/p',
    'Deny SP_BEDROCK',
    audited,
  ),

  row(
    'an Allow rule that does not compile matches nothing',
    [allow('a', on, 'object.')],
    create,
    'Deny SP_POLICY_DENIED',
    { object },
  ),
  row('the other rules of its policy hold', [allow('a', on, 'object.'), allow('b', on)], create, 'Allow p/b', {
    object,
  }),
  row(
    'a Deny rule that does not compile refuses what it matches',
    [allow('a', on), deny('d', match('create', '*'), 'object.')],
    create,
    'Deny SP_POLICY_ERROR p/d',
    { object },
  ),
  row('and nothing else', [allow('a', on), deny('d', match('create', '*'), 'object.')], get, 'Allow p/a'),
  row(
    'an approval rule that does not compile refuses',
    [allow('a', on), approve('q', on, 'nosuch == 1')],
    create,
    'Deny SP_POLICY_ERROR p/q',
    { object },
  ),
  row(
    'a Deny rule without a sound match refuses everything',
    [allow('a', on), deny('d', { verbs: ['get'], resources: ['*'] })],
    create,
    'Deny SP_POLICY_ERROR p/d',
    { object },
  ),
  row(
    'a condition that is no bool does not compile',
    [allow('a', on), deny('d', on, "'true'")],
    create,
    'Deny SP_POLICY_ERROR p/d',
    { object },
  ),
  row(
    'a rule with a variable that does not compile',
    [policy('p', [allow('a', on), deny('d', on, 'variables.v')], { variables: [{ name: 'v', expression: '1 +' }] })],
    create,
    'Deny SP_POLICY_ERROR p/d',
    { object },
  ),
  row(
    'a message that does not compile leaves its rule',
    [allow('a', on), { ...deny('d', on, "request.name == 'settings'"), messageExpression: '1 +' }],
    create,
    'Deny SP_POLICY_DENIED p/d',
    { object },
  ),
  row(
    'an unknown action refuses',
    [allow('a', on), { ...deny('d', on), action: 'Permit' as 'Deny' }],
    get,
    'Deny SP_POLICY_ERROR p/d',
  ),
  row(
    'a policy of a Warn kind that is not known enforces',
    [allow('a', on), policy('w', [deny('d', on)], { enforcement: 'warn' as 'Warn' })],
    get,
    'Deny SP_POLICY_DENIED w/d',
  ),
];
