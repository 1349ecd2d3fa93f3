/** The parts of WebAssembly's interface that are needed: Node's types do not have it. */
declare const WebAssembly: {
  Module: new (bytes: Uint8Array) => object;
  Instance: new (module: object) => { readonly exports: object };
};

/** What a module of this house exports: a memory of its own, and what is done with it. */
export interface WebAssemblyPass<Pass> {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly pass: Pass;
}

/**
 * An instance of a module.
 * @param base64 the module's bytes
 * @returns undefined on a machine that has no WebAssembly with vectors, or no memory for it: there is always another way
 */
export function instanceOf<Pass>(base64: string): WebAssemblyPass<Pass> | undefined {
  try {
    return new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(base64, 'base64')))
      .exports as WebAssemblyPass<Pass>;
  } catch {
    return undefined;
  }
}
