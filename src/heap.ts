import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

type Collect = (options: { type: 'minor' } | { type: 'major'; execution: 'sync'; flavor: 'last-resort' }) => void;

/** The one way to V8's own collector without a flag on the command line; it is not left lying about. */
export function collector(): Collect {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('gc') as Collect;
  setFlagsFromString('--no-expose-gc');
  return collect;
}

/**
 * Gives back to the system what a start has left behind: V8 keeps the memory of its first seconds (modules, a configuration, every
 * policy compiled) for a process that would go on so, and this one mostly waits. Some 20 MB of a gateway's 130; it stops the
 * process for 50 ms, so it is for the moment before anybody is served.
 */
export function trimHeap(): void {
  collector()({ type: 'major', execution: 'sync', flavor: 'last-resort' });
}

/**
 * From here on V8 marks its whole heap when it has doubled, with the buffers outside of it, since it last did. By itself it allows a
 * heap of this size some ten megabytes; what has been passed on counts among them until it is swept, and subtracted, a while later. So a
 * stream or a large answer had it marked several times a second, for nothing. To be called before the collection that sets the first
 * bound.
 */
export function allowHeapToDouble(): void {
  setFlagsFromString('--heap-growing-percent=100');
}

/**
 * Gives the memory of a buffer back at once, where V8 would mark its whole heap to find out, for every few megabytes of them. Nobody else
 * may look at it any more: whoever does finds nothing there.
 */
export function free({ buffer: memory }: Buffer): void {
  // What node cuts small buffers from is everyone's.
  if (memory instanceof ArrayBuffer && memory.byteLength > Buffer.poolSize) memory.transfer(0);
}
