import type { Caller } from '../identity/caller.ts';
import { isConnect, type Operation } from '../request/operation.ts';
import type { CelValue, Lazy } from './cel/engine.ts';
import { type Facts, factsOf } from './facts.ts';
import type { Input } from './variables.ts';
import { isRead, type Leg, mayCreate } from './verbs.ts';

/** Everything a decision may depend on. The same question has the same answer, on any replica. */
export interface Question {
  readonly caller: Caller;
  readonly operation: Operation;
  readonly leg: Leg;
  /** Undefined where the leg cannot know it (admission): a condition that reads it is then an error. */
  readonly sourceIP: string | undefined;
  /** Unix milliseconds. */
  readonly now: number;
  readonly requestID: string;
  /** As it would be stored. `null` where there is none; absent: see `resolve`. CEL values: parse JSON with `fromJson`. */
  readonly object?: CelValue | Lazy | undefined;
  /** As it is stored now. */
  readonly oldObject?: CelValue | Lazy | undefined;
  /** The object a subresource or connect belongs to. */
  readonly target?: CelValue | Lazy | undefined;
  readonly namespaceObject?: CelValue | Lazy | undefined;
  /** Why an input that was needed could not be known: a line for the caller, without secrets. */
  readonly unknown?: Readonly<Partial<Record<Input, string>>> | undefined;
  /** Gateway: whether a PUT or apply patch creates. Undefined: not known, so it is judged as both. */
  readonly creates?: boolean | undefined;
  /** Ports of a port-forward that the stream headers name; undefined: those of the query, if any. */
  readonly ports?: readonly number[] | undefined;
  /** The Accept header offers PartialObjectMetadata and nothing else. */
  readonly metadataOnly?: boolean | undefined;
}

/** An input that has no value. `byNature`: a read has no object, nobody could know it. */
export interface Unknown {
  readonly reason: string;
  readonly byNature: boolean;
}

export type Resolved = { readonly value: CelValue | Lazy } | { readonly unknown: Unknown };

const NULL_VALUE: Resolved = { value: null };
const byNature = (reason: string): Resolved => ({ unknown: { reason, byNature: true } });

/** The value of an input, or why there is none. */
export function resolve(input: Input, question: Question, facts: Facts): Resolved {
  const { operation } = question;
  const reads = shows(operation);
  // Whatever was given: what a read will show is decided after this.
  if (reads && (input === 'object' || input === 'oldObject')) {
    return byNature('a read has no object');
  }
  const value = question[input];
  if (value !== undefined) return { value };
  const reason = question.unknown?.[input];
  if (reason !== undefined) return { unknown: { reason, byNature: reads } };
  return natural(input, operation, facts, question.creates) ?? missing(input);
}

/** A read. An exec by WebSocket is a GET and none. */
const shows = (operation: Operation): boolean =>
  !isConnect(operation) && (!operation.isResource || isRead(operation.verb));

const missing = (input: Input): Resolved => ({ unknown: { reason: `its ${input} was not read`, byNature: false } });

/** What an input is without asking anyone; undefined: it must be fetched. */
export function natural(
  input: Input,
  operation: Operation,
  facts: Facts,
  creates: boolean | undefined,
): Resolved | undefined {
  const { verb } = operation;
  const reads = shows(operation);
  const writes = verb === 'create' || verb === 'update' || verb === 'patch';
  switch (input) {
    case 'object':
      if (isConnect(operation)) return NULL_VALUE;
      if (reads) return byNature('a read has no object');
      return writes ? undefined : NULL_VALUE;
    case 'oldObject':
      if (isConnect(operation)) return NULL_VALUE;
      if (reads) return byNature('a read has no object');
      if (verb === 'create' || (creates === true && mayCreate(operation))) return NULL_VALUE;
      return verb === 'deletecollection' ? byNature('it touches several objects') : undefined;
    case 'target':
      return operation.isResource && operation.subresource !== '' ? undefined : NULL_VALUE;
    case 'namespaceObject':
      if (facts.reach === 'Cluster') return NULL_VALUE;
      return facts.reach === 'Namespace' ? undefined : byNature('it touches several namespaces');
  }
}

export function questionFacts(question: Question): Facts {
  return factsOf(question.operation, question);
}
