import assert from 'node:assert/strict';
import { suite, test } from 'node:test';
import { SharedFlow } from './shared-flow.ts';
import { type SlicedWork, Slices } from './slices.ts';

const MILLISECOND = 1;

/** Work that keeps the processor for a while, as masking does. */
function busy(milliseconds: number): void {
  const end = performance.now() + milliseconds;
  while (performance.now() < end);
}

function flow(): { paused: number; resumed: number; pause(): void; resume(): void } {
  return {
    paused: 0,
    resumed: 0,
    pause() {
      this.paused++;
    },
    resume() {
      this.resumed++;
    },
  };
}

/** Work that is over with each piece. */
const atOnce = (write: (piece: Buffer) => void): SlicedWork => ({
  write,
  busy: () => false,
  step: () => assert.fail(),
});

const done = (slices: Slices): Promise<void> => new Promise((resolve) => slices.whenDone(resolve));

suite('work on answers in slices', () => {
  test('what is short is done at once, in the order it came', async () => {
    await new Promise((resolve) => setImmediate(resolve));
    const seen: string[] = [];
    const slices = new Slices(
      atOnce((piece) => void seen.push(piece.toString())),
      flow(),
    );
    slices.push(Buffer.from('a'));
    assert.deepEqual(seen, ['a']);
    slices.push(Buffer.from('b'));
    await done(slices);
    assert.deepEqual(seen, ['a', 'b']);
  });

  test('a large answer leaves the loop to others, makes its source wait, and loses nothing', async () => {
    const source = flow();
    let bytes = 0;
    let longest = 0;
    let last = performance.now();
    const ticking = setInterval(() => {
      longest = Math.max(longest, performance.now() - last);
      last = performance.now();
    }, MILLISECOND);
    const work = atOnce((piece) => {
      bytes += piece.length;
      busy(MILLISECOND);
    });
    const slices = new Slices(work, source);
    const chunk = Buffer.alloc(2 << 20);
    slices.push(chunk);
    assert.equal(source.paused, 1);
    await done(slices);
    clearInterval(ticking);
    assert.equal(bytes, chunk.length);
    assert.equal(source.resumed, 1);
    assert.ok(longest < 100, `${longest} ms without a turn for others; all of it takes 128`);
  });

  test('what waits is a copy: its source writes over it', async () => {
    await new Promise((resolve) => setImmediate(resolve));
    const seen: Buffer[] = [];
    const slices = new Slices(
      atOnce((piece) => {
        seen.push(Buffer.from(piece));
        busy(MILLISECOND);
      }),
      flow(),
    );
    const sent: Buffer[] = [];
    const chunk = Buffer.alloc(90_000);
    for (let n = 1; n < 9; n++) {
      chunk.fill(n);
      const length = n * 10_000;
      sent.push(Buffer.from(chunk.subarray(0, length)));
      slices.push(chunk.subarray(0, length));
      chunk.fill(0);
    }
    await done(slices);
    assert.ok(Buffer.concat(seen).equals(Buffer.concat(sent)));
  });

  test('a short answer does not wait for a large one to end', async () => {
    let large = 0;
    const work = atOnce(() => {
      large++;
      busy(MILLISECOND);
    });
    const first = new Slices(work, flow());
    first.push(Buffer.alloc(4 << 20));
    const second = new Slices(
      atOnce(() => {}),
      flow(),
    );
    second.push(Buffer.from('short'));
    await done(second);
    assert.ok(large < 16, `${large} pieces of another answer went first`);
    first.drop();
    await done(first);
  });

  test('what a piece leaves to do is done in steps before the next one, and the end waits for it', async () => {
    await new Promise((resolve) => setImmediate(resolve));
    const seen: string[] = [];
    let left = 0;
    const slices = new Slices(
      {
        write: (piece) => {
          seen.push(piece.toString());
          left = 3;
        },
        busy: () => left > 0,
        step: () => {
          left--;
          seen.push(`step ${left}`);
          busy(MILLISECOND);
        },
      },
      flow(),
    );
    slices.push(Buffer.from('a'));
    slices.push(Buffer.from('b'));
    await done(slices);
    assert.deepEqual(seen, ['a', 'step 2', 'step 1', 'step 0', 'b', 'step 2', 'step 1', 'step 0']);
  });

  test('what is dropped is not worked on, and its end is not told', async () => {
    let pieces = 0;
    const work = atOnce(() => {
      pieces++;
      busy(MILLISECOND);
    });
    const slices = new Slices(work, flow());
    slices.push(Buffer.alloc(1 << 20));
    slices.whenDone(() => assert.fail('it was dropped'));
    const before = pieces;
    slices.drop();
    await new Promise((resolve) => setTimeout(resolve, 20));
    assert.equal(pieces, before);
  });

  test('a flow that is held by two goes on when both let go', () => {
    const source = flow();
    const shared = new SharedFlow(source);
    const [one, other] = [shared.holder(), shared.holder()];
    one.pause();
    other.pause();
    one.pause();
    one.resume();
    assert.deepEqual([source.paused, source.resumed], [1, 0]);
    other.resume();
    other.resume();
    assert.deepEqual([source.paused, source.resumed], [1, 1]);
  });
});
