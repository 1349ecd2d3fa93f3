import type { Caller } from '../identity/caller.ts';
import type { Operation } from '../request/operation.ts';
import {
  type Activation,
  BOOL,
  type CelType,
  type CelValue,
  DYN,
  type Environment,
  fault,
  INT,
  Lazy,
  LazyMap,
  listOf,
  objectOf,
  STRING,
  TIMESTAMP,
} from './cel/engine.ts';
import { CelTimestamp } from './cel/timestamp.ts';
import { FUNCTIONS } from './functions/functions.ts';

/** What an expression reads that must be fetched, or may not be knowable. */
export type Input = 'object' | 'oldObject' | 'target' | 'namespaceObject';
export const INPUTS: readonly Input[] = ['object', 'oldObject', 'target', 'namespaceObject'];

const EXEC = objectOf('Exec', {
  command: listOf(STRING),
  container: STRING,
  stdin: BOOL,
  stdout: BOOL,
  stderr: BOOL,
  tty: BOOL,
});

const REQUEST = objectOf('Request', {
  verb: STRING,
  apiGroup: STRING,
  apiVersion: STRING,
  resource: STRING,
  subresource: STRING,
  namespace: STRING,
  name: STRING,
  path: STRING,
  dryRun: BOOL,
  exec: EXEC,
  portForward: objectOf('PortForward', { ports: listOf(INT) }),
  userInfo: objectOf('UserInfo', { username: STRING, uid: STRING, groups: listOf(STRING) }),
  agent: STRING,
  sourceIP: STRING,
});

const CALLER = objectOf('Caller', {
  issuer: STRING,
  username: STRING,
  uid: STRING,
  groups: listOf(STRING),
  agent: STRING,
  onBehalfOf: STRING,
  session: STRING,
});

const VARIABLES: Readonly<Record<string, CelType>> = {
  object: DYN,
  oldObject: DYN,
  target: DYN,
  namespaceObject: DYN,
  request: REQUEST,
  caller: CALLER,
  now: TIMESTAMP,
};

/** The environment of one policy. `variables` has one field for each variable compiled so far, of that one's type. */
export function environment(variables: Readonly<Record<string, CelType>>): Environment {
  return { variables: { ...VARIABLES, variables: objectOf('Variables', variables) }, functions: FUNCTIONS };
}

export interface ActivationInput {
  readonly caller: Caller;
  readonly operation: Operation;
  /** Undefined where the leg cannot know it: reading it is then an error. */
  readonly sourceIP: string | undefined;
  /** Unix milliseconds. */
  readonly now: number;
  readonly ports: readonly number[];
  readonly namespace: string;
  readonly name: string;
  readonly inputs: Readonly<Partial<Record<Input, CelValue | Lazy>>>;
}

/** What all expressions of one request share; each policy adds its own `variables`. */
export function activationOf(question: ActivationInput): Activation {
  const { caller } = question;
  return {
    ...question.inputs,
    request: requestValue(question),
    caller: {
      issuer: caller.issuer,
      username: caller.username,
      uid: caller.uid,
      groups: caller.groups,
      agent: caller.agent ?? '',
      onBehalfOf: caller.onBehalfOf ?? '',
      session: caller.session ?? '',
    },
    now: new Lazy(() => CelTimestamp.of(Math.floor(question.now / 1000), (question.now % 1000) * 1_000_000) ?? null),
  };
}

function requestValue(question: ActivationInput): CelValue {
  const { caller, operation, sourceIP } = question;
  const { exec, portForward } = operation;
  const request: Record<string, CelValue> = {
    verb: operation.verb,
    apiGroup: operation.apiGroup,
    apiVersion: operation.apiVersion,
    resource: operation.resource,
    subresource: operation.subresource,
    namespace: question.namespace,
    name: question.name,
    path: operation.path,
    dryRun: operation.dryRun,
    userInfo: { username: caller.username, uid: caller.uid, groups: caller.groups },
    agent: caller.agent ?? '',
    sourceIP: sourceIP ?? '',
  };
  if (exec !== undefined) request['exec'] = { ...exec };
  if (portForward !== undefined) request['portForward'] = { ports: question.ports };
  if (sourceIP !== undefined) return request;
  // An empty string would be an answer; that there is none must be an error.
  const thunks = new Map(Object.entries(request).map(([key, value]) => [key, () => value]));
  thunks.set('sourceIP', () => fault('the address of the caller is not known here'));
  return new LazyMap(thunks);
}

/** `variables.*` of one policy, each worked out at its first use in this request. */
export const variablesValue = (thunks: ReadonlyMap<string, () => CelValue>): CelValue => new LazyMap(thunks);
