import { SallyportError } from '../errors.ts';
import { credentialRefused, type Forward, type Outgoing } from '../upstream/forward.ts';
import { writeHead } from './answer.ts';
import { TargetMoved } from './approval/permit.ts';
import type { ClientResponse, Exchange } from './exchange.ts';
import { Outlet } from './outlet.ts';
import { SharedFlow } from './shared-flow.ts';
import { passedOn } from './short-lived.ts';
import { type SlicedWork, Slices } from './slices.ts';
import type { LaterWays } from './upgrade/context.ts';

/** What happened to an answer, for metrics and the record. */
export interface Outcome {
  readonly status: number;
  readonly bytes: number;
  /** Milliseconds from the forward to the answer's first byte. */
  readonly upstreamDuration: number;
  readonly end: 'Complete' | 'ClientLeft' | 'Ended';
}

/**
 * Changes an answer as it passes, piece by piece. Memory is lent: what a transform is given is good until it returns, and what it
 * returns, until that has been passed on. What it keeps it copies, or it would hold what another answer's bytes are by then.
 */
export interface BodyTransform {
  /** The headers as the client gets them. */
  readonly headers: string[];
  write(chunk: Buffer): Buffer;
  /** Of the first stage only: whether what was written wants `step` before anything else is. Never a getter: see `work` below. */
  busy?(): boolean;
  step?(): Buffer;
  /** Of the first stage only: what it returned has been passed on, the memory is its own again. */
  passed?(): void;
  /** What is still held when the answer ends. @throws SallyportError when what came cannot be passed on. */
  end(): Buffer;
  /** Called once, before anything else, with ways to pass something on or to fail between two writes. */
  later?(ways: LaterWays): void;
  /** The answer was cut off: nothing that is still held will pass. */
  cut?(): void;
  /** The head waits for the first byte that passes, so that the answer can still be another one. */
  readonly holdsHead?: boolean;
  /** Of the last stage only: what has to be done before the answer may end, and its last bytes. */
  settle?(): Promise<Buffer> | Buffer;
}

/** What is behind the last stage: for one that gives bytes when it can, not when they come. */
export interface Downstream {
  /** Milliseconds from the forward to the answer's first byte. */
  readonly upstreamDuration: number;
  write(chunk: Buffer): void;
  /** The API server waits until `release`. */
  hold(): void;
  release(): void;
  fail(error: unknown): void;
}

/** A room that has a say in answers (masking, recording). They are asked in order; none: the bytes pass untouched. */
export interface ResponseStage {
  open(exchange: Exchange, status: number, headers: string[], downstream: Downstream): BodyTransform | undefined;
}

export interface RelayLimits {
  /** Milliseconds for which a client may take no byte of a waiting answer. */
  readonly stallTimeout: number;
  /** Milliseconds until a body that streams upstream must be complete. */
  readonly bodyTimeout: number;
}

/**
 * Forwards, and passes the answer on as the client takes it; nothing is held but what is in flight.
 * @throws TargetMoved where an approved or restored change has to be looked at again; SallyportError when no answer came; once one has begun, a failure cuts the client's connection instead.
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
  let slices: Slices | undefined;
  /** Writes the answer's head; undefined once it is written. */
  let head: ((length?: number) => void) | undefined;
  let late: NodeJS.Timeout | undefined;
  let done = false;

  const finish = (end: Outcome['end']): void => {
    if (done) return;
    done = true;
    for (const transform of transforms) transform.cut?.();
    outlet?.close();
    slices?.drop();
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
      const flow = new SharedFlow(control);
      outlet = new Outlet(response, flow.holder(), limits.stallTimeout, sendHead);
      if (code === 401) {
        call.abort();
        return void fail(credentialRefused());
      }
      if (exchange.permit?.repeats(code) === true) {
        call.abort();
        return void fail(new TargetMoved());
      }
      if (exchange.permit === undefined && exchange.restoration?.repeats(code) === true) {
        call.abort();
        return void fail(new TargetMoved());
      }
      exchange.permit?.answered(code);
      if (exchange.clientLeft) return void onEnd();
      const held = flow.holder();
      const downstream: Downstream = {
        upstreamDuration,
        write: give,
        hold: () => held.pause(),
        release: () => held.resume(),
        fail: cutOff,
      };
      try {
        for (const stage of stages) {
          const transform = stage.open(exchange, code, headers, downstream);
          if (transform === undefined) continue;
          transforms.push(transform);
          transform.later?.({ pass: (bytes) => pass(bytes, transform), fail: cutOff });
          headers = transform.headers;
        }
        if (transforms.length > 0) slices = new Slices(work, flow.holder());
        head = (length) => writeHead(exchange, response, code, headers, length);
        if (transforms.some((transform) => transform.holdsHead)) return;
        sendHead();
        // A watch or a log may have no byte to send for minutes; its client waits for the head.
        if ('flushHeaders' in response && isOpenEnded(exchange)) response.flushHeaders();
      } catch (error) {
        call.abort();
        fail(error);
      }
    },
    data: (chunk) => {
      if (slices === undefined) return pass(chunk);
      passedOn(chunk.length);
      slices.push(chunk);
    },
    end: () => (slices === undefined ? complete() : slices.whenDone(complete)),
    // What came before it was broken off passes; it does not make the answer whole.
    fail: (error) => (slices === undefined ? fail(error) : slices.whenDone(() => fail(error))),
  });

  const work: SlicedWork = {
    write: (piece) => pass(piece),
    // No getter: an object with one gets a hidden class of its own, which lives, and with it all that this function knows, until
    // the next major collection.
    busy: () => transforms[0]?.busy?.() === true,
    step: () => {
      const [first] = transforms;
      if (done || first?.step === undefined) return;
      try {
        pass(first.step(), first);
      } catch (error) {
        cutOff(error);
      }
    },
  };

  function complete(): void {
    if (done) return;
    try {
      for (const [index, transform] of transforms.entries()) {
        let rest = transform.end();
        for (const later of transforms.slice(index + 1)) rest = later.write(rest);
        give(rest);
      }
      const settled = transforms.at(-1)?.settle?.();
      if (settled instanceof Promise) settled.then(end).catch(fail);
      else end(settled);
    } catch (error) {
      fail(error);
    }
  }

  /** @param from the transform that these bytes have behind them, where they did not just come */
  function pass(chunk: Buffer, from?: BodyTransform): void {
    if (done) return;
    try {
      for (const transform of transforms.slice(from === undefined ? 0 : transforms.indexOf(from) + 1))
        chunk = transform.write(chunk);
      give(chunk);
      transforms[0]?.passed?.();
    } catch (error) {
      cutOff(error);
    }
  }

  function give(chunk: Buffer): void {
    if (!done && chunk.length > 0) outlet!.write(chunk);
  }

  function end(rest?: Buffer): void {
    if (done) return;
    outlet!.end(rest);
    finish('Complete');
  }

  /** @param length of the whole body, where it is known */
  function sendHead(length?: number): void {
    head?.(length);
    head = undefined;
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
    slices?.drop();
    clearTimeout(late);
    exchange.signal.removeEventListener('abort', onEnd);
    transforms = [];
    if (response.headersSent) response.destroy();
    reject(error);
  }

  if (outgoing.body !== null && !Buffer.isBuffer(outgoing.body)) {
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
