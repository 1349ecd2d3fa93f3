import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { test } from 'node:test';
import { free, trimHeap } from './heap.ts';

test('what nobody holds is given back, what somebody holds stays, and no collector is left for others to call', async () => {
  const kept = Array.from({ length: 1_000 }, (_, index) => ({ index }));
  let left: object[] | undefined = Array.from({ length: 400_000 }, (_, index) => ({ index, text: `${index}` }));
  const before = process.memoryUsage();
  const gone = new WeakRef(left);
  left = undefined;
  // A WeakRef holds what it was made of until the end of the turn.
  await new Promise((resolve) => setImmediate(resolve));
  trimHeap();
  const after = process.memoryUsage();
  assert.equal(gone.deref(), undefined);
  assert.ok(before.heapTotal - after.heapTotal > 10 << 20, `${before.heapTotal} -> ${after.heapTotal}`);
  assert.equal(kept[999]!.index, 999);
  assert.equal('gc' in globalThis, process.execArgv.includes('--expose-gc'));
});

test('buffers of less than the heap, used and let go, have it marked no more', () => {
  const program = `
    import { PerformanceObserver } from 'node:perf_hooks';
    import { setImmediate as turn, setTimeout as wait } from 'node:timers/promises';
    import { allowHeapToDouble, trimHeap } from ${JSON.stringify(new URL('heap.ts', import.meta.url).href)};
    const kept = Array.from({ length: 300_000 }, (_, index) => ({ index, text: 'x' + index }));
    if (process.argv[1] === 'doubled') allowHeapToDouble();
    trimHeap();
    let majors = 0;
    const observer = new PerformanceObserver((list) => {
      for (const { detail } of list.getEntries()) if (detail.kind === 4) majors++;
    });
    observer.observe({ entryTypes: ['gc'] });
    await wait(50);
    const before = majors;
    for (let megabytes = 0; megabytes < 12; megabytes++) {
      for (let n = 0; n < 16; n++) Buffer.alloc(64 << 10);
      await turn();
    }
    await wait(100);
    process.stdout.write(String(majors - before + (kept.length - 300_000)));
  `;
  const majors = (bound: string): number =>
    Number(execFileSync(process.execPath, ['--input-type=module', '-e', program, bound], { encoding: 'utf8' }));
  assert.ok(majors('by itself') > 0, 'the premise: V8 by itself does');
  assert.equal(majors('doubled'), 0);
});

test('what is given back is gone for whoever still looks at it, and counts no more', () => {
  const before = process.memoryUsage().arrayBuffers;
  const large = Buffer.alloc(64 << 20, 1);
  const view = large.subarray(10);
  assert.ok(process.memoryUsage().arrayBuffers - before >= 64 << 20);
  free(large);
  assert.equal(large.length + view.length, 0);
  assert.ok(process.memoryUsage().arrayBuffers - before < 32 << 20);
});

test('a small buffer shares its memory with others, and stays', () => {
  const [one, other] = [Buffer.from('one'), Buffer.from('other')];
  free(one);
  assert.equal(`${one} ${other} ${Buffer.from('another')}`, 'one other another');
});
