import { SallyportError } from '../../errors.ts';
import type { Operation } from '../../request/operation.ts';

/** How an answer that is to be masked has to be asked for. */
export interface AnswerShape {
  /** Objects in JSON; text, as of a log; whatever a proxied program says; or a stream, whose errors are objects. */
  readonly shape: 'Objects' | 'Text' | 'Foreign' | 'Stream';
  /** The Accept header that goes upstream; undefined: none is sent. */
  readonly accept: string | undefined;
}

const MAX_RANGES = 32;

/**
 * What is accepted of what the client would take: JSON only, where objects are answered with (protobuf and CBOR cannot be
 * read here, and nothing passes unread), in the client's order and with its parameters (`as=Table`, weights).
 * @throws SallyportError SP_MASKING_NOT_ACCEPTABLE where nothing is left
 */
export function shapeOf(operation: Operation, accept: string | undefined): AnswerShape {
  if (operation.exec !== undefined || operation.portForward !== undefined) return { shape: 'Stream', accept };
  if (operation.subresource === 'proxy') return { shape: 'Foreign', accept: withoutBinary(accept) };
  if (!operation.isResource) return { shape: 'Text', accept: withoutBinary(accept) };
  if (operation.subresource === 'log') return { shape: 'Text', accept: withoutBinary(accept) };
  return { shape: 'Objects', accept: asJSON(accept) };
}

function asJSON(accept: string | undefined): string {
  if (accept === undefined || accept.trim() === '') return 'application/json';
  const kept: string[] = [];
  for (const range of ranges(accept)) {
    const [type = '', ...parameters] = range.split(';').map((part) => part.trim());
    const name = type.toLowerCase();
    if (name === 'application/json') kept.push([name, ...parameters].join(';'));
    else if (name === '*/*' || name === 'application/*') kept.push('application/json');
  }
  if (kept.length === 0) throw notAcceptable();
  return [...new Set(kept)].join(',');
}

/** Text of any kind may pass, and JSON; encodings that hide their strings from a reader of text may not. */
function withoutBinary(accept: string | undefined): string | undefined {
  if (accept === undefined) return undefined;
  const kept = ranges(accept).filter((range) => !/^application\/(?:[a-z.+-]*(?:protobuf|cbor)|grpc)/i.test(range));
  if (kept.length === 0) throw notAcceptable();
  return kept.join(',');
}

function ranges(accept: string): string[] {
  const all = accept.split(',').map((range) => range.trim());
  if (all.length > MAX_RANGES) throw new SallyportError('SP_BAD_REQUEST', `Accept names more than ${MAX_RANGES} types`);
  return all.filter((range) => range !== '' && !/;\s*q=0(?:\.0*)?\s*(?:;|$)/i.test(range));
}

function notAcceptable(): SallyportError {
  const message =
    'this answer has to be masked, and is given in JSON only: send "Accept: application/json" (client-go: name it in AcceptContentTypes)';
  return new SallyportError('SP_MASKING_NOT_ACCEPTABLE', message);
}
