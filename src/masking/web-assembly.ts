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
 * What is made of a module's instance, once, when it is first asked for.
 * @param base64 the module's bytes
 * @returns gives undefined on a machine that has no WebAssembly with vectors, or no memory for it: there is always another way
 */
export function whenAsked<Pass, Made>(
  base64: string,
  make: (instance: WebAssemblyPass<Pass>) => Made,
): () => Made | undefined {
  let made: { readonly instance: Made | undefined } | undefined;
  return () => {
    if (made === undefined) {
      const instance = instanceOf<Pass>(base64);
      made = { instance: instance && make(instance) };
    }
    return made.instance;
  };
}

function instanceOf<Pass>(base64: string): WebAssemblyPass<Pass> | undefined {
  try {
    return new WebAssembly.Instance(new WebAssembly.Module(Buffer.from(base64, 'base64')))
      .exports as WebAssemblyPass<Pass>;
  } catch {
    return undefined;
  }
}
