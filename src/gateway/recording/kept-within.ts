import { SpoolError } from '../../recording/spool/spool-error.ts';

/**
 * Waits for a line to be kept, for so long. It keeps no process from ending: whoever waits has a connection, which does.
 * @param failure makes of an error what is thrown, and is told of one at most: a SpoolError `Slow` where it takes too long, or what
 *   `kept` fails with
 */
export function keptWithin(
  kept: Promise<void>,
  milliseconds: number,
  failure: (error: unknown) => unknown = (error) => error,
): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  let over = false;
  const fail = (error: unknown): void => {
    if (over) return;
    over = true;
    clearTimeout(late);
    reject(failure(error));
  };
  const late = setTimeout(() => fail(new SpoolError('Slow', `not kept within ${milliseconds} ms`)), milliseconds);
  late.unref();
  kept.then(() => {
    clearTimeout(late);
    resolve();
  }, fail);
  return promise;
}
