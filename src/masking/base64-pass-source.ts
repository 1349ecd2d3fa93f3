import { MEMORY_BYTES, RUNS, TEXT } from './base64-pass-memory.ts';

const BLOCK = 16;

/** By a character's low four bits: the classes it is of, a bit each. By its high four: the class that it would have to be of. */
const LOW = new Uint8Array(16);
const HIGH = new Uint8Array(16);
const CLASSES = ['+-/', '0123456789', 'ABCDEFGHIJKLMNO', 'PQRSTUVWXYZ_', 'abcdefghijklmno', 'pqrstuvwxyz'];
for (const [bit, characters] of CLASSES.entries()) {
  for (const character of characters) {
    const code = character.charCodeAt(0);
    LOW[code & 15]! |= 1 << bit;
    HIGH[code >> 4]! |= 1 << bit;
  }
}

const vector = (bytes: Uint8Array): string => `(v128.const i8x16 ${bytes.join(' ')})`;

/**
 * The pass in WebAssembly's text format: sixteen characters are told to be of the alphabet at once, by two tables, and runs are told by
 * the bits of that: those that end in a block are as long as the ones before it and those at its beginning. Lists where runs begin and
 * end; gives the end of that list, and leaves at 0 how long the run is that reaches the end.
 */
export function base64PassSource(): string {
  return `(module
  (memory (export "memory") ${MEMORY_BYTES / 0x10000} ${MEMORY_BYTES / 0x10000})
  (func (export "pass") (param $length i32) (result i32)
    (local $at i32) (local $end i32) (local $list i32)
    (local $bytes v128) (local $mask i32) (local $run i32) (local $first i32)
    (local.set $at (i32.const ${TEXT}))
    (local.set $end (i32.add (i32.const ${TEXT}) (local.get $length)))
    (local.set $list (i32.const ${RUNS}))
    (loop $blocks
      (local.set $bytes (v128.load (local.get $at)))
      (local.set $mask
        (i8x16.bitmask
          (i8x16.ne
            (v128.and
              (i8x16.swizzle ${vector(LOW)} (v128.and (local.get $bytes) (v128.const i8x16 ${'15 '.repeat(BLOCK)})))
              (i8x16.swizzle ${vector(HIGH)} (i8x16.shr_u (local.get $bytes) (i32.const 4))))
            (v128.const i8x16 ${'0 '.repeat(BLOCK)}))))
      (if (i32.eq (local.get $mask) (i32.const 0xffff))
        (then (local.set $run (i32.add (local.get $run) (i32.const ${BLOCK}))))
        (else
          (local.set $first (i32.ctz (i32.xor (local.get $mask) (i32.const -1))))
          (if (i32.ge_u (i32.add (local.get $run) (local.get $first)) (i32.const ${BLOCK}))
            (then
              (i32.store (local.get $list) (i32.sub (local.get $at) (local.get $run)))
              (i32.store offset=4 (local.get $list) (i32.add (local.get $at) (local.get $first)))
              (local.set $list (i32.add (local.get $list) (i32.const 8)))))
          (local.set $run
            (i32.clz (i32.xor (i32.shl (local.get $mask) (i32.const 16)) (i32.const -1))))))
      (local.set $at (i32.add (local.get $at) (i32.const ${BLOCK})))
      (br_if $blocks (i32.lt_u (local.get $at) (local.get $end))))
    (i32.store (i32.const 0) (local.get $run))
    (local.get $list)))
`;
}
