import { SallyportError } from '../errors.ts';
import { credentialRefused, type Forward, type Outgoing } from '../upstream/forward.ts';
import { writeHead } from './answer.ts';
import { TargetMoved } from './approval/permit.ts';
import type { ClientResponse, Exchange } from './exchange.ts';
import { Outlet } from './outlet.ts';
import type { LaterWays } from './upgrade/context.ts';

/** What happened to an answer, for metrics and the record. */
export interface Outcome {
  readonly status: number;
  readonly bytes: number;
  /** Milliseconds from the forward to the answer's first byte. */
  readonly upstreamDuration: number;
  readonly end: 'Complete' | 'ClientLeft' | 'Ended';
}

/** Changes an answer as it passes, piece by piece. */
export interface BodyTransform {
  /** The headers as the client gets them. */
  readonly headers: string[];
  write(chunk: Buffer): Buffer;
  /** What is still held when the answer ends. @throws SallyportError when what came cannot be passed on. */
  end(): Buffer;
  /** Called once, before anything else, with ways to pass something on or to fail between two writes. */
  later?(ways: LaterWays): void;
  /** The answer was cut off: nothing that is still held will pass. */
  cut?(): void;
}

/** A room that has a say in answers (masking, recording). They are asked in order; none: the bytes pass untouched. */
export interface ResponseStage {
  open(exchange: Exchange, status: number, headers: string[]): BodyTransform | undefined;
}

export interface RelayLimits {
  /** Milliseconds for which a client may take no byte of a waiting answer. */
  readonly stallTimeout: number;
  /** Milliseconds until a body that streams upstream must be complete. */
  readonly bodyTimeout: number;
}

/**
 * Forwards, and passes the answer on as the client takes it; nothing is held but what is in flight.
 * @throws TargetMoved where an approved change has to be looked at again; SallyportError when no answer came; once one has begun, a failure cuts the client's connection instead.
 */
export function relay(
  exchange: Exchange,
  response: ClientResponse,
  forward: Forward,
  outgoing: Outgoing,
  stages: readonly ResponseStage[],
  limits: RelayLimits,
): Promise<Outcome> {
  const { promise, resolve, reject } = Promise.withResolvers<Outcome>();
  const sentAt = performance.now();
  let upstreamDuration = 0;
  let status = 0;
  let transforms: BodyTransform[] = [];
  let outlet: Outlet | undefined;
  let late: NodeJS.Timeout | undefined;
  let done = false;

  const finish = (end: Outcome['end']): void => {
    if (done) return;
    done = true;
    for (const transform of transforms) transform.cut?.();
    outlet?.close();
    clearTimeout(late);
    exchange.signal.removeEventListener('abort', onEnd);
    resolve({ status, bytes: outlet?.bytes ?? 0, upstreamDuration, end });
  };
  const onEnd = (): void => {
    // What came of a use is waited for: cut off here, nobody could say whether it was carried out.
    if (exchange.clientLeft && exchange.permit?.kind === 'Use' && status === 0) return;
    call.abort();
    if (done) return;
    if (exchange.clientLeft) finish('ClientLeft');
    else if (!response.headersSent) fail(exchange.signal.reason);
    else {
      // A watch ends as the API server ends one, and the client asks anew; any other answer must not look complete.
      if (exchange.operation?.verb === 'watch') outlet?.end();
      else response.destroy();
      finish('Ended');
    }
  };

  // Nothing is begun upstream for whom nobody will answer.
  if (exchange.clientLeft) return Promise.resolve({ status, bytes: 0, upstreamDuration, end: 'ClientLeft' });
  if (exchange.signal.aborted) return Promise.reject(exchange.signal.reason);
  const call = forward.send(outgoing, {
    sent: () => exchange.permit?.sent(),
    head: (code, headers, control) => {
      upstreamDuration = performance.now() - sentAt;
      status = code;
      outlet = new Outlet(response, control, limits.stallTimeout);
      if (code === 401) {
        call.abort();
        return void fail(credentialRefused());
      }
      if (exchange.permit?.repeats(code) === true) {
        call.abort();
        return void fail(new TargetMoved());
      }
      exchange.permit?.answered(code);
      if (exchange.clientLeft) return void onEnd();
      try {
        for (const stage of stages) {
          const transform = stage.open(exchange, code, headers);
          if (transform === undefined) continue;
          transforms.push(transform);
          transform.later?.({ pass: (bytes) => pass(bytes, transform), fail: cutOff });
          headers = transform.headers;
        }
        writeHead(exchange, response, code, headers);
        // A watch or a log may have no byte to send for minutes; its client waits for the head.
        if ('flushHeaders' in response && isOpenEnded(exchange)) response.flushHeaders();
      } catch (error) {
        call.abort();
        fail(error);
      }
    },
    data: (chunk) => pass(chunk),
    end: () => {
      try {
        for (const [index, transform] of transforms.entries()) {
          let rest = transform.end();
          for (const later of transforms.slice(index + 1)) rest = later.write(rest);
          outlet!.write(rest);
        }
        outlet!.end();
        finish('Complete');
      } catch (error) {
        fail(error);
      }
    },
    fail: (error) => fail(error),
  });

  /** @param from the transform that these bytes have behind them, where they did not just come */
  function pass(chunk: Buffer, from?: BodyTransform): void {
    if (done) return;
    try {
      for (const transform of transforms.slice(from === undefined ? 0 : transforms.indexOf(from) + 1))
        chunk = transform.write(chunk);
      outlet!.write(chunk);
    } catch (error) {
      cutOff(error);
    }
  }

  function cutOff(error: unknown): void {
    call.abort();
    fail(error);
  }

  function fail(error: unknown): void {
    if (done) return;
    done = true;
    for (const transform of transforms) transform.cut?.();
    outlet?.close();
    clearTimeout(late);
    exchange.signal.removeEventListener('abort', onEnd);
    transforms = [];
    if (response.headersSent) response.destroy();
    reject(error);
  }

  if (outgoing.body === exchange.request) {
    late = setTimeout(() => {
      call.abort();
      fail(new SallyportError('SP_BAD_REQUEST', `the body was not complete after ${limits.bodyTimeout} ms`));
    }, limits.bodyTimeout);
    exchange.request.once('end', () => clearTimeout(late));
  }
  exchange.signal.addEventListener('abort', onEnd);
  return promise;
}

function isOpenEnded(exchange: Exchange): boolean {
  const operation = exchange.operation;
  return operation?.verb === 'watch' || operation?.subresource === 'log' || operation?.subresource === 'proxy';
}
