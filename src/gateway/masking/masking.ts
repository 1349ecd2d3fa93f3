import { SallyportError } from '../../errors.ts';
import { JsonMask } from '../../masking/json-stream.ts';
import type { Masked, MaskPlan } from '../../masking/mask-plan.ts';
import { replacer } from '../../masking/mask-plan.ts';
import { BrokenMaskingRule } from '../../masking/rule-plan.ts';
import { maskText } from '../../masking/text-mask.ts';
import { isFree } from '../../policy/free.ts';
import type { Operation } from '../../request/operation.ts';
import type { Channel } from '../../streams/remote-command/channel.ts';
import type { Exchange } from '../exchange.ts';
import type { BodyTransform, ResponseStage } from '../relay.ts';
import type { ChannelTap } from '../upgrade/context.ts';
import { UpstreamRefusal } from '../upstream-refusal.ts';
import { type AnswerShape, shapeOf } from './answer-accept.ts';
import { MaskCounts } from './mask-counts.ts';
import { hintOf, maskedAnswer } from './masked-answer.ts';
import type { MaskingRules } from './masking-rules.ts';
import type { PrinterColumns } from './printer-columns.ts';
import { admitStream, streamMask } from './stream-mask.ts';
import { type AskedTable, askedTable } from './table-query.ts';

/** What masks one exchange's answer. Absent from an exchange where nothing does: a free request, an exempt caller. */
export interface ExchangeMasking extends AnswerShape {
  readonly plan: MaskPlan;
  /** A Table whose rows are asked for with their objects. */
  readonly table: AskedTable | undefined;
  /** By rule and kind, for metrics and the decision log; never a value. */
  readonly counts: MaskCounts;
}

/** Hides what must not be seen in answers: which rules speak of a request, how its answer is asked for, and the answer itself. */
export class Masking implements ResponseStage {
  readonly #rules: Pick<MaskingRules, 'current'>;
  readonly #columns: Pick<PrinterColumns, 'of'>;
  /** Of what may be open for long: by which rules it is masked. */
  readonly #keys = new WeakMap<Exchange, string>();

  constructor(rules: Pick<MaskingRules, 'current'>, columns: Pick<PrinterColumns, 'of'>) {
    this.#rules = rules;
    this.#columns = columns;
  }

  /**
   * Before anything is decided: what masks the answer. Discovery, OpenAPI, the version and SelfSubject reviews are free.
   * @throws SallyportError SP_MASKING_NOT_LOADED, SP_MASKING_RULE_BROKEN, SP_MASKING_NOT_ACCEPTABLE, SP_MASKING_STREAM_REFUSED
   */
  prepare(exchange: Exchange, as: 'request' | 'upgrade' = 'request'): void {
    const operation = exchange.operation!;
    if (isFree(operation)) return;
    const counts = new MaskCounts();
    const plan = this.planFor(exchange, (what) => counts.add(what));
    if (isLasting(operation)) this.#keys.set(exchange, this.#rules.current().keyFor(exchange.caller!, operation));
    if (plan === undefined) return;
    admitStream(plan, operation, as === 'upgrade');
    const asked = shapeOf(operation, exchange.request.headers.accept);
    const table = askedTable(operation, asked.accept, plan, (one) => this.#columns.of(one));
    exchange.masking = { plan, counts, ...asked, table };
  }

  /** Whether rules that speak of this exchange are others than when it began. */
  isOutdated(exchange: Exchange): boolean {
    const before = this.#keys.get(exchange);
    if (before === undefined) return false;
    try {
      return this.#rules.current().keyFor(exchange.caller!, exchange.operation!) !== before;
    } catch {
      // What cannot be known is not trusted.
      return true;
    }
  }

  /**
   * The plan for what this exchange's caller may see of what it asks. @returns undefined where an exemption holds
   * @throws SallyportError SP_MASKING_NOT_LOADED, SP_MASKING_RULE_BROKEN
   */
  planFor(exchange: Pick<Exchange, 'caller' | 'operation'>, masked?: (what: Masked) => void): MaskPlan | undefined {
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

  /** What masks the channels of exec and attach. */
  tap({ masking, operation }: Exchange): ((channel: Channel) => ChannelTap | undefined) | undefined {
    return masking === undefined || operation!.exec === undefined ? undefined : streamMask(masking.plan, operation!);
  }

  /** What the API server said of a dry run, as the caller may see it: a refused patch of a Secret repeats its other keys. */
  refusal(exchange: Exchange, refusal: UpstreamRefusal): UpstreamRefusal {
    const { masking } = exchange;
    if (masking === undefined) return refusal;
    const engine = new JsonMask(masking.plan, hintOf(exchange));
    const body = Buffer.concat([engine.write(refusal.body), engine.end()]);
    return new UpstreamRefusal(refusal.status, body);
  }

  /** An object in JSON that this exchange's caller asks about, as the caller may see it: others are shown no more. */
  shown(exchange: Exchange, object: string): string {
    const { masking } = exchange;
    if (masking === undefined) return object;
    const engine = new JsonMask(masking.plan, { ...hintOf(exchange), isList: false });
    return Buffer.concat([engine.write(Buffer.from(object)), engine.end()]).toString('utf8');
  }

  /** One line that may quote an object, such as a policy's own message. */
  line(exchange: Exchange, text: string): string {
    const { masking } = exchange;
    if (masking === undefined) return text;
    const masked = maskText(
      Buffer.from(text),
      masking.plan.recognizer,
      replacer(masking.plan, exchange.operation!.path, 'message'),
    );
    return masked === undefined ? text : masked.toString();
  }

  open(exchange: Exchange, _status: number, headers: string[]): BodyTransform | undefined {
    const { masking } = exchange;
    return masking === undefined ? undefined : maskedAnswer(exchange, masking, headers);
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

/** Watches, followed logs and connects: they last until someone ends them. */
function isLasting({ verb, subresource }: Operation): boolean {
  return verb === 'watch' || LASTING.has(subresource);
}

const LASTING = new Set(['log', 'exec', 'attach', 'portforward', 'proxy']);
