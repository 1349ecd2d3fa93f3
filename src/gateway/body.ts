import { SallyportError } from '../errors.ts';
import { MAX_BODY_LENGTH } from '../request/body.ts';
import type { Exchange } from './exchange.ts';

/**
 * Reads the whole body, for a decision that needs it. What it takes is counted against the caller.
 * @param timeout milliseconds until it must be complete
 * @throws SallyportError SP_BODY_TOO_LARGE, SP_TOO_MANY_REQUESTS, SP_BAD_REQUEST (cut off, too slow)
 */
export function readBody(exchange: Exchange, timeout: number): Promise<Buffer> {
  const { request, lease } = exchange;
  const declared = Number(request.headers['content-length'] ?? 0);
  if (declared > MAX_BODY_LENGTH) return Promise.reject(tooLarge());
  const { promise, resolve, reject } = Promise.withResolvers<Buffer>();
  const chunks: Buffer[] = [];
  let size = 0;
  const timer = setTimeout(() => {
    stop();
    reject(new SallyportError('SP_BAD_REQUEST', `the body was not complete after ${timeout} ms`));
  }, timeout);
  const onData = (chunk: Buffer): void => {
    size += chunk.length;
    try {
      if (size > MAX_BODY_LENGTH) throw tooLarge();
      lease?.hold(chunk.length);
      chunks.push(chunk);
    } catch (error) {
      stop();
      reject(error);
    }
  };
  const onEnd = (): void => {
    stop();
    resolve(chunks.length === 1 ? chunks[0]! : Buffer.concat(chunks));
  };
  const onClose = (): void => {
    stop();
    reject(new SallyportError('SP_BAD_REQUEST', 'the client left before its body was complete'));
  };
  function stop(): void {
    clearTimeout(timer);
    request.off('data', onData).off('end', onEnd).off('close', onClose).off('error', onClose);
    request.pause();
  }
  request.on('data', onData).on('end', onEnd).on('close', onClose).on('error', onClose);
  return promise;
}

function tooLarge(): SallyportError {
  return new SallyportError(
    'SP_BODY_TOO_LARGE',
    `the body is over ${MAX_BODY_LENGTH} bytes, the API server's own limit`,
  );
}
