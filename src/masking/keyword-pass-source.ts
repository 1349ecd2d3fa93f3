import { CLASSES, ENDING, LIST_STRIDE, LISTS, MEMORY_BYTES, STRETCHES, STRIDE, TEXT } from './keyword-pass-memory.ts';

const PAGES = MEMORY_BYTES / 0x10000;

const each = (line: (s: number) => string): string => Array.from({ length: STRETCHES }, (_, s) => line(s)).join('');

/** One step of a stretch: its state is the address of a row, in which the next one stands. */
const step = (s: number): string => `
      (local.set $state${s}
        (i32.load
          (i32.add (local.get $state${s}) (i32.load8_u offset=${CLASSES} (i32.load8_u offset=${s * STRIDE} (local.get $at))))))`;

const advance = `
      (local.set $at (i32.add (local.get $at) (i32.const 1)))`;

const anyState = (s: number): string =>
  s === 0 ? '(local.get $state0)' : `(i32.or ${anyState(s - 1)} (local.get $state${s}))`;

/**
 * The pass in WebAssembly's text format. A state waits for the one before it, byte by byte: stretches side by side do not wait for each
 * other. All are read by one address; each begins as many bytes early as its first state depends on, and lists what ends in it: that
 * address, and the state.
 */
export function keywordPassSource(): string {
  return `(module
  (memory (export "memory") ${PAGES} ${PAGES})
  (func (export "pass") (param $length i32) (param $early i32) (param $root i32)
    (local $at i32) (local $end i32)${each(
      (s) => `
    (local $state${s} i32) (local $list${s} i32)`,
    )}${each(
      (s) => `
    (local.set $state${s} (local.get $root))
    (local.set $list${s} (i32.const ${LISTS + s * LIST_STRIDE}))`,
    )}
    (local.set $at (i32.sub (i32.const ${TEXT}) (local.get $early)))
    (local.set $end (i32.add (i32.const ${TEXT}) (local.get $length)))
    (block $begun
    (loop $early
      (br_if $begun (i32.ge_u (local.get $at) (i32.const ${TEXT})))${each(step)}${advance}
      (br $early)))
    (loop $bytes${each(step)}
      (if (i32.and ${anyState(STRETCHES - 1)} (i32.const ${ENDING}))
        (then${each(
          (s) => `
          (if (i32.and (local.get $state${s}) (i32.const ${ENDING}))
            (then
              (i32.store (local.get $list${s}) (local.get $at))
              (i32.store offset=4 (local.get $list${s}) (local.get $state${s}))
              (local.set $list${s} (i32.add (local.get $list${s}) (i32.const 8)))))`,
        )}))${advance}
      (br_if $bytes (i32.lt_u (local.get $at) (local.get $end))))${each(
        (s) => `
    (i32.store (i32.const ${s * 4}) (local.get $list${s}))`,
      )}))
`;
}
