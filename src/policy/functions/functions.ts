import {
  type Budget,
  CelRuntimeError,
  type CelType,
  type CelValue,
  type CustomFunction,
  DYN,
  fault,
  listOf,
  objectOf,
  STRING,
} from '../cel/engine.ts';
import { images, secretsOf, serviceAccountOf, volumeTypes } from './pod-contents.ts';
import { podSecurity } from './pod-security.ts';
import { podTemplate } from './pod-template.ts';

const VIOLATION: CelType = objectOf('PodSecurityViolation', { id: STRING, path: STRING, message: STRING });

type Answer = (object: CelValue, budget: Budget, argument: CelValue) => CelValue;

/** Several rules ask the same of one object, which never changes: each answer is worked out once. */
function once(answer: Answer): Answer {
  const known = new WeakMap<object, Map<CelValue, CelValue>>();
  return (object, budget, argument) => {
    if (typeof object !== 'object' || object === null) return answer(object, budget, argument);
    let answers = known.get(object);
    if (answers === undefined) {
      answers = new Map();
      known.set(object, answers);
    }
    let value = answers.get(argument);
    if (value === undefined) {
      value = errorsAsValues(answer)(object, budget, argument);
      answers.set(argument, value);
    }
    return value;
  };
}

/** An error as a value, so that `||` may absorb it; a spent budget stays an exception. */
const errorsAsValues =
  (answer: Answer): Answer =>
  (object, budget, argument) => {
    try {
      return answer(object, budget, argument);
    } catch (error) {
      if (error instanceof CelRuntimeError) return fault(error.message);
      throw error;
    }
  };

function overObject(name: string, result: CelType, answer: Answer): CustomFunction {
  const remembered = errorsAsValues(once(answer));
  return {
    name,
    parameters: [DYN],
    result,
    implementation: ([object], budget) => remembered(object ?? null, budget, ''),
    cost: () => COST,
  };
}

/** Of one walk over a Pod, as Kubernetes would count the comprehension in its place; long ones burn as they go. */
const COST = 50;

const remembered = errorsAsValues(once((object, budget, level) => podSecurity(object, level, budget)));

/** What policies may call beyond Kubernetes' own libraries. */
export const FUNCTIONS: readonly CustomFunction[] = [
  overObject('podSpec', DYN, (object, budget) => podTemplate(object, budget)?.spec.map() ?? null),
  overObject('images', listOf(STRING), images),
  overObject('volumeTypes', listOf(STRING), volumeTypes),
  overObject('secretsOf', listOf(STRING), secretsOf),
  overObject('serviceAccountOf', STRING, serviceAccountOf),
  {
    name: 'podSecurity',
    parameters: [DYN, STRING],
    result: listOf(VIOLATION),
    implementation: ([object, level], budget) => remembered(object ?? null, budget, level ?? ''),
    cost: () => 4 * COST,
  },
];
