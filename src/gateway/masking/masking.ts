import { SallyportError } from '../../errors.ts';
import { JsonMask } from '../../masking/json-stream.ts';
import type { Masked, MaskPlan } from '../../masking/mask-plan.ts';
import { replacer } from '../../masking/mask-plan.ts';
import { BrokenMaskingRule } from '../../masking/rule-plan.ts';
import { maskText, TextMask } from '../../masking/text-mask.ts';
import { isFree } from '../../policy/free.ts';
import type { Exchange } from '../exchange.ts';
import type { BodyTransform, ResponseStage } from '../relay.ts';
import { UpstreamRefusal } from '../upstream-refusal.ts';
import { type AnswerShape, shapeOf } from './answer-accept.ts';
import { MaskCounts } from './mask-counts.ts';
import type { MaskingRules } from './masking-rules.ts';
import { resourceKind } from './resource-kind.ts';

/** What masks one exchange's answer. Absent from an exchange where nothing does: a free request, an exempt caller. */
export interface ExchangeMasking extends AnswerShape {
  readonly plan: MaskPlan;
  /** By rule and kind, for metrics and the decision log; never a value. */
  readonly counts: MaskCounts;
}

/** Hides what must not be seen in answers: which rules speak of a request, how its answer is asked for, and the answer itself. */
export class Masking implements ResponseStage {
  readonly #rules: Pick<MaskingRules, 'current'>;

  constructor(rules: Pick<MaskingRules, 'current'>) {
    this.#rules = rules;
  }

  /**
   * Before anything is decided: what masks the answer. Discovery, OpenAPI, the version and SelfSubject reviews are free.
   * @throws SallyportError SP_MASKING_NOT_LOADED, SP_MASKING_RULE_BROKEN, SP_MASKING_NOT_ACCEPTABLE
   */
  prepare(exchange: Exchange): void {
    const operation = exchange.operation!;
    if (isFree(operation)) return;
    const counts = new MaskCounts();
    const plan = this.planFor(exchange, (what) => counts.add(what));
    if (plan === undefined) return;
    exchange.masking = { plan, counts, ...shapeOf(operation, exchange.request.headers.accept) };
  }

  /**
   * The plan for what this exchange's caller may see of what it asks. @returns undefined where an exemption holds
   * @throws SallyportError SP_MASKING_NOT_LOADED, SP_MASKING_RULE_BROKEN
   */
  planFor(exchange: Exchange, masked?: (what: Masked) => void): MaskPlan | undefined {
    try {
      return this.#rules.current().planFor(exchange.caller!, exchange.operation!, masked);
    } catch (error) {
      if (!(error instanceof BrokenMaskingRule)) throw error;
      throw new SallyportError(
        'SP_MASKING_RULE_BROKEN',
        `${error.message}: nothing that it matches passes until it is mended`,
      );
    }
  }

  /** What the API server said of a dry run, as the caller may see it: a refused patch of a Secret repeats its other keys. */
  refusal(exchange: Exchange, refusal: UpstreamRefusal): UpstreamRefusal {
    const { masking } = exchange;
    if (masking === undefined) return refusal;
    const engine = new JsonMask(masking.plan, { kind: resourceKind(exchange.operation!) });
    const body = Buffer.concat([engine.write(refusal.body), engine.end()]);
    return new UpstreamRefusal(refusal.status, body);
  }

  /** One line that may quote an object, such as a policy's own message. */
  line(exchange: Exchange, text: string): string {
    const { masking } = exchange;
    if (masking === undefined) return text;
    const bytes = Buffer.from(text).toString('latin1');
    const masked = maskText(
      bytes,
      masking.plan.recognizer,
      replacer(masking.plan, exchange.operation!.path, 'message'),
    );
    return masked === undefined ? text : Buffer.from(masked, 'latin1').toString();
  }

  open(exchange: Exchange, _status: number, headers: string[]): BodyTransform | undefined {
    const { masking } = exchange;
    if (masking === undefined) return undefined;
    return new AnswerMask(exchange, masking, headers);
  }
}

/** The headers of a request as they go upstream where its answer will be masked: readable, whole, uncompressed. */
export function maskableHeaders(headers: readonly string[], { accept, shape }: ExchangeMasking): string[] {
  const result: string[] = accept === undefined ? [] : ['accept', accept];
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!;
    // A range would cut what has to be seen whole.
    if (name === 'accept' || name === 'accept-encoding' || name === 'range' || name === 'if-range') continue;
    result.push(name, headers[i + 1]!);
  }
  // Unasked, a proxied program may compress as it likes.
  if (shape !== 'Objects') result.push('accept-encoding', 'identity');
  return result;
}

class AnswerMask implements BodyTransform {
  readonly headers: string[];
  readonly #engine: JsonMask | TextMask;

  constructor(exchange: Exchange, masking: ExchangeMasking, headers: string[]) {
    const type = headerOf(headers, 'content-type');
    const encoding = headerOf(headers, 'content-encoding');
    if (encoding !== undefined && encoding.toLowerCase() !== 'identity') throw unread(`it is compressed (${encoding})`);
    this.#engine = engineFor(exchange, masking, type);
    this.headers = withoutLength(headers);
  }

  write(chunk: Buffer): Buffer {
    return this.#engine.write(chunk);
  }

  end(): Buffer {
    return this.#engine.end();
  }
}

function engineFor(
  exchange: Exchange,
  { plan, shape }: ExchangeMasking,
  type: string | undefined,
): JsonMask | TextMask {
  const media = (type ?? '').split(';', 1)[0]!.trim().toLowerCase();
  const operation = exchange.operation!;
  // Errors of a log or a stream are objects as well.
  if (shape !== 'Foreign' && media === 'application/json') return new JsonMask(plan, { kind: resourceKind(operation) });
  if (shape === 'Objects' && !(media === '' || media === 'text/plain')) throw unread(`it came as ${media}`);
  const { resource, subresource, namespace, name, path } = operation;
  const object = operation.isResource ? `${resource}/${namespace}/${name}` : path;
  return new TextMask(plan.recognizer, replacer(plan, object, subresource === '' ? 'text' : subresource));
}

function unread(why: string): SallyportError {
  return new SallyportError('SP_MASKING_UNREADABLE', `the answer cannot be masked, so it is not passed on: ${why}`);
}

function headerOf(headers: readonly string[], name: string): string | undefined {
  for (let i = 0; i < headers.length; i += 2) if (headers[i]!.toLowerCase() === name) return headers[i + 1];
  return undefined;
}

/** The length changes; digests and tags of what was there before would be lies. */
const OF_THE_BODY = new Set([
  'content-length',
  'content-md5',
  'digest',
  'repr-digest',
  'content-digest',
  'accept-ranges',
]);

function withoutLength(headers: readonly string[]): string[] {
  const result: string[] = [];
  for (let i = 0; i < headers.length; i += 2) {
    if (!OF_THE_BODY.has(headers[i]!.toLowerCase())) result.push(headers[i]!, headers[i + 1]!);
  }
  return result;
}
