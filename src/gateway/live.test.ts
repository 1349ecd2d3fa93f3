import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import type { Exchange } from './exchange.ts';
import { LiveExchanges } from './live.ts';

/** As much of an exchange as its life needs. */
function exchange(
  name: string,
): Exchange & { readonly name: string; ended: { code?: string; message: string } | undefined } {
  const one = {
    name,
    caller: { expiresAt: Date.now() + 60_000 },
    ended: undefined as Error | undefined,
    end(reason: Error) {
      one.ended ??= reason;
    },
  };
  return one as never;
}

suite('exchanges under way', () => {
  test('streams of which something is true end, with the reason; others, and what is short, go on', () => {
    const live = new LiveExchanges();
    const [log, watch, short] = ['log', 'watch', 'short'].map(exchange) as [
      ReturnType<typeof exchange>,
      ReturnType<typeof exchange>,
      ReturnType<typeof exchange>,
    ];
    for (const one of [log, watch, short]) live.add(one);
    for (const one of [log, watch]) live.watchExpiry(one);
    const asked: string[] = [];
    live.endStreamsThat((one) => {
      asked.push((one as typeof log).name);
      return one === log;
    }, 'masking rules have changed: run the command again');
    assert.deepEqual(asked, ['log', 'watch'], 'what is over in a moment is not asked about');
    assert.equal(log.ended?.code, 'SP_STREAM_ENDED');
    assert.match(log.ended!.message, /masking rules have changed/);
    assert.equal(watch.ended, undefined);
    assert.equal(short.ended, undefined);
    live.remove(watch);
    live.endStreamsThat(() => true, 'again');
    assert.equal(watch.ended, undefined, 'what is over is not ended');
    for (const one of [log, short]) live.remove(one);
    assert.equal(live.size, 0);
  });
});
