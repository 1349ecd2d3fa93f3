import { SallyportError } from '../../errors.ts';
import type { UpgradeContext, UpgradeOutcome } from './context.ts';
import { abortReason } from './dial.ts';
import type { Peer } from './peer.ts';

const CUT_AFTER = 3_000;

/**
 * Passes bytes between two connections that both changed protocols: the `proxy` subresource, whose protocol is the program's own, and the
 * old port-forward over WebSocket, whose ports are in the query and judged. Only ever behind a validated 101 (CVE-2018-1002105).
 */
export function pipeRaw(
  context: UpgradeContext,
  client: Peer,
  upstream: Peer,
  protocols: Pick<UpgradeOutcome, 'protocol' | 'upstreamProtocol' | 'ports'>,
): Promise<UpgradeOutcome> {
  const { promise, resolve } = Promise.withResolvers<UpgradeOutcome>();
  const { signal, limits } = context;
  let ended = false;
  const settle = (endedBy: UpgradeOutcome['endedBy'], error?: SallyportError): void => {
    if (ended) return;
    ended = true;
    clearTimeout(maxAge);
    signal.removeEventListener('abort', onAbort);
    client.end(CUT_AFTER);
    upstream.end(CUT_AFTER);
    const { bytesRead: bytesFromClient, bytesWritten: bytesToClient } = client;
    resolve({ status: 101, ...protocols, endedBy, error, exit: undefined, bytesFromClient, bytesToClient });
  };
  const onAbort = (): void => settle('gateway', abortReason(signal));
  const maxAge = setTimeout(
    () => settle('gateway', new SallyportError('SP_STREAM_ENDED', 'the stream reached the longest life of one')),
    Math.min(limits.maxDuration, 2 ** 31 - 1),
  );
  signal.addEventListener('abort', onAbort, { once: true });
  const join = (from: Peer, to: Peer, endedBy: 'client' | 'upstream'): void => {
    from.listen({
      bytes: (chunk) => {
        to.write(chunk);
        if (to.congested()) from.hold('raw');
      },
      // What this side did not take held the other one.
      drained: () => to.release('raw'),
      gone: () => settle(endedBy),
    });
  };
  join(client, upstream, 'client');
  join(upstream, client, 'upstream');
  if (signal.aborted) onAbort();
  return promise;
}
