import { SallyportError } from '../../errors.ts';
import type { AnswerHint } from '../../masking/answer-mask.ts';
import { JsonMask } from '../../masking/json-stream.ts';
import { type MaskPlan, replacer } from '../../masking/mask-plan.ts';
import { TextMask } from '../../masking/text-mask.ts';
import type { Exchange } from '../exchange.ts';
import type { BodyTransform } from '../relay.ts';
import type { AnswerShape } from './answer-accept.ts';
import { resourceKind } from './resource-kind.ts';
import { LINE_WAIT, MaskTap } from './stream-mask.ts';
import type { AskedTable } from './table-query.ts';

/**
 * The engine for one answer, by what was asked for and what came.
 * @throws SallyportError SP_MASKING_UNREADABLE where it came in a form that cannot be read
 */
export function maskedAnswer(
  exchange: Exchange,
  masking: AnswerShape & { readonly plan: MaskPlan; readonly table: AskedTable | undefined },
  headers: readonly string[],
): BodyTransform {
  const { encoding, type, passing } = readHeaders(headers);
  if (encoding !== undefined && encoding.toLowerCase() !== 'identity') throw unread(`it is compressed (${encoding})`);
  const { plan, shape, table } = masking;
  const media = type.split(';', 1)[0]!.trim().toLowerCase();
  // Errors of a log or a stream are objects as well.
  if (shape !== 'Foreign' && media === 'application/json') {
    const engine = new JsonMask(plan, hintOf(exchange, table), { sliced: true, lent: true });
    return new MaskedObjects(engine, passing, exchange.operation!.verb);
  }
  if (shape === 'Objects' && media !== '' && media !== 'text/plain') throw unread(`it came as ${media}`);
  // A log that is followed may hold a line that stays unfinished.
  const tap = new MaskTap(textOf(exchange, plan), LINE_WAIT);
  return {
    headers: passing,
    later: (ways) => tap.later(ways),
    write: (chunk) => tap.write(chunk) ?? NOTHING,
    end: () => tap.end(),
    cut: () => tap.cut(),
  };
}

class MaskedObjects implements BodyTransform {
  readonly headers: string[];
  /** What cannot be read is then answered with an error, not with a cut. */
  readonly holdsHead: boolean;
  readonly #engine: JsonMask;

  constructor(engine: JsonMask, headers: string[], verb: string) {
    this.#engine = engine;
    this.headers = headers;
    this.holdsHead = verb !== 'watch';
  }

  write(chunk: Buffer): Buffer {
    return this.#engine.write(chunk);
  }

  busy(): boolean {
    return this.#engine.busy;
  }

  step(): Buffer {
    return this.#engine.step();
  }

  passed(): void {
    this.#engine.passed();
  }

  end(): Buffer {
    return this.#engine.end();
  }
}

/** What is known of an answer before it comes. */
export function hintOf(exchange: Exchange, table?: AskedTable): AnswerHint {
  const operation = exchange.operation!;
  return {
    kind: resourceKind(operation),
    isList: operation.isCollection && operation.verb !== 'watch',
    ...(table === undefined ? {} : { table }),
    status: { about: operation.resource, names: () => namesOf(exchange) },
  };
}

/** What the client itself named, and what it is called upstream: a message that repeats them tells nothing. */
function namesOf({ operation, identity }: Exchange): readonly string[] {
  const { verb, apiGroup, apiVersion, resource, subresource, namespace, name, fieldSelectorName } = operation!;
  const names = [verb, apiGroup, apiVersion, resource, subresource, namespace, name, fieldSelectorName];
  names.push(`${resource}.${apiGroup}`, identity?.username);
  return names.filter((one) => one !== undefined);
}

function textOf(exchange: Exchange, plan: MaskPlan): TextMask {
  const { isResource, resource, subresource, namespace, name, path } = exchange.operation!;
  const object = isResource ? `${resource}/${namespace}/${name}` : path;
  const replace = replacer(plan, object, subresource === '' ? 'text' : subresource);
  return new TextMask(plan.recognizer, replace, { lent: true });
}

function unread(why: string): SallyportError {
  return new SallyportError('SP_MASKING_UNREADABLE', `the answer cannot be masked, so it is not passed on: ${why}`);
}

/** The length changes; digests and tags of what was there before would be lies. */
const OF_THE_BODY = new Set([
  'content-length',
  'content-md5',
  'digest',
  'repr-digest',
  'content-digest',
  'etag',
  'accept-ranges',
]);

/** What an answer's headers say of its body, and those that still hold when it is masked. */
function readHeaders(headers: readonly string[]) {
  const passing: string[] = [];
  let encoding: string | undefined;
  let type: string | undefined;
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!.toLowerCase();
    const value = headers[i + 1]!;
    if (name === 'content-encoding') encoding ??= value;
    else if (name === 'content-type') type ??= value;
    if (!OF_THE_BODY.has(name)) passing.push(headers[i]!, value);
  }
  return { encoding, type: type ?? '', passing };
}

const NOTHING = Buffer.alloc(0);
